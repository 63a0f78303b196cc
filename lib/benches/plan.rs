//! Planning an epoch of 1 M pairs in which texts repeat, in batches of 128 without duplicates: the data of
//! `shared/peers/sampler.py`. The first epoch hashes the texts, later ones do not.
//!
//! `RAYON_NUM_THREADS=1 cargo bench -p kensaku --bench plan`

use criterion::{Criterion, criterion_group, criterion_main};
use kensaku::data::{BatchPlan, Texts};

const PAIRS: u64 = 1_000_000;

/// SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

fn plan(criterion: &mut Criterion) {
    let mut numbers = Numbers(5);
    let (mut queries, mut docs) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        queries.push(format!("question number {} about some subject", numbers.below(PAIRS * 3 / 4)));
        let doc = numbers.below(PAIRS / 2);
        docs.push(format!("document number {doc}, a passage of a few words"));
    }
    let columns = [Texts::from_iter(queries), Texts::from_iter(docs)];
    let mut group = criterion.benchmark_group("plan/1M pairs");
    group.sample_size(10);
    let plan = || BatchPlan::new(&columns, 128, true, 12).unwrap();
    group.bench_function("first epoch", |bench| bench.iter(|| plan().epoch(0).unwrap()));
    let plan = plan();
    group.bench_function("later epoch", |bench| bench.iter(|| plan.epoch(1).unwrap()));
    group.finish();
}

criterion_group!(benches, plan);
criterion_main!(benches);
