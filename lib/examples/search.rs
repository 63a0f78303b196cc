//! Exact search over the vectors of `search.py --write` of the peers: seconds for all queries and for one, and how many of
//! the best are the peer's. Prints one JSON line.
//!
//! ```text
//! RAYON_NUM_THREADS=2 cargo run --release -p kensaku --example search -- FOLDER [DIM] [K]
//! ```

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use kensaku::prelude::*;
use kensaku::serde_json::json;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("no folder")?);
    let dim: usize = arguments.next().map_or(Ok(384), |dim| dim.parse())?;
    let k: usize = arguments.next().map_or(Ok(100), |k| k.parse())?;
    let (docs, queries) = (vectors(&folder.join("docs.f32"), dim)?, vectors(&folder.join("queries.f32"), dim)?);
    let exact = std::fs::read(folder.join("exact.i32"))?;
    let exact: Vec<u32> = exact.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();

    let start = Instant::now();
    let index = FlatIndex::new(docs, Similarity::Dot)?;
    let build = start.elapsed().as_secs_f64();
    let one = Embeddings::new(queries.ids[..1].to_vec(), queries.vectors.narrow(0, 0, 1)?)?;
    let (mut all_s, mut one_s, mut run) = (Vec::new(), Vec::new(), Run::new());
    for _ in 0..5 {
        let start = Instant::now();
        run = index.search(&queries, k)?;
        all_s.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        index.search(&one, k)?;
        one_s.push(start.elapsed().as_secs_f64());
    }
    all_s.sort_by(f64::total_cmp);
    one_s.sort_by(f64::total_cmp);
    let found = exact.chunks_exact(k).zip(&queries.ids).map(|(exact, query_id)| {
        run.hits(query_id).doc_ids().filter(|id| exact.contains(&id.parse().unwrap_or(u32::MAX))).count()
    });
    let recall = found.sum::<usize>() as f64 / exact.len() as f64;
    println!("{}", json!({ "build_s": build, "search_s": all_s[2], "one_query_s": one_s[2], "recall": recall }));
    Ok(())
}

/// Row-major numbers; ids are their rows, with zeros in front so that they are in order.
fn vectors(path: &Path, dim: usize) -> Result<Embeddings> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let numbers: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let rows = numbers.len() / dim;
    let ids = (0..rows).map(|row| format!("{row:07}")).collect();
    Ok(Embeddings::new(ids, Tensor::from_vec(numbers, (rows, dim), &Device::Cpu)?)?)
}
