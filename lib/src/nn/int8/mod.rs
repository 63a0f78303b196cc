//! Matrix products in int8, for inference: dynamic quantisation.
//!
//! A weight row `w` is kept as `round(w / s)` with `s = max|w| / 127`, one scale per output. The input is
//! quantised row by row when it comes: `q = round(x / r) + z`, an unsigned byte, with `r` and `z` from the
//! row's own smallest and largest number. Then
//!
//! ```text
//! y[t, n] = r_t s_n (sum_k q[t, k] w[n, k] - z_t sum_k w[n, k])
//! ```
//!
//! where the sums are exact integers, so every instruction set and number of threads gives the same bits.

mod kernel;
mod rows;
mod weights;

use rayon::prelude::*;

use kernel::{OUTPUTS, ROWS, Tile};
pub(crate) use rows::Int8Rows;
pub use weights::Int8Weights;
pub(crate) use weights::Map;

/// Inputs that one instruction multiplies and adds up for each output.
const INT8_GROUP: usize = 4;

/// A weight `(out, in)` in int8.
#[derive(Debug, Clone)]
pub(crate) struct Int8Matrix {
    inputs: usize,
    /// Panels of [`OUTPUTS`] outputs; in each, groups of [`INT8_GROUP`] inputs, output by output. Zero where the
    /// matrix ends.
    panels: Vec<i8>,
    /// `s` of each output.
    scales: Vec<f32>,
    /// The sum of each output's integers.
    sums: Vec<i32>,
}

impl Int8Matrix {
    /// Quantises a row-major weight `(outputs, inputs)`.
    pub(crate) fn new(weight: &[f32], outputs: usize) -> Self {
        let inputs = weight.len() / outputs;
        let depth = inputs.next_multiple_of(INT8_GROUP);
        let mut panels = vec![0; outputs.div_ceil(OUTPUTS) * OUTPUTS * depth];
        let mut scales = Vec::with_capacity(outputs);
        let mut sums = Vec::with_capacity(outputs);
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
            let panel = &mut panels[output / OUTPUTS * OUTPUTS * depth..][..OUTPUTS * depth];
            let mut sum = 0;
            for (input, value) in row.iter().enumerate() {
                let quantised = (value / scale).round() as i8;
                panel[(input / INT8_GROUP * OUTPUTS + output % OUTPUTS) * INT8_GROUP + input % INT8_GROUP] = quantised;
                sum += i32::from(quantised);
            }
            scales.push(scale);
            sums.push(sum);
        }
        Self { inputs, panels, scales, sums }
    }

    /// `y (T, out) = x (T, in) Wᵀ`; the bias is left to whichever kernel reads `y` next.
    pub(crate) fn forward(&self, y: &mut [f32], x: &Int8Rows) {
        let outputs = self.scales.len();
        debug_assert_eq!(x.width, self.inputs, "inner dimensions of a matrix product");
        y.par_chunks_mut(ROWS * ROWS_OF_TILES * outputs).enumerate().for_each(|(task, y)| {
            for (panel, weights) in self.panels.chunks_exact(OUTPUTS * x.depth).enumerate() {
                let here = panel * OUTPUTS..((panel + 1) * OUTPUTS).min(outputs);
                for (tile, y) in y.chunks_mut(ROWS * outputs).enumerate() {
                    let first = (task * ROWS_OF_TILES + tile) * ROWS;
                    let these = first..first + y.len() / outputs;
                    let tile = Tile {
                        y: &mut y[here.start..],
                        stride: outputs,
                        rows: (&x.scales[these.clone()], &x.zeros[these]),
                        outputs: (&self.scales[here.clone()], &self.sums[here.clone()]),
                    };
                    kernel::multiply(tile, x.from(first), x.depth, weights);
                }
            }
        });
    }
}

/// Tiles of rows that one task computes, so that a panel of weights is read once for all of them.
const ROWS_OF_TILES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Philox;

    fn random(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = Philox::new(seed);
        (0..len).map(|_| rng.normal() as f32).collect()
    }

    /// Against the formula in f64, for sizes that end inside panels, groups and tiles.
    #[test]
    fn equals_the_formula() {
        for (rows, inputs, outputs) in [(1, 1, 1), (3, 5, 7), (8, 64, 48), (70, 131, 97), (17, 384, 50)] {
            let (x, weight) = (random(rows * inputs, 1), random(outputs * inputs, 2));
            let (matrix, quantised) = (Int8Matrix::new(&weight, outputs), Int8Rows::new(&x, inputs));
            let mut y = vec![0.0; rows * outputs];
            matrix.forward(&mut y, &quantised);
            for row in 0..rows {
                for output in 0..outputs {
                    let back = |k: usize| {
                        let q = i32::from(quantised.values[row * quantised.depth + k]) - quantised.zeros[row];
                        f64::from(q) * f64::from(quantised.scales[row])
                    };
                    let scale = f64::from(matrix.scales[output]);
                    let weight = &weight[output * inputs..][..inputs];
                    let sum: f64 = (0..inputs).map(|k| back(k) * (f64::from(weight[k]) / scale).round() * scale).sum();
                    let found = f64::from(y[row * outputs + output]);
                    assert!((found - sum).abs() < 1e-4 * (1.0 + sum.abs()), "{found} {sum}");
                }
            }
        }
    }

    /// The quantised product is near the exact one: within 2 % of its norm.
    #[test]
    fn is_near_the_exact_product() {
        let (rows, inputs, outputs) = (40, 384, 100);
        let (x, weight) = (random(rows * inputs, 4), random(outputs * inputs, 5));
        let mut y = vec![0.0; rows * outputs];
        Int8Matrix::new(&weight, outputs).forward(&mut y, &Int8Rows::new(&x, inputs));
        let (mut off, mut all) = (0.0, 0.0);
        for (place, found) in y.iter().enumerate() {
            let (x, weight) = (&x[place / outputs * inputs..][..inputs], &weight[place % outputs * inputs..][..inputs]);
            let exact: f64 = x.iter().zip(weight).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
            off += (f64::from(*found) - exact).powi(2);
            all += exact.powi(2);
        }
        assert!((off / all).sqrt() < 0.02, "{}", (off / all).sqrt());
    }

    #[test]
    fn constant_and_zero_rows_are_exact() {
        let x = [vec![0.0; 8], vec![2.5; 8], vec![-1.0; 8]].concat();
        let mut y = vec![0.0; 3];
        Int8Matrix::new(&[1.0; 8], 1).forward(&mut y, &Int8Rows::new(&x, 8));
        for (found, expected) in y.iter().zip([0.0, 20.0, -8.0]) {
            assert!((found - expected).abs() < 1e-5, "{y:?}");
        }
    }
}
