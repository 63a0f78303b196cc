//! `y = x Wᵀ + b`, as PyTorch stores it: `W (out, in)`, `b (out,)`.

use rayon::prelude::*;

use super::ROWS_PER_TASK;
use crate::nn::gemm::{Threads, View, gemm};
use crate::nn::math::vectorised;

/// `y (T, out) = x (T, in) Wᵀ`; the bias is left to whichever kernel reads `y` next.
pub(crate) fn forward(y: &mut [f32], x: &[f32], weight: &[f32], rows: usize) {
    let (inputs, outputs) = (x.len() / rows, y.len() / rows);
    gemm(y, View::new(x, rows, inputs), View::new(weight, outputs, inputs).t(), 1.0, false, Threads::All);
}

/// Adds a bias to every row.
pub(crate) fn add_bias(y: &mut [f32], bias: &[f32]) {
    y.par_chunks_mut(bias.len() * ROWS_PER_TASK).for_each(|rows| add_to_rows(rows, bias));
}

/// From `dy (T, out)`: `dx (T, in) = dy W`, added to what is there with `accumulate`.
pub(crate) fn backward_input(dx: &mut [f32], accumulate: bool, dy: &[f32], weight: &[f32], rows: usize) {
    let (inputs, outputs) = (dx.len() / rows, dy.len() / rows);
    gemm(dx, View::new(dy, rows, outputs), View::new(weight, outputs, inputs), 1.0, accumulate, Threads::All);
}

/// From `dy (T, out)` and `x (T, in)`: `dW += dyᵀ x`, `db += column sums of dy`, of each where it is wanted.
pub(crate) fn backward_weight(
    (d_weight, d_bias): (Option<&mut [f32]>, Option<&mut [f32]>),
    dy: &[f32],
    x: &[f32],
    rows: usize,
) {
    let (inputs, outputs) = (x.len() / rows, dy.len() / rows);
    if let Some(d_weight) = d_weight {
        gemm(d_weight, View::new(dy, rows, outputs).t(), View::new(x, rows, inputs), 1.0, true, Threads::All);
    }
    if let Some(d_bias) = d_bias {
        add_column_sums(d_bias, dy);
    }
}

/// Both.
pub(crate) fn backward(
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    rows: usize,
    dx: &mut [f32],
    (d_weight, d_bias): (&mut [f32], Option<&mut [f32]>),
) {
    backward_input(dx, false, dy, weight, rows);
    backward_weight((Some(d_weight), d_bias), dy, x, rows);
}

/// Rows that are summed up by themselves, before the sums are: an order that no number of threads changes.
pub(crate) const ROWS_PER_SUM: usize = 256;

/// `sums += column sums of values (T, sums.len())`.
pub(crate) fn add_column_sums(sums: &mut [f32], values: &[f32]) {
    let width = sums.len();
    add_parts(sums, values.par_chunks(width * ROWS_PER_SUM).map(|rows| column_sums(rows, width)).collect());
}

/// `sums += parts`, in their order. The terms of a bias may cancel: in f32 little more than rounding would be left.
pub(crate) fn add_parts(sums: &mut [f32], parts: Vec<Vec<f64>>) {
    for (column, sum) in sums.iter_mut().enumerate() {
        *sum += parts.iter().map(|part| part[column]).sum::<f64>() as f32;
    }
}

vectorised! {
    fn add_to_rows(rows: &mut [f32], bias: &[f32]) {
        for row in rows.chunks_exact_mut(bias.len()) {
            for (value, bias) in row.iter_mut().zip(bias) {
                *value += bias;
            }
        }
    }
}

vectorised! {
    /// The sums of columns of `rows (.., width)`.
    pub(crate) fn column_sums(rows: &[f32], width: usize) -> Vec<f64> {
        let mut sums = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += f64::from(*value);
            }
        }
        sums
    }
}
