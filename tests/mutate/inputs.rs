//! Inputs without faults. The cargo-fuzz targets begin with some of them.

use std::fs::{create_dir, write};
use std::path::Path;

use kensaku::Result;
use kensaku::candle_core::{Device, Tensor};
use kensaku::data::Corpus;
use kensaku::index::{
    Bm25, Bm25Params, FlatConfig, FlatIndex, FlatPrecision, HnswConfig, HnswIndex, LateConfig, LateIndex, SparseIndex,
};
use kensaku::model::{BiEncoder, BiEncoderConfig, Embeddings, SparseEmbeddings, SparseVectors, TokenEmbeddings};
use kensaku::nn::EncoderConfig;
use kensaku::random::Philox;
use kensaku::text::{Tokenizer, WordPieceConfig};
use polars::prelude::*;
use serde_json::json;

use crate::readers::TEXTS;
use crate::words::word_tokenizer;

pub const JSONL: &str = r#"{"_id": "d1", "title": "Cats", "text": "Cats purr.", "tags": ["a", "b"], "year": 1999}
{"_id": "d2", "title": null, "text": "検索は楽しい \u00e9", "meta": {"source": {"name": "x"}}, "score": 0.25}
{"_id": "d3", "title": "", "text": "Fish \"swim\".", "tags": [], "year": -3, "kept": true}
"#;
pub const QUERIES: &str = "{\"_id\": \"q1\", \"text\": \"which pet purrs\"}\n{\"_id\": \"q2\", \"text\": \"swim\"}\n";
pub const QRELS_TSV: &str = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td3\t2\nq2\td1\t0\n";
pub const CSV: &str =
    "query,positive,negative,score\n\"which, pet\",\"cats \"\"purr\"\"\",dogs bark,0.5\nfish?,swim,,1\nq,p,n,-1e3\n";
pub const TSV: &str = "doc_id\ttitle\ttext\nd1\tCats\tCats \"purr\nd2\t\t検索\nd3\tFish\tswim\n";
pub const QRELS: &str = "q1 0 d1 1\nq1 0 d2 0\n\nq2\t0\td3\t2\n# comment\nq2 0 d1 -1\n";
pub const RUN: &str = "q1 Q0 d1 1 12.5 tag\nq1 Q0 d2 2 1e-3 tag\nq2 Q0 d3 1 0.25 tag\nq3 Q0 d1 1 -inf tag\n";

pub const TREC_DOCS: &str = "<DOC>\n<DOCNO> FT-1 </DOCNO>\n<HL>Rain &amp; sun</HL>\n<TEXT>\nIt <b>rains</b> &#x41;.\n</TEXT>\n</DOC>\n\
                             <doc><docno>2</docno><title>検索</title>body</doc>\n";
pub const TREC_TOPICS: &str = "<top>\n<num> Number: 051\n<title> Topic: Airbus\n<desc> Description:\nd\n</top>\n<topics>\
                               <topic number=\"1\"><query>q &lt;</query><narrative>n</narrative></topic></topics>\n";
pub const SQUAD: &str = r#"{"version": "1", "data": [{"title": "Rain", "paragraphs": [{"context": "It rains 雨.", "qas": [
    {"id": "a", "question": "Does it?", "answers": [{"text": "rains", "answer_start": 3}], "is_impossible": false},
    {"id": 7, "question": "Why?", "is_impossible": true}]}, {"context": "It snows.", "qas": []}]}]}"#;
pub const ID_TRIPLES: &str = "[1, 7, 8]\n[\"2\", 9, \"7\"]\n\n1\t8\t9\r\n";
pub const FLAG_EMBEDDING: &str = "{\"query\": \"q\", \"pos\": [\"p\", \"o\"], \"neg\": [\"n\", \"m\"], \"pos_scores\": [1, 0.5], \"neg_scores\": [0.1, -2e3]}\n\
                                  {\"query\": \"検\", \"pos\": [\"p\"], \"neg\": [\"n\"], \"pos_scores\": [1], \"neg_scores\": [0]}\n";
pub const TEVATRON: &str = r#"{"query_id": 5, "query": "q", "positive_passages": [{"docid": "a", "title": "t", "text": "p"}], "negative_passages": [{"docid": "b", "text": "n"}]}
"#;
pub const STSB: &str = "g\tf\t2012\t0\t4.5\t\"a\tb\ng\tf\t2012\t1\t0\tc\t検\tsource\tlicence\n";

/// JSONL, compressed.
pub fn zstandard(path: &Path) {
    write(path, zstd::encode_all(JSONL.as_bytes(), 3).unwrap()).unwrap();
}

/// A folder in BEIR's format.
pub fn beir(folder: &Path) {
    write(folder.join("corpus.jsonl"), JSONL).unwrap();
    write(folder.join("queries.jsonl"), QUERIES).unwrap();
    create_dir(folder.join("qrels")).unwrap();
    write(folder.join("qrels/test.tsv"), QRELS_TSV).unwrap();
}

