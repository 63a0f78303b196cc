//! Bias, dropout, residual and layer norm, fused: `y = norm(dropout(x + b) + residual) γ + β`.

use rayon::prelude::*;

use super::ROWS_PER_TASK;
use super::dropout::Site;
use super::linear::{ROWS_PER_SUM, add_parts, column_sums};
use crate::nn::math::{lane_sum, vectorised};
use crate::nn::saved_tensor::{Kept, Storage, grow};

/// The weights of a norm.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'a> {
    pub(crate) gamma: &'a [f32],
    pub(crate) beta: Option<&'a [f32]>,
    pub(crate) eps: f32,
}

/// What happens to `x` before the norm, in this order.
#[derive(Clone, Copy, Default)]
pub(crate) struct Before<'a> {
    /// `(H,)`, added to each row.
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) dropout: Option<Site<'a>>,
    /// Whether the output's old content is added.
    pub(crate) residual: bool,
}

/// What the backward pass needs: the normalised rows `(T, H)` and one over each row's deviation `(T,)`.
#[derive(Debug, Default)]
pub(crate) struct NormCache {
    normalised: Kept,
    inverse_deviation: Vec<f32>,
}

impl NormCache {
    pub(crate) fn fit(&mut self, tokens: usize, width: usize, storage: Storage) {
        self.normalised.fit(tokens * width, storage);
        grow(&mut self.inverse_deviation, tokens);
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.normalised.bytes() + size_of::<f32>() * self.inverse_deviation.capacity()
    }
}

/// `y (T, H)` from `x (T, H)`, which is overwritten if anything is added or dropped.
pub(crate) fn forward(
    y: &mut [f32],
    x: &mut [f32],
    before: Before<'_>,
    norm: Norm<'_>,
    cache: &mut NormCache,
    scratch: &mut [f32],
) {
    let width = norm.gamma.len();
    let task = width * ROWS_PER_TASK;
    let NormCache { normalised, inverse_deviation } = cache;
    let inverse_deviation = &mut inverse_deviation[..y.len() / width];
    normalised.fill(y.len(), scratch, |normalised| {
        let rows = y.par_chunks_mut(task).zip(x.par_chunks_mut(task)).enumerate();
        let cached = normalised.par_chunks_mut(task).zip(inverse_deviation.par_chunks_mut(ROWS_PER_TASK));
        rows.zip(cached).for_each(|((index, (y, x)), (normalised, inverse_deviation))| {
            let rows = x.chunks_exact_mut(width).zip(y.chunks_exact(width));
            for (row, (x, residual)) in rows.enumerate() {
                if let Some(bias) = before.bias {
                    add_row(x, bias);
                }
                if let Some(site) = before.dropout {
                    site.apply(index * ROWS_PER_TASK + row, x);
                }
                if before.residual {
                    add_row(x, residual);
                }
            }
            normalise(y, x, norm, normalised, inverse_deviation);
        });
    });
}

/// The output of the last forward pass again, `y (T, H)`.
pub(crate) fn restore(y: &mut [f32], norm: Norm<'_>, cache: &NormCache, widened: &mut [f32]) {
    let task = norm.gamma.len() * ROWS_PER_TASK;
    let normalised = cache.normalised.read(y.len(), widened);
    let rows = y.par_chunks_mut(task).zip(normalised.par_chunks(task));
    rows.for_each(|(y, normalised)| scale(y, normalised, norm));
}

