//! Rows of length 1.

use rayon::prelude::*;

/// Rows shorter than this are not made longer to 1, as in PyTorch's `normalize`.
const SHORTEST: f32 = 1e-12;
/// Rows of a task.
const TASK: usize = 64;

/// Scales every row to length 1; returns the lengths.
pub(crate) fn normalize_rows(rows: &mut [f32], width: usize) -> Vec<f32> {
    let lengths = rows.par_chunks_mut(width * TASK).flat_map_iter(|rows| {
        rows.chunks_exact_mut(width).map(|row| {
            let length = dot(row, row).sqrt().max(SHORTEST);
            row.iter_mut().for_each(|value| *value /= length);
            length
        })
    });
    lengths.collect()
}

/// From the gradient of rows of length 1, that of the rows before: `(g - v (v · g)) / length`.
pub(crate) fn normalize_rows_backward(rows: &[f32], lengths: &[f32], gradient: &[f32], width: usize) -> Vec<f32> {
    let mut before = gradient.to_vec();
    let rows = rows.par_chunks_exact(width).zip(lengths);
    before.par_chunks_exact_mut(width).zip(rows).for_each(|(gradient, (row, length))| {
        let along = dot(row, gradient);
        gradient.iter_mut().zip(row).for_each(|(gradient, value)| *gradient = (*gradient - value * along) / length);
    });
    before
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}
