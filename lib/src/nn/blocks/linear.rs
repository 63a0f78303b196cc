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

/// From `dy (T, out)`: `dx (T, in) = dy W` (added to what is there with `accumulate`), `dW += dyᵀ x`,
/// `db += column sums of dy`, where the map has a bias.
pub(crate) fn backward(
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    rows: usize,
    dx: &mut [f32],
    accumulate: bool,
    (d_weight, d_bias): (&mut [f32], Option<&mut [f32]>),
) {
    let (inputs, outputs) = (x.len() / rows, dy.len() / rows);
    let dy_view = View::new(dy, rows, outputs);
    gemm(dx, dy_view, View::new(weight, outputs, inputs), 1.0, accumulate, Threads::All);
    gemm(d_weight, dy_view.t(), View::new(x, rows, inputs), 1.0, true, Threads::All);
    if let Some(d_bias) = d_bias {
        add_column_sums(d_bias, dy);
    }
}

/// `sums += column sums of values (T, sums.len())`, a block of columns a task.
pub(crate) fn add_column_sums(sums: &mut [f32], values: &[f32]) {
    const COLUMNS: usize = 64;
    let width = sums.len();
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(block, sums)| {
        add_columns(sums, values, width, block * COLUMNS);
    });
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
    fn add_columns(sums: &mut [f32], values: &[f32], width: usize, first: usize) {
        for row in values.chunks_exact(width) {
            for (sum, value) in sums.iter_mut().zip(&row[first..]) {
                *sum += value;
            }
        }
    }
}
