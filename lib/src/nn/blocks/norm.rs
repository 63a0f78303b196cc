//! Bias, dropout, residual and layer norm, fused: `y = norm(dropout(x + b) + residual) γ + β`.

use rayon::prelude::*;

use super::ROWS_PER_TASK;
use super::dropout::Site;
use super::linear::add_column_sums;
use crate::nn::math::{lane_sum, vectorised};

/// The weights of a norm.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'a> {
    pub(crate) gamma: &'a [f32],
    pub(crate) beta: Option<&'a [f32]>,
    pub(crate) eps: f32,
}

/// What is added before a norm.
#[derive(Clone, Copy)]
pub(crate) struct Add<'a> {
    /// `(H,)`, to each row, before the dropout.
    pub(crate) bias: Option<&'a [f32]>,
    /// `(T, H)`, behind the dropout.
    pub(crate) residual: &'a [f32],
}

/// What the backward pass needs: the normalised rows `(T, H)` and one over each row's deviation `(T,)`.
#[derive(Debug, Clone, Default)]
pub(crate) struct NormCache {
    pub(crate) normalised: Vec<f32>,
    pub(crate) inverse_deviation: Vec<f32>,
}

/// `y (T, H)` from `x (T, H)`, which is overwritten if anything is added or dropped.
pub(crate) fn forward(
    y: &mut [f32],
    x: &mut [f32],
    add: Option<Add<'_>>,
    norm: Norm<'_>,
    dropout: Option<Site>,
    cache: (&mut [f32], &mut [f32]),
) {
    let width = norm.gamma.len();
    let task = width * ROWS_PER_TASK;
    let rows = y.par_chunks_mut(task).zip(x.par_chunks_mut(task)).enumerate();
    let cached = cache.0.par_chunks_mut(task).zip(cache.1.par_chunks_mut(ROWS_PER_TASK));
    rows.zip(cached).for_each(|((index, (y, x)), (normalised, inverse_deviation))| {
        let first = index * ROWS_PER_TASK;
        for (row, x) in x.chunks_exact_mut(width).enumerate() {
            if let Some(Add { bias: Some(bias), .. }) = add {
                add_row(x, bias);
            }
            if let Some(site) = dropout {
                site.apply(first + row, x);
            }
            if let Some(Add { residual, .. }) = add {
                add_row(x, &residual[(first + row) * width..][..width]);
            }
        }
        normalise(y, x, norm, normalised, inverse_deviation);
    });
}

/// From `dy (T, H)`: `d_sum`, the gradient of the sum before the norm (that of the residual), in
/// `dy`'s place; `dγ` and `dβ` are added up. The gradient of `x` is `d_sum` through [`drop`].
pub(crate) fn backward(
    dy: &mut [f32],
    gamma: &[f32],
    cache: (&[f32], &[f32]),
    (d_gamma, d_beta): (&mut [f32], Option<&mut [f32]>),
) {
    let width = gamma.len();
    let (normalised, inverse_deviation) = cache;
    if let Some(d_beta) = d_beta {
        add_column_sums(d_beta, dy);
    }
    add_product_sums(d_gamma, dy, normalised);
    let task = width * ROWS_PER_TASK;
    let rows = dy.par_chunks_mut(task).zip(normalised.par_chunks(task));
    rows.zip(inverse_deviation.par_chunks(ROWS_PER_TASK)).for_each(|((dy, normalised), inverse_deviation)| {
        slope(dy, gamma, normalised, inverse_deviation);
    });
}

/// `d = dropout(d_sum)`: the gradient on the other side of the dropout, by the same mask.
pub(crate) fn drop(d: &mut [f32], d_sum: &[f32], width: usize, dropout: Option<Site>) {
    let task = width * ROWS_PER_TASK;
    d.par_chunks_mut(task).zip(d_sum.par_chunks(task)).enumerate().for_each(|(index, (d, d_sum))| {
        d.copy_from_slice(d_sum);
        if let Some(site) = dropout {
            for (row, d) in d.chunks_exact_mut(width).enumerate() {
                site.apply(index * ROWS_PER_TASK + row, d);
            }
        }
    });
}

fn add_product_sums(sums: &mut [f32], left: &[f32], right: &[f32]) {
    const COLUMNS: usize = 64;
    let width = sums.len();
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(block, sums)| {
        add_products(sums, left, right, width, block * COLUMNS);
    });
}

vectorised! {
    fn add_row(x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
    }
}

vectorised! {
    fn normalise(y: &mut [f32], x: &[f32], norm: Norm<'_>, normalised: &mut [f32], inverse_deviation: &mut [f32]) {
        let width = norm.gamma.len();
        let rows = y.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(normalised.chunks_exact_mut(width));
        for (((y, x), normalised), inverse) in rows.zip(inverse_deviation) {
            // Two passes: E[x²] - E[x]² loses the variance where the mean is large.
            let mean = lane_sum(width, |i| x[i]) / width as f32;
            let variance = lane_sum(width, |i| (x[i] - mean) * (x[i] - mean)) / width as f32;
            *inverse = 1.0 / (variance + norm.eps).sqrt();
            for i in 0..width {
                normalised[i] = (x[i] - mean) * *inverse;
                y[i] = normalised[i] * norm.gamma[i];
            }
            if let Some(beta) = norm.beta {
                for (y, beta) in y.iter_mut().zip(beta) {
                    *y += beta;
                }
            }
        }
    }
}

vectorised! {
    fn slope(dy: &mut [f32], gamma: &[f32], normalised: &[f32], inverse_deviation: &[f32]) {
        let width = gamma.len();
        let rows = dy.chunks_exact_mut(width).zip(normalised.chunks_exact(width));
        for ((dy, normalised), inverse) in rows.zip(inverse_deviation) {
            let mean = lane_sum(width, |i| dy[i] * gamma[i]) / width as f32;
            let along = lane_sum(width, |i| dy[i] * gamma[i] * normalised[i]) / width as f32;
            for i in 0..width {
                dy[i] = inverse * (dy[i] * gamma[i] - mean - normalised[i] * along);
            }
        }
    }
}

vectorised! {
    fn add_products(sums: &mut [f32], left: &[f32], right: &[f32], width: usize, first: usize) {
        for (left, right) in left.chunks_exact(width).zip(right.chunks_exact(width)) {
            for (sum, (left, right)) in sums.iter_mut().zip(left[first..].iter().zip(&right[first..])) {
                *sum += left * right;
            }
        }
    }
}
