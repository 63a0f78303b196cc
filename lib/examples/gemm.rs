//! The rate of the engine's matrix products, for the shapes of MiniLM-L6 and BERT-base with a batch of real
//! length: forward, gradient of the input, gradient of the weight. One JSON line a shape, GFLOP/s, median of 15.
//!
//! `tests/parity/gemm.py` prints the same of PyTorch (MKL).

use std::time::Instant;

use kensaku::nn::{Threads, View, gemm};
use kensaku::serde_json::json;

fn main() {
    for (model, tokens, width, inner) in [("minilm", 4788, 384, 1536), ("bert-base", 2401, 768, 3072)] {
        for (inputs, outputs) in [(width, 3 * width), (width, width), (width, inner), (inner, width)] {
            let numbers = |len: usize| -> Vec<f32> { (0..len).map(|n| (n % 1013) as f32 / 500.0 - 1.0).collect() };
            let (x, weight, dy) = (numbers(tokens * inputs), numbers(outputs * inputs), numbers(tokens * outputs));
            let (mut y, mut dx) = (vec![0.0; tokens * outputs], vec![0.0; tokens * inputs]);
            let mut d_weight = vec![0.0; outputs * inputs];
            let (x, dy) = (View::new(&x, tokens, inputs), View::new(&dy, tokens, outputs));
            let weight = View::new(&weight, outputs, inputs);
            let flop = 2.0 * (tokens * inputs * outputs) as f64;
            let record = json!({
                "model": model, "tokens": tokens, "inputs": inputs, "outputs": outputs,
                "forward": rate(flop, || gemm(&mut y, x, weight.t(), 1.0, false, Threads::All)),
                "dx": rate(flop, || gemm(&mut dx, dy, weight, 1.0, false, Threads::All)),
                "dw": rate(flop, || gemm(&mut d_weight, dy.t(), x, 1.0, true, Threads::All)),
            });
            println!("{record}");
        }
    }
}

fn rate(flop: f64, mut product: impl FnMut()) -> f64 {
    product();
    let mut seconds: Vec<f64> = (0..15)
        .map(|_| {
            let start = Instant::now();
            product();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    (flop / seconds[7] / 1e8).round() / 10.0
}
