//! What indexes take: seconds to build, to search with all queries in one call and with one, and to load; how many of the best they
//! find. Each prints one JSON line a setting.
//!
//! ```text
//! RAYON_NUM_THREADS=2 cargo run --release -p kensaku --example indexes -- hnsw FOLDER [K]    vectors of the peers' `search.py --write`
//! RAYON_NUM_THREADS=2 cargo run --release -p kensaku --example indexes -- sparse [DOCS]      synthetic ones, as SPLADE makes them
//! RAYON_NUM_THREADS=2 cargo run --release -p kensaku --example indexes -- late FOLDER        SciFact with an untrained projection
//! ```
//!
//! `late` takes `KENSAKU_SHARED` and `KENSAKU_MINILM` as `--example scifact` does. It writes the vectors of tokens to the folder, for
//! `tests/parity/late_index.py`, unless they are there.

mod hnsw;
mod late;
mod sparse;

use std::time::Instant;

use anyhow::{Context, Result, bail};
use kensaku::prelude::*;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = || arguments.get(1).context("no folder");
    let number = |default: usize, place: usize| arguments.get(place).map_or(Ok(default), |number| number.parse());
    match arguments.first().map(String::as_str) {
        Some("hnsw") => hnsw::run(folder()?.as_ref(), number(100, 2)?),
        Some("sparse") => sparse::run(number(100_000, 1)?),
        Some("late") => late::run(folder()?.as_ref()),
        _ => bail!("expected: indexes hnsw FOLDER [K] | sparse [DOCS] | late FOLDER"),
    }
}

/// What work makes, and the seconds it takes.
fn timed<T>(work: impl FnOnce() -> kensaku::Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    let made = work()?;
    Ok((made, start.elapsed().as_secs_f64()))
}

/// The run of an index, the median of five, and the seconds for all queries.
fn searched<I: Index>(index: &I, queries: &I::Queries, k: usize) -> Result<(Run, f64)> {
    let mut runs = (0..5).map(|_| timed(|| index.search(queries, k))).collect::<Result<Vec<_>>>()?;
    runs.sort_by(|a, b| a.1.total_cmp(&b.1));
    Ok(runs.swap_remove(2))
}

/// The share of the best `k` documents of one run that the other one has.
fn recall(exact: &Run, run: &Run, k: usize) -> f64 {
    let (mut found, mut all) = (0, 0);
    for (query_id, hits) in exact.iter() {
        let best: Vec<&str> = hits.doc_ids().take(k).collect();
        found += run.hits(query_id).doc_ids().take(k).filter(|doc_id| best.contains(doc_id)).count();
        all += best.len();
    }
    found as f64 / all as f64
}
