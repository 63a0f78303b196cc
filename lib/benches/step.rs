//! What a training step of MiniLM's shape costs as the batch grows: forward, backward and AdamW over texts of 128
//! tokens, 1k to 32k tokens in all. Time per token should stay the same.
//!
//! `cargo bench --workspace --bench step`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kensaku::nn::{Activations, BertConfig, Dropout, Encoder, PackedBatch};
use kensaku::random::Philox;
use kensaku::train::{Optimizer, TrainConfig};

const LENGTH: usize = 128;

fn step(criterion: &mut Criterion) {
    let config = BertConfig {
        vocab_size: 30_522,
        hidden_size: 384,
        num_hidden_layers: 6,
        num_attention_heads: 12,
        intermediate_size: 1_536,
        ..Default::default()
    };
    let mut encoder = Encoder::new(config, 1).unwrap();
    let mut optimizer = Optimizer::new(&TrainConfig::default(), encoder.parameters()).unwrap();
    let mut activations = Activations::training();
    let mut rng = Philox::new(2);
    let mut group = criterion.benchmark_group("step");
    group.sample_size(10);
    for tokens in [1_024, 2_048, 4_096, 8_192, 16_384, 32_768] {
        let texts = (0..tokens / LENGTH).map(|_| (0..LENGTH).map(|_| rng.below(30_522) as u32).collect::<Vec<_>>());
        let batch = PackedBatch::new(texts.collect::<Vec<_>>());
        let upstream: Vec<f32> = (0..tokens * 384).map(|n| (n % 7) as f32 - 3.0).collect();
        let mut number = 0;
        group.throughput(Throughput::Elements(tokens as u64));
        group.bench_with_input(BenchmarkId::from_parameter(tokens), &batch, |bench, batch| {
            bench.iter(|| {
                number += 1;
                activations.set_dropout(Some(Dropout { seed: 3, step: number, first_token: 0 }));
                encoder.parameters_mut().zero_grads();
                encoder.forward(batch, &mut activations).unwrap();
                encoder.backward(batch, &mut activations, &upstream).unwrap();
                optimizer.step(encoder.parameters_mut(), 1e-5).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
