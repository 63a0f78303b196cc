//! Bias and activation of the feed-forward block, fused.

use rayon::prelude::*;

use super::ROWS_PER_TASK;
use crate::nn::config::Activation;
use crate::nn::math::{erf, exp, vectorised};

/// Elements that one task of an element-wise kernel takes.
const TASK: usize = 1 << 14;

/// `pre += bias; out = act(pre)`, both `(T, I)`; `pre` is kept for the backward pass.
pub(crate) fn forward(pre: &mut [f32], out: &mut [f32], bias: Option<&[f32]>, activation: Activation) {
    let task = bias.map_or(TASK, |bias| bias.len() * ROWS_PER_TASK);
    // Without a bias a row is as good as any other cut: the values are independent.
    let bias = bias.unwrap_or(&[]);
    pre.par_chunks_mut(task).zip(out.par_chunks_mut(task)).for_each(|(pre, out)| match activation {
        Activation::Gelu => gelu_rows(pre, out, bias),
        Activation::GeluTanh => gelu_tanh_rows(pre, out, bias),
        Activation::Relu => relu_rows(pre, out, bias),
        Activation::Tanh => tanh_rows(pre, out, bias),
    });
}

/// `x = act(x + bias)` in place `(T, I)`, where no backward pass follows.
pub(crate) fn apply(x: &mut [f32], bias: Option<&[f32]>, activation: Activation) {
    let task = bias.map_or(TASK, |bias| bias.len() * ROWS_PER_TASK);
    let bias = bias.unwrap_or(&[]);
    x.par_chunks_mut(task).for_each(|x| match activation {
        Activation::Gelu => gelu_apply(x, bias),
        Activation::GeluTanh => gelu_tanh_apply(x, bias),
        Activation::Relu => relu_apply(x, bias),
        Activation::Tanh => tanh_apply(x, bias),
    });
}

/// `d *= act'(pre); out = act(pre)`: turns the gradient of the output into that of the input, in place, and
/// computes the output again, which the gradient of the next map needs.
pub(crate) fn backward(d: &mut [f32], pre: &[f32], out: &mut [f32], activation: Activation) {
    let parts = d.par_chunks_mut(TASK).zip(pre.par_chunks(TASK)).zip(out.par_chunks_mut(TASK));
    parts.for_each(|((d, pre), out)| match activation {
        Activation::Gelu => gelu_slopes(d, pre, out),
        Activation::GeluTanh => gelu_tanh_slopes(d, pre, out),
        Activation::Relu => relu_slopes(d, pre, out),
        Activation::Tanh => tanh_slopes(d, pre, out),
    });
}

macro_rules! rows_of {
    ($name:ident, $apply:ident, $activation:expr) => {
        vectorised! {
            fn $name(pre: &mut [f32], out: &mut [f32], bias: &[f32]) {
                if bias.is_empty() {
                    for (pre, out) in pre.iter().zip(out) {
                        *out = $activation(*pre);
                    }
                    return;
                }
                for (pre, out) in pre.chunks_exact_mut(bias.len()).zip(out.chunks_exact_mut(bias.len())) {
                    for ((pre, out), bias) in pre.iter_mut().zip(out).zip(bias) {
                        *pre += bias;
                        *out = $activation(*pre);
                    }
                }
            }
        }

        vectorised! {
            fn $apply(x: &mut [f32], bias: &[f32]) {
                if bias.is_empty() {
                    x.iter_mut().for_each(|x| *x = $activation(*x));
                    return;
                }
                for row in x.chunks_exact_mut(bias.len()) {
                    row.iter_mut().zip(bias).for_each(|(x, bias)| *x = $activation(*x + bias));
                }
            }
        }
    };
}

macro_rules! slope_of {
    ($name:ident, $activation:expr, $slope:expr) => {
        vectorised! {
            fn $name(d: &mut [f32], pre: &[f32], out: &mut [f32]) {
                for (d, (pre, out)) in d.iter_mut().zip(pre.iter().zip(out)) {
                    *d *= $slope(*pre);
                    *out = $activation(*pre);
                }
            }
        }
    };
}

rows_of!(gelu_rows, gelu_apply, gelu);
rows_of!(gelu_tanh_rows, gelu_tanh_apply, gelu_tanh);
rows_of!(relu_rows, relu_apply, relu);
rows_of!(tanh_rows, tanh_apply, tanh);

slope_of!(gelu_slopes, gelu, gelu_slope);
slope_of!(gelu_tanh_slopes, gelu_tanh, gelu_tanh_slope);
slope_of!(relu_slopes, relu, relu_slope);
slope_of!(tanh_slopes, tanh, tanh_slope);

#[inline(always)]
pub(crate) fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline(always)]
pub(crate) fn gelu_slope(x: f32) -> f32 {
    const INV_SQRT_TAU: f32 = 0.398_942_3;
    0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)) + x * INV_SQRT_TAU * exp(-0.5 * x * x)
}

#[inline(always)]
pub(super) fn gelu_tanh(x: f32) -> f32 {
    0.5 * x * (1.0 + tanh_term(x))
}

#[inline(always)]
pub(super) fn gelu_tanh_slope(x: f32) -> f32 {
    let tanh = tanh_term(x);
    let inner = 0.797_884_6 * (1.0 + 3.0 * 0.044_715 * x * x);
    0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * inner
}

/// `tanh(sqrt(2/pi) (x + 0.044715 x³))`
#[inline(always)]
fn tanh_term(x: f32) -> f32 {
    tanh(0.797_884_6 * (x + 0.044_715 * x * x * x))
}

#[inline(always)]
pub(crate) fn relu(x: f32) -> f32 {
    x.max(0.0)
}

#[inline(always)]
pub(crate) fn relu_slope(x: f32) -> f32 {
    if x > 0.0 { 1.0 } else { 0.0 }
}

#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

#[inline(always)]
pub(super) fn tanh_slope(x: f32) -> f32 {
    let tanh = tanh(x);
    1.0 - tanh * tanh
}
