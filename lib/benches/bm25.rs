//! BM25: building an index, and searching with all queries in one call. Analysis of the texts is part of
//! both. On SciFact where `KENSAKU_SHARED` names it, else on synthetic text of about the same size.
//!
//! `RAYON_NUM_THREADS=1 cargo bench -p kensaku --bench bm25` compares with bm25s, which uses one thread.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kensaku::data::{Corpus, Queries};
use kensaku::index::{Bm25, Bm25Params};
use kensaku::polars::prelude::*;
use kensaku::random::Philox;
use kensaku::serde_json::Value;

const K: usize = 100;

fn bm25(criterion: &mut Criterion) {
    let (name, corpus, queries) = match std::env::var("KENSAKU_SHARED") {
        Ok(shared) => scifact(&Path::new(&shared).join("data/scifact")),
        Err(_) => synthetic(),
    };
    let mut group = criterion.benchmark_group(format!("bm25/{name}"));
    group.sample_size(20);
    group.throughput(Throughput::Elements(corpus.len() as u64));
    group.bench_function("index", |bench| bench.iter(|| Bm25::new(&corpus, Bm25Params::LUCENE).unwrap()));
    let index = Bm25::new(&corpus, Bm25Params::LUCENE).unwrap();
    group.throughput(Throughput::Elements(queries.len() as u64));
    group.bench_function("search", |bench| bench.iter(|| black_box(index.search(&queries, K).unwrap())));
    group.finish();
}

fn scifact(folder: &Path) -> (&'static str, Corpus, Queries) {
    let read = |name: &str, columns: &[(&str, &str)]| {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| kensaku::serde_json::from_str(line).unwrap()).collect();
        let column = |(field, name): &(&str, &str)| {
            let values: Vec<&str> = lines.iter().map(|line| line[*field].as_str().unwrap()).collect();
            Column::new((*name).into(), values)
        };
        DataFrame::new(lines.len(), columns.iter().map(column).collect()).unwrap()
    };
    let corpus = read("corpus.jsonl", &[("_id", "doc_id"), ("title", "title"), ("text", "text")]);
    let queries = read("queries.jsonl", &[("_id", "query_id"), ("text", "text")]);
    ("scifact", Corpus::new(corpus).unwrap(), Queries::new(queries).unwrap())
}

/// Words with Zipf's distribution: 5,000 documents of 200, 1,000 queries of 12.
fn synthetic() -> (&'static str, Corpus, Queries) {
    let mut rng = Philox::new(42);
    let mut texts = |number: usize, words: usize| -> Vec<String> {
        let mut word = || format!("w{}", 30_000f64.powf(rng.uniform()) as usize);
        (0..number).map(|_| (0..words).map(|_| word()).collect::<Vec<_>>().join(" ")).collect()
    };
    let ids = |number: usize| (0..number).map(|row| row.to_string()).collect::<Vec<_>>();
    let corpus = df!("doc_id" => ids(5_000), "text" => texts(5_000, 200)).unwrap();
    let queries = df!("query_id" => ids(1_000), "text" => texts(1_000, 12)).unwrap();
    ("synthetic", Corpus::new(corpus).unwrap(), Queries::new(queries).unwrap())
}

criterion_group!(benches, bm25);
criterion_main!(benches);