/// Columns of all common kinds, in pages that are not compressed, so that changes reach them.
pub fn parquet(path: &Path) {
    let ids: Vec<String> = (0..40).map(|row| format!("d{}", row / 3)).collect();
    let vectors: Vec<Series> = (0..40).map(|row| Series::new("".into(), [row as f32, 0.5])).collect();
    let mut frame = df!(
        "id" => &ids,
        "n" => (0..40i64).map(|row| (row % 7 != 0).then_some(row * row)).collect::<Vec<_>>(),
        "x" => (0..40).map(|row| f64::from(row) / 3.0).collect::<Vec<_>>(),
        "small" => (0..40u32).collect::<Vec<_>>(),
        "kept" => (0..40).map(|row| row % 3 == 0).collect::<Vec<_>>(),
        "vector" => vectors,
        "group" => (0..40).map(|row| if row < 20 { "a" } else { "b" }).collect::<Vec<_>>(),
    )
    .unwrap();
    let file = std::fs::File::create(path).unwrap();
    ParquetWriter::new(file).with_compression(ParquetCompression::Uncompressed).finish(&mut frame).unwrap();
}

/// A model of a family: BERT's with a trained WordPiece tokenizer and prompts, the others' with whole words.
pub fn model(config: &EncoderConfig, folder: &Path) -> Result<()> {
    let is_bert = matches!(config, EncoderConfig::Bert(_));
    let tokenizer = match is_bert {
        true => Tokenizer::train_wordpiece(&TEXTS, &WordPieceConfig { vocab_size: 60, ..Default::default() })?,
        false => word_tokenizer(&[], &["cats", "purr", "dogs", "and", "more"])?,
    };
    BiEncoder::new(config.clone(), tokenizer, BiEncoderConfig { max_length: 12, ..Default::default() }, 1)?
        .save(folder)?;
    if is_bert {
        let prompts = json!({"prompts": {"query": "query: ", "document": "doc: "}, "similarity_fn_name": "cosine"});
        write(folder.join("config_sentence_transformers.json"), prompts.to_string()).unwrap();
    }
    Ok(())
}

/// An index with lists of several documents, and a word that one has more often than a byte counts.
pub fn bm25(path: &Path) -> Result<()> {
    let often = "often ".repeat(300);
    let texts: Vec<&str> = TEXTS.iter().copied().chain(["cats and dogs", &often]).collect();
    let ids: Vec<String> = (0..texts.len()).map(|row| format!("d{row}")).collect();
    Bm25::new(&Corpus::new(df!("doc_id" => ids, "text" => texts)?)?, Bm25Params::BM25_PLUS)?.save(path)
}

/// Vectors of 70 dimensions, so that bits fill more than a word.
fn vectors() -> Result<Embeddings> {
    let numbers: Vec<f32> = (0..6 * DIM).map(|place| ((place * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let ids = ["e", "b", "", "検", "d", "a"].map(str::to_owned).to_vec();
    Embeddings::new(ids, Tensor::from_vec(numbers, (6, DIM), &Device::Cpu)?)
}

pub const DIM: usize = 70;

pub fn embeddings(path: &Path) -> Result<()> {
    vectors()?.save(path)
}

pub fn flat(path: &Path) -> Result<()> {
    saved(path, FlatPrecision::F16, None)
}

pub fn flat_int8(path: &Path) -> Result<()> {
    saved(path, FlatPrecision::Int8, Some(FlatPrecision::F32))
}

pub fn flat_binary(path: &Path) -> Result<()> {
    saved(path, FlatPrecision::Binary, Some(FlatPrecision::Int8))
}

fn saved(path: &Path, precision: FlatPrecision, rescore_with: Option<FlatPrecision>) -> Result<()> {
    FlatIndex::new(vectors()?, FlatConfig { precision, rescore_with, ..Default::default() })?.save(path)
}

/// Numbers of the vectors of indexes.
pub const WIDTH: usize = 5;

/// An index with lists of all lengths, and a document without words.
pub fn sparse(path: &Path) -> Result<()> {
    let (starts, words) = (vec![0, 3, 5, 5, 6], vec![0, 2, 4, 2, 3, 2]);
    let vectors = SparseVectors::new(WIDTH, starts, words, vec![0.5, 1.0, 2.0, 1.5, 1.0, 0.25])?;
    SparseIndex::new(&SparseEmbeddings::new(ids(4), vectors)?)?.save(path)
}

/// An index of codes with lists of several documents.
pub fn late(path: &Path) -> Result<()> {
    LateIndex::new(&tokens(9)?, LateConfig { nbits: Some(2), centroids: Some(6), ..LateConfig::PLAID })?.save(path)
}

/// One of vectors as they are.
pub fn late_exact(path: &Path) -> Result<()> {
    LateIndex::new(&tokens(9)?, LateConfig::EXACT)?.save(path)
}

/// A graph of several levels.
pub fn hnsw(path: &Path) -> Result<()> {
    HnswIndex::new(&normal(60)?, HnswConfig { m: 3, ..HnswConfig::default() })?.save(path)
}

/// Vectors that are searched for, too.
pub fn normal(count: usize) -> Result<Embeddings> {
    let mut rng = Philox::new(7);
    let numbers = (0..count * WIDTH).map(|_| rng.normal() as f32).collect();
    Embeddings::new(ids(count), Tensor::from_vec(numbers, (count, WIDTH), &Device::Cpu)?)
}

/// Texts of 1, 2, 3, .. tokens.
pub fn tokens(count: usize) -> Result<TokenEmbeddings> {
    let bounds: Vec<usize> = (0..=count).map(|text| text * (text + 1) / 2).collect();
    TokenEmbeddings::new(ids(count), normal(bounds[count])?.vectors, bounds)
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|row| format!("d{row}")).collect()
}
