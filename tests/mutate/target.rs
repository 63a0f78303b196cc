//! What is damaged and read.

use std::fs::write;
use std::path::Path;

use kensaku::Result;
use kensaku::nn::EncoderConfig;

use crate::families::families;
use crate::{checkpoints, indexes, inputs, readers};

/// A kind of input: files in a folder.
pub struct Target {
    pub name: &'static str,
    /// Cases of it for each hundred that are asked for: some take longer.
    pub share: usize,
    /// Writes an input without faults into an empty folder.
    pub write: Box<dyn Fn(&Path) + Send>,
    /// Repairs checksums, so that a change gets past them.
    pub mend: fn(&Path),
    /// Reads the input, and uses what comes of it. Only a panic is a failure.
    pub read: Box<dyn Fn(&Path) + Send>,
    /// The words of an abort in a crate below, which nothing above can catch: it is printed, but is no failure.
    pub below: Option<&'static str>,
}

/// polars-parquet 0.55 reserves memory for the length of a run that a page claims (`decode_hybrid_rle_into_bitmap`), up
/// to 2^61 bytes.
const RUN_LENGTHS: &str = "memory allocation of ";

pub fn targets() -> Vec<Target> {
    let parquet = folder(
        "parquet",
        100,
        |folder| inputs::parquet(&folder.join(INPUT)),
        |folder| readers::parquet(&folder.join(INPUT)),
    );
    let mut all = vec![
        text("jsonl", inputs::JSONL, readers::jsonl),
        text("csv", inputs::CSV, readers::csv),
        text("tsv", inputs::TSV, readers::tsv),
        text("qrels", inputs::QRELS, readers::qrels),
        text("run", inputs::RUN, readers::run),
        Target { below: Some(RUN_LENGTHS), ..parquet },
        text("trec_docs", inputs::TREC_DOCS, readers::trec_docs),
        text("trec_topics", inputs::TREC_TOPICS, readers::trec_topics),
        text("squad", inputs::SQUAD, readers::squad),
        text("id_triples", inputs::ID_TRIPLES, readers::id_triples),
        text("flag_embedding", inputs::FLAG_EMBEDDING, readers::flag_embedding),
        text("tevatron", inputs::TEVATRON, readers::tevatron),
        text("stsb", inputs::STSB, readers::stsb),
        folder(
            "zstandard",
            100,
            |folder| inputs::zstandard(&folder.join(INPUT)),
            |folder| readers::jsonl(&folder.join(INPUT)),
        ),
        folder("beir", 100, inputs::beir, readers::beir),
        folder("tokenizer", 100, tokenizer, |folder| readers::tokenizer(&folder.join(INPUT))),
    ];
    all.extend(families().into_iter().map(|(name, config)| model(name, config)));
    let checkpoints = folder("checkpoints", 30, checkpoints::write, checkpoints::read);
    all.push(Target { mend: checkpoints::relist, ..checkpoints });
    all.extend([
        index("bm25", inputs::bm25, readers::bm25),
        index("flat", inputs::flat, readers::flat),
        index("flat_int8", inputs::flat_int8, readers::flat),
        index("flat_binary", inputs::flat_binary, readers::flat),
        index("embeddings", inputs::embeddings, readers::embeddings),
        index("sparse", inputs::sparse, readers::sparse),
        index("late", inputs::late, readers::late),
        index("late_exact", inputs::late_exact, readers::late),
        index("hnsw", inputs::hnsw, readers::hnsw),
    ]);
    all
}

/// The file of inputs that are one.
const INPUT: &str = "input";

fn text(name: &'static str, text: &'static str, read: fn(&Path) -> Result<()>) -> Target {
    folder(name, 100, move |folder| write(folder.join(INPUT), text).unwrap(), move |folder| read(&folder.join(INPUT)))
}

fn model(name: &'static str, config: EncoderConfig) -> Target {
    folder(name, 100, move |folder| inputs::model(&config, folder).unwrap(), readers::model)
}

fn index(name: &'static str, write: fn(&Path) -> Result<()>, read: fn(&Path) -> Result<()>) -> Target {
    let write = move |folder: &Path| indexes::write(&folder.join(INPUT), write, read);
    let target = folder(name, 100, write, move |folder| read(&folder.join(INPUT)));
    Target { mend: |folder| indexes::rehash(&folder.join(INPUT)), ..target }
}

fn tokenizer(folder: &Path) {
    let (_, bert) = families().remove(0);
    let model = folder.join("model");
    inputs::model(&bert, &model).unwrap();
    std::fs::rename(model.join("tokenizer.json"), folder.join(INPUT)).unwrap();
    std::fs::remove_dir_all(model).unwrap();
}

fn folder(
    name: &'static str,
    share: usize,
    write: impl Fn(&Path) + Send + 'static,
    read: impl Fn(&Path) -> Result<()> + Send + 'static,
) -> Target {
    Target {
        name,
        share,
        write: Box::new(write),
        mend: |_| {},
        read: Box::new(move |folder| drop(read(folder))),
        below: None,
    }
}
