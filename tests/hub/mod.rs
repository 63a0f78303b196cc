//! The hub, against a server of ours that speaks its API.

mod cards;
mod datasets;
mod fake;
mod fetching;
mod loading;
mod pushing;
mod python;
mod searching;
mod server;

use std::path::Path;

use kensaku::model::{
    BiEncoder, BiEncoderConfig, ColBert, ColBertConfig, CrossEncoder, CrossEncoderConfig, Splade, SpladeConfig,
    StaticEmbedding, StaticEmbeddingConfig, TwoTowers,
};
use kensaku::nn::BertConfig;
use kensaku::text::{Tokenizer, WordPieceConfig};

use crate::shared::Trials;
use fake::FakeHub;

pub fn trials() -> Trials {
    [
        cards::trials(),
        datasets::trials(),
        fetching::trials(),
        loading::trials(),
        pushing::trials(),
        python::trials(),
        searching::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const TEXTS: [&str; 3] = ["a red house", "a green tree", "the sea"];
const NAME: &str = "org/name";

fn tokenizer() -> Tokenizer {
    let config = WordPieceConfig { vocab_size: 80, min_frequency: 1, ..Default::default() };
    Tokenizer::train_wordpiece(&TEXTS, &config).unwrap()
}

fn encoder() -> BertConfig {
    BertConfig { hidden_size: 32, intermediate_size: 32, num_hidden_layers: 1, ..Default::default() }
}

fn bi_encoder() -> BiEncoder {
    BiEncoder::new(encoder(), tokenizer(), BiEncoderConfig::default(), 1).unwrap()
}

fn cross_encoder() -> CrossEncoder {
    CrossEncoder::new(encoder(), tokenizer(), 1, CrossEncoderConfig::default(), 1).unwrap()
}

fn colbert() -> ColBert {
    ColBert::new(encoder(), tokenizer(), ColBertConfig { dim: 8, query_length: 8, ..Default::default() }, 1).unwrap()
}

fn splade() -> Splade {
    Splade::new(encoder(), tokenizer(), SpladeConfig::default(), 1).unwrap()
}

fn static_embedding() -> StaticEmbedding {
    StaticEmbedding::new(8, tokenizer(), StaticEmbeddingConfig::default(), 1).unwrap()
}

/// The towers have weights and files of the same names.
fn two_towers() -> TwoTowers {
    let query = BiEncoder::new(encoder(), tokenizer(), BiEncoderConfig::default(), 2).unwrap();
    TwoTowers::new(query, bi_encoder()).unwrap()
}

fn numbers(model: &BiEncoder) -> Vec<Vec<f32>> {
    model.encode_texts(&TEXTS).unwrap().to_vec2().unwrap()
}

/// A hub with a bi-encoder, and with files that it does not need.
fn hub_with_model() -> FakeHub {
    let fake = FakeHub::new();
    let dir = tempfile::tempdir().unwrap();
    bi_encoder().save(dir.path()).unwrap();
    fake.add(NAME, dir.path());
    for other in ["onnx/model.onnx", "pytorch_model.bin", "train.py", "model.fp16.safetensors"] {
        fake.put(NAME, other, "not needed");
    }
    fake
}

fn message<T: std::fmt::Debug>(result: kensaku::Result<T>) -> String {
    result.unwrap_err().to_string()
}

/// The files of a folder, as paths within.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
