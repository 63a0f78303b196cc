//! Encodes the first documents of a corpus, to set beside `encode.py` of the peers: prints one JSON line, and
//! `ratio=` and the smallest cosine with the peer's vectors if its record and its vectors are given.
//!
//! ```text
//! cargo run --release -p kensaku --example encode -- --model DIR --corpus corpus.jsonl [--docs 512]
//!     [--precision int8] [--peer record.json] [--vectors peer.f32]
//! ```
//!
//! Texts are cut to what the model's directory says (all-MiniLM-L6-v2: 256 tokens).

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use kensaku::prelude::*;
use kensaku::serde_json::{self, Value, json};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options: HashMap<&str, &str> = arguments.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1])).collect();
    let option = |name: &str| options.get(name).copied();
    let docs: usize = option("--docs").unwrap_or("512").parse()?;
    let precision = if option("--precision") == Some("int8") { Precision::Int8 } else { Precision::F32 };
    let model = BiEncoder::load(option("--model").context("--model is missing")?)?;
    let model = model.with_precision(precision);

    let corpus = std::fs::read_to_string(option("--corpus").context("--corpus is missing")?)?;
    let texts = corpus.lines().take(docs).map(|line| -> Result<String> {
        let doc: Value = serde_json::from_str(line)?;
        let part = |name: &str| doc[name].as_str().unwrap_or_default();
        Ok(format!("{} {}", part("title"), part("text")).trim().to_owned())
    });
    let texts = texts.collect::<Result<Vec<_>>>()?;
    let mut seconds = Vec::new();
    let mut vectors = model.encode(&texts[..8], Role::Doc)?;
    for _ in 0..3 {
        let start = Instant::now();
        vectors = model.encode(&texts, Role::Doc)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    println!("{}", json!({ "precision": precision, "docs": texts.len(), "encode_s": seconds }));
    let rows = vectors.to_vec2::<f32>()?;
    if let Some(path) = option("--vectors") {
        let bytes = std::fs::read(path)?;
        let theirs: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let cosines = rows.iter().zip(theirs.chunks_exact(model.dim())).map(|(a, b)| {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        });
        println!("smallest cosine with the peer's vectors {:.6}", cosines.fold(f64::INFINITY, f64::min));
    }
    if let Some(path) = option("--peer") {
        let peer: Value = serde_json::from_str(&std::fs::read_to_string(Path::new(path))?)?;
        let theirs = peer["encode_s"]["median"].as_f64().context("no encode_s in the peer's record")?;
        println!("ours {:.3} s  peer {theirs:.3} s  ratio={:.2}", seconds[1], theirs / seconds[1]);
    }
    Ok(())
}
