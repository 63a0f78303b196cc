//! What reads the inputs, and uses what comes of it. The cargo-fuzz targets call the same functions.

use std::path::{Path, PathBuf};

use kensaku::Result;
use kensaku::candle_core::{Device, Tensor};
use kensaku::data::read::{self, Csv, Strictness, Table};
use kensaku::data::{Corpus, Labels, Qrels, Queries, TrainingSet};
use kensaku::eval::{Run, evaluate};
use kensaku::index::{Bm25, FlatIndex, HnswIndex, Index, LateIndex, LateSearch, SparseIndex};
use kensaku::model::{BiEncoder, Embeddings, Role, SparseEmbeddings, SparseVectors};
use kensaku::show::Show;
use kensaku::text::Tokenizer;
use polars::prelude::*;

use crate::inputs;

/// Texts that are encoded: empty, of other scripts, longer than a model reads.
pub const TEXTS: [&str; 4] = ["cats purr", "", "the 検索 dogs, and more dogs than fit", "x"];

pub fn jsonl(path: &Path) -> Result<()> {
    let table = read::jsonl(path)?;
    shown(&table);
    table.rename(&[("_id", "doc_id")])?.corpus()?.bundle();
    Ok(())
}

pub fn csv(path: &Path) -> Result<()> {
    let table = read::csv(path, &Csv::default())?;
    shown(&table);
    let set = table.numbers("score")?.training_set()?;
    set.bundle();
    set.columns();
    set.labels().map(Labels::tensor).transpose()?;
    Ok(())
}

pub fn tsv(path: &Path) -> Result<()> {
    let table = read::csv(path, &Csv::tsv())?;
    shown(&table);
    let corpus = table.corpus()?;
    corpus.bundle();
    corpus.texts();
    Ok(())
}

pub fn qrels(path: &Path) -> Result<()> {
    let qrels = Qrels::read_trec(path)?;
    qrels.bundle();
    assert_eq!(Qrels::from_frame(&qrels.frame()?)?, qrels);
    Ok(())
}

/// What was read can be written, and read again as the same.
pub fn run(path: &Path) -> Result<()> {
    let run = Run::read_trec(path)?;
    run.bundle();
    let again = path.with_extension("again");
    run.write_trec(&again, "again")?;
    assert_eq!(Run::read_trec(&again)?, run);
    let mut qrels = Qrels::new();
    qrels.insert("q1", "d1", 1);
    evaluate(&qrels, &run, &["nDCG@10", "RR", "P@1"])?.bundle();
    Ok(())
}

pub fn parquet(path: &Path) -> Result<()> {
    let frame = read::parquet(path)?.collect()?;
    frame.bundle();
    Ok(())
}

/// What the strict reader refuses, too.
pub fn beir(folder: &Path) -> Result<()> {
    if let Ok((data, report)) = read::beir_with(folder, Strictness::Lenient) {
        report.bundle();
        data.corpus.bundle();
    }
    let data = read::beir(folder)?;
    data.corpus.bundle();
    data.split("test")?.qrels.bundle();
    Ok(())
}

pub fn trec_docs(path: &Path) -> Result<()> {
    read::trec_docs(path)?.bundle();
    Ok(())
}

pub fn trec_topics(path: &Path) -> Result<()> {
    read::trec_topics(path)?.bundle();
    Ok(())
}

pub fn squad(path: &Path) -> Result<()> {
    let data = read::squad(path)?;
    data.corpus.bundle();
    Ok(())
}

pub fn id_triples(path: &Path) -> Result<()> {
    let queries = Queries::from_texts(["one", "two"])?;
    let corpus = Corpus::new(df!("doc_id" => [7, 8, 9], "text" => ["a", "b", "c"])?)?;
    trained(&read::id_triples(path, &queries, &corpus)?)
}

pub fn flag_embedding(path: &Path) -> Result<()> {
    trained(&read::flag_embedding(path, 1)?)
}

pub fn tevatron(path: &Path) -> Result<()> {
    trained(&read::tevatron(path, None, 1)?)
}

pub fn stsb(path: &Path) -> Result<()> {
    trained(&read::stsb(path)?)
}

fn trained(set: &TrainingSet) -> Result<()> {
    set.bundle();
    set.labels().map(Labels::tensor).transpose()?;
    Ok(())
}

fn shown(table: &Table) {
    table.frame().bundle();
}