/// From `dy (T, H)`: `d_sum`, the gradient of the sum before the norm (that of the residual), in
/// `dy`'s place; `dγ` and `dβ` are added up where they are wanted. The gradient of `x` is `d_sum` through [`drop`].
pub(crate) fn backward(
    dy: &mut [f32],
    gamma: &[f32],
    cache: &NormCache,
    widened: &mut [f32],
    (d_gamma, d_beta): (Option<&mut [f32]>, Option<&mut [f32]>),
) {
    let width = gamma.len();
    let normalised = cache.normalised.read(dy.len(), widened);
    let inverse_deviation = &cache.inverse_deviation[..dy.len() / width];
    // The sums over some rows, while these are near, and then their slopes in the gradient's place.
    let task = width * ROWS_PER_SUM;
    let rows = dy.par_chunks_mut(task).zip(normalised.par_chunks(task));
    let (scaled, shifted) = (d_gamma.is_some(), d_beta.is_some());
    let parts = rows.zip(inverse_deviation.par_chunks(ROWS_PER_SUM)).map(|((dy, normalised), inverse_deviation)| {
        let products = if scaled { products(dy, normalised, width) } else { Vec::new() };
        let parts = (products, if shifted { column_sums(dy, width) } else { Vec::new() });
        slope(dy, gamma, normalised, inverse_deviation);
        parts
    });
    let (gamma_parts, beta_parts): (Vec<_>, Vec<_>) = parts.unzip();
    if let Some(d_gamma) = d_gamma {
        add_parts(d_gamma, gamma_parts);
    }
    if let Some(d_beta) = d_beta {
        add_parts(d_beta, beta_parts);
    }
}

/// `d = dropout(d_sum)`: the gradient on the other side of the dropout, by the same mask.
pub(crate) fn drop(d: &mut [f32], d_sum: &[f32], width: usize, dropout: Option<Site<'_>>) {
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
            let mean = lane_sum([x], |[x]| x) / width as f32;
            let variance = lane_sum([x], |[x]| (x - mean) * (x - mean)) / width as f32;
            *inverse = 1.0 / (variance + norm.eps).sqrt();
            for (normalised, x) in normalised.iter_mut().zip(x) {
                *normalised = (x - mean) * *inverse;
            }
            scale_row(y, normalised, norm);
        }
    }
}

vectorised! {
    fn scale(y: &mut [f32], normalised: &[f32], norm: Norm<'_>) {
        let width = norm.gamma.len();
        for (y, normalised) in y.chunks_exact_mut(width).zip(normalised.chunks_exact(width)) {
            scale_row(y, normalised, norm);
        }
    }
}

#[inline(always)]
fn scale_row(y: &mut [f32], normalised: &[f32], norm: Norm<'_>) {
    match norm.beta {
        Some(beta) => {
            for (y, ((normalised, gamma), beta)) in y.iter_mut().zip(normalised.iter().zip(norm.gamma).zip(beta)) {
                *y = normalised * gamma + beta;
            }
        }
        None => {
            for (y, (normalised, gamma)) in y.iter_mut().zip(normalised.iter().zip(norm.gamma)) {
                *y = normalised * gamma;
            }
        }
    }
}

vectorised! {
    fn slope(dy: &mut [f32], gamma: &[f32], normalised: &[f32], inverse_deviation: &[f32]) {
        let width = gamma.len();
        let rows = dy.chunks_exact_mut(width).zip(normalised.chunks_exact(width));
        for ((dy, normalised), inverse) in rows.zip(inverse_deviation) {
            let mean = lane_sum([dy, gamma], |[dy, gamma]| dy * gamma) / width as f32;
            let along = lane_sum([dy, gamma, normalised], |[dy, gamma, normalised]| dy * gamma * normalised) / width as f32;
            for (dy, (gamma, normalised)) in dy.iter_mut().zip(gamma.iter().zip(normalised)) {
                *dy = inverse * (*dy * gamma - mean - normalised * along);
            }
        }
    }
}

vectorised! {
    fn products(left: &[f32], right: &[f32], width: usize) -> Vec<f64> {
        let mut sums = vec![0.0; width];
        for (left, right) in left.chunks_exact(width).zip(right.chunks_exact(width)) {
            for (sum, (left, right)) in sums.iter_mut().zip(left.iter().zip(right)) {
                *sum += f64::from(left * right);
            }
        }
        sums
    }
}
