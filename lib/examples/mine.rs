//! Our side of `tests/parity/mine.sh`: mining hard negatives, from given vectors or with a model that encodes SciFact first.
//! Prints one JSON line: seconds of each repeat, and the memory that mining took beyond what was there before.
//!
//! ```text
//! RAYON_NUM_THREADS=2 cargo run --release -p kensaku --example mine -- --queries 10000 --docs 100000
//! RAYON_NUM_THREADS=2 cargo run --release -p kensaku --example mine -- --data scifact --model MINILM
//! ```

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result};
use kensaku::mine::{Format, Mined, mine_negatives};
use kensaku::prelude::*;
use kensaku::random;
use kensaku::serde_json::json;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options: HashMap<&str, &str> = arguments.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1])).collect();
    let number = |name: &str, default: usize| {
        options.get(name).map_or(Ok(default), |value| usize::from_str(value).with_context(|| format!("{name} {value}")))
    };
    let task = match options.get("--data") {
        Some(data) => Task::scifact(data, options.get("--model").context("--model is missing")?)?,
        None => Task::synthetic(number("--queries", 10_000)?, number("--docs", 100_000)?, number("--dim", 384)?)?,
    };
    let (mut total_s, mut search_s) = (Vec::new(), Vec::new());
    let (mut rows, mut memory) = (0, 0.0);
    for _ in 0..number("--repeats", 1)? {
        let before = reset_peak();
        let start = Instant::now();
        let vectors = task.vectors()?;
        let encoded = start.elapsed().as_secs_f64();
        rows = task.mine(vectors)?.training_set(Format::Tuples)?.len();
        total_s.push(start.elapsed().as_secs_f64());
        search_s.push(start.elapsed().as_secs_f64() - encoded);
        memory = status("VmHWM:") - before;
    }
    let sizes = json!({ "queries": task.queries.len(), "docs": task.corpus.len(), "rows": rows });
    println!("{}", json!({ "total_s": total_s, "search_s": search_s, "beyond_mib": memory, "sizes": sizes }));
    Ok(())
}

/// What is mined: as `mine.py` of the peers has it.
struct Task {
    corpus: Corpus,
    queries: Queries,
    qrels: Qrels,
    source: Source,
}

enum Source {
    Model(Box<BiEncoder>),
    /// Of queries and documents.
    Vectors(Embeddings, Embeddings),
}

impl Task {
    fn scifact(data: &str, model: &str) -> Result<Self> {
        let data = read::beir(data)?;
        let train = data.split("train")?;
        let model = BiEncoder::load(model)?.with_max_length(256)?;
        Ok(Self {
            corpus: data.corpus.clone(),
            queries: train.queries.clone(),
            qrels: train.qrels.clone(),
            source: Source::Model(Box::new(model)),
        })
    }

    /// Random vectors of length 1. Query `i` is near to document `i`, its positive: their cosine is about 0.7.
    fn synthetic(queries: usize, docs: usize, dim: usize) -> Result<Self> {
        let mut rng = random::Philox::new(29);
        let mut rows = |count: usize| {
            let numbers: Vec<f32> = (0..count * dim).map(|_| rng.normal() as f32).collect();
            loss::normalize(&Tensor::from_vec(numbers, (count, dim), &Device::Cpu)?)
        };
        let (doc_vectors, noise) = (rows(docs)?, rows(queries)?);
        let query_vectors = ((doc_vectors.narrow(0, 0, queries)? * 0.7)? + (noise * 0.714)?)?;
        let names = |letter: &str, count: usize| (0..count).map(|row| format!("{letter}{row}")).collect::<Vec<_>>();
        let (query_ids, doc_ids) = (names("q", queries), names("d", docs));
        let mut qrels = Qrels::new();
        query_ids.iter().zip(&doc_ids).for_each(|(query_id, doc_id)| qrels.insert(query_id, doc_id, 1));
        Ok(Self {
            corpus: Corpus::new(df!("doc_id" => &doc_ids, "text" => &doc_ids)?)?,
            queries: Queries::new(df!("query_id" => &query_ids, "text" => &query_ids)?)?,
            qrels,
            source: Source::Vectors(
                Embeddings::new(query_ids, loss::normalize(&query_vectors)?)?,
                Embeddings::new(doc_ids, doc_vectors)?,
            ),
        })
    }

    fn vectors(&self) -> Result<(Embeddings, Embeddings)> {
        match &self.source {
            Source::Model(model) => Ok((model.encode_queries(&self.queries)?, model.encode_docs(&self.corpus)?)),
            Source::Vectors(queries, docs) => Ok((queries.clone(), docs.clone())),
        }
    }

    /// The best 5 below 95 % of the positive's score, of the best 100.
    fn mine(&self, (queries, docs): (Embeddings, Embeddings)) -> Result<Mined> {
        let config = MineConfig { num_negatives: 5, relative_margin: Some(0.05), ..Default::default() };
        let index = FlatIndex::new(docs, Similarity::Cosine)?;
        let run = index.search(&queries, config.range_max + DEEPER)?;
        Ok(mine_negatives(&self.queries, &self.qrels, &self.corpus, &run, &config)?)
    }
}

/// Hits beyond the range, for the positive and for what the margin shuts out.
const DEEPER: usize = 10;

/// Mebibytes of the process now; what it takes at most is counted from here.
fn reset_peak() -> f64 {
    std::fs::write("/proc/self/clear_refs", "5").ok();
    status("VmRSS:")
}

/// A line of the process's status in mebibytes; 0 where there is none (not Linux).
fn status(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