/// A tokenizer that loads encodes, and what it writes is read again.
pub fn tokenizer(path: &Path) -> Result<()> {
    let tokenizer = Tokenizer::load(path)?;
    tokenizer.encode(&TEXTS, 16)?;
    Tokenizer::from_bytes(tokenizer.to_json()?)?;
    Ok(())
}

/// A model that loads gives finite vectors or an error, and can be saved and loaded again.
pub fn model(folder: &Path) -> Result<()> {
    let model = BiEncoder::load(folder)?;
    let vectors = model.encode(&TEXTS, Role::Query)?.to_vec2::<f32>()?;
    assert!(vectors.iter().flatten().all(|number| number.is_finite()), "NaN left the model as a vector");
    let again = folder.join("again");
    model.save(&again)?;
    BiEncoder::load(again)?.encode(&TEXTS[..1], Role::Doc)?;
    Ok(())
}

/// An index that loads is searched, explained and added to, and what it writes is read again.
pub fn bm25(path: &Path) -> Result<()> {
    let mut bm25 = Bm25::load(path)?;
    let queries = Queries::from_texts(TEXTS.iter().copied().chain(["often cats and dogs"]))?;
    for k in [1, 100] {
        let run = bm25.search(&queries, k)?;
        for hit in run.iter().flat_map(|(_, hits)| hits) {
            bm25.explain("often cats and dogs", hit.doc_id)?.bundle();
        }
    }
    bm25.add(&Corpus::new(df!("doc_id" => ["new"], "text" => ["cats more often"])?)?)?;
    let again = path.with_extension("again");
    bm25.save(&again)?;
    assert_eq!(Bm25::load(again)?.len(), bm25.len());
    Ok(())
}

/// An index that loads is searched, and what it writes is read again.
pub fn flat(path: &Path) -> Result<()> {
    let index = FlatIndex::load(path)?;
    // A width that a file claims need not fit in memory.
    if index.dim() <= 1 << 16 {
        let numbers = (0..2 * index.dim()).map(|place| (place % 7) as f32 - 3.0).collect();
        let queries = Tensor::from_vec(numbers, (2, index.dim()), &Device::Cpu)?;
        let queries = Embeddings::new(vec!["1".into(), "2".into()], queries)?;
        for k in [1, 100] {
            index.search(&queries, k)?.bundle();
        }
    }
    let again = path.with_extension("again");
    index.save(&again)?;
    assert_eq!(FlatIndex::load(again)?.len(), index.len());
    Ok(())
}

/// What was read can be written, and read again as the same.
pub fn embeddings(path: &Path) -> Result<()> {
    let embeddings = Embeddings::load(path)?;
    let again = path.with_extension("again");
    embeddings.save(&again)?;
    assert_eq!(Embeddings::load(again)?.ids, embeddings.ids);
    Ok(())
}

/// An index that loads is searched, and what it writes is read again.
fn searched<I: Index>(
    path: &Path,
    index: &I,
    queries: &I::Queries,
    save: fn(&I, &Path) -> Result<()>,
) -> Result<PathBuf> {
    for k in [0, 1, 100] {
        index.search(queries, k)?.bundle();
    }
    let again = path.with_extension("again");
    save(index, &again)?;
    Ok(again)
}

pub fn sparse(path: &Path) -> Result<()> {
    let index = SparseIndex::load(path)?;
    let ids = ["one", "two"].map(str::to_owned).to_vec();
    let words = index.dim().min(4) as u32;
    let weights = (0..words).map(|word| word as f32 - 0.5).collect();
    let vectors = SparseVectors::new(index.dim(), vec![0, 0, words as usize], (0..words).collect(), weights)?;
    let again = searched(path, &index, &SparseEmbeddings::new(ids, vectors)?, |index, path| index.save(path))?;
    assert_eq!(SparseIndex::load(again)?.len(), index.len());
    Ok(())
}

pub fn late(path: &Path) -> Result<()> {
    let index = LateIndex::load(path)?;
    let queries = inputs::tokens(4)?;
    let again = searched(path, &index, &queries, |index, path| index.save(path))?;
    let few = LateSearch { nprobe: 1, ndocs: 4, ..index.config().search };
    LateIndex::load(again)?.with_search(few)?.search(&queries, 1)?;
    Ok(())
}

pub fn hnsw(path: &Path) -> Result<()> {
    let index = HnswIndex::load(path)?;
    let again = searched(path, &index, &inputs::normal(3)?, |index, path| index.save(path))?;
    assert_eq!(HnswIndex::load(again)?.len(), index.len());
    Ok(())
}
