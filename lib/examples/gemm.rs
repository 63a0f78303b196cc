//! The rate of the engine's matrix products, for the shapes of MiniLM-L6 and BERT-base with a batch of real
//! length: forward, gradient of the input, gradient of the weight. One JSON line a shape, GFLOP/s, median of 15; behind
//! them those of the `gemm` crate, which computes them where there is no AVX-512.
//!
//! `tests/parity/gemm.py` sets those of PyTorch (MKL) beside them.

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
            let flop = 2.0 * (tokens * inputs * outputs) as f64;
            let by_crate = [
                rate(flop, || crates(&mut y, [tokens, outputs, inputs], (&x, [inputs, 1]), (&weight, [1, inputs]))),
                rate(flop, || crates(&mut dx, [tokens, inputs, outputs], (&dy, [outputs, 1]), (&weight, [inputs, 1]))),
                rate(flop, || crates(&mut d_weight, [outputs, inputs, tokens], (&dy, [1, outputs]), (&x, [inputs, 1]))),
            ];
            let (x, dy) = (View::new(&x, tokens, inputs), View::new(&dy, tokens, outputs));
            let weight = View::new(&weight, outputs, inputs);
            let record = json!({
                "model": model, "tokens": tokens, "inputs": inputs, "outputs": outputs,
                "forward": rate(flop, || gemm(&mut y, x, weight.t(), 1.0, false, Threads::All)),
                "dx": rate(flop, || gemm(&mut dx, dy, weight, 1.0, false, Threads::All)),
                "dw": rate(flop, || gemm(&mut d_weight, dy.t(), x, 1.0, true, Threads::All)),
                "gemm_crate": by_crate,
            });
            println!("{record}");
        }
    }
}

/// `dst (m, n) += lhs (m, k) rhs (k, n)` by the `gemm` crate; matrices come with their strides of rows and columns.
fn crates(dst: &mut [f32], [m, n, k]: [usize; 3], lhs: (&[f32], [usize; 2]), rhs: (&[f32], [usize; 2])) {
    let [(lhs, [lhs_row, lhs_col]), (rhs, [rhs_row, rhs_col])] =
        [lhs, rhs].map(|(data, strides)| (data.as_ptr(), strides.map(|stride| stride as isize)));
    let threads = gemm::Parallelism::Rayon(0);
    // SAFETY: the shapes are those of the buffers.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr(),
            1,
            n as isize,
            true,
            lhs,
            lhs_col,
            lhs_row,
            rhs,
            rhs_col,
            rhs_row,
            1.0,
            1.0,
            false,
            false,
            false,
            threads,
        );
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
