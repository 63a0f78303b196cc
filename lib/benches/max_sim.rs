//! MaxSim of 100 queries of 32 tokens with 1,000 documents of 180, at 128 numbers per token: 147 GFLOP. Scores alone,
//! and with the backward pass.
//!
//! `cargo bench -p kensaku --bench max_sim`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kensaku::candle_core::{Device, Tensor, Var};
use kensaku::loss::max_sim;
use kensaku::random::Philox;

const DIM: usize = 128;

fn scores(criterion: &mut Criterion) {
    let mut rng = Philox::new(42);
    let mut texts = |count: usize, tokens: usize| {
        let rows = count * tokens;
        let values: Vec<f32> = (0..rows * DIM).map(|_| rng.normal() as f32).collect();
        let bounds: Vec<usize> = (0..=count).map(|text| text * tokens).collect();
        (Tensor::from_vec(values, (rows, DIM), &Device::Cpu).unwrap(), bounds)
    };
    let ((queries, query_bounds), (docs, doc_bounds)) = (texts(100, 32), texts(1_000, 180));
    let mut group = criterion.benchmark_group("max_sim");
    group.sample_size(10);
    group.throughput(Throughput::Elements(100_000));
    group.bench_function("scores", |bench| {
        bench.iter(|| black_box(max_sim(&queries, &query_bounds, &docs, &doc_bounds).unwrap()));
    });
    let (queries, docs) = (Var::from_tensor(&queries).unwrap(), Var::from_tensor(&docs).unwrap());
    group.bench_function("scores and gradient", |bench| {
        bench.iter(|| {
            let scores = max_sim(&queries, &query_bounds, &docs, &doc_bounds).unwrap();
            black_box(scores.sum_all().unwrap().backward().unwrap());
        });
    });
    group.finish();
}

criterion_group!(benches, scores);
criterion_main!(benches);
