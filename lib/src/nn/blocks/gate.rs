//! The activation with a gate, GeGLU (Shazeer 2020): `out = act(x) * g`, where `x` and `g` lie side by
//! side.

use rayon::prelude::*;

use super::activation::{gelu, gelu_slope, gelu_tanh, gelu_tanh_slope, relu, relu_slope, tanh, tanh_slope};
use super::{ROWS_PER_TASK, linear};
use crate::nn::config::Activation;
use crate::nn::math::vectorised;

/// `pre (T, 2I) += bias; out (T, I) = act(x) * g`; `pre` is kept for the backward pass.
pub(crate) fn forward(pre: &mut [f32], out: &mut [f32], bias: Option<&[f32]>, inner: usize, activation: Activation) {
    if let Some(bias) = bias {
        linear::add_bias(pre, bias);
    }
    activate(pre, out, inner, activation);
}

/// The second half of it.
pub(crate) fn activate(pre: &[f32], out: &mut [f32], inner: usize, activation: Activation) {
    let task = inner * ROWS_PER_TASK;
    pre.par_chunks(2 * task).zip(out.par_chunks_mut(task)).for_each(|(pre, out)| match activation {
        Activation::Gelu => gelu_rows(pre, out, inner),
        Activation::GeluTanh => gelu_tanh_rows(pre, out, inner),
        Activation::Relu => relu_rows(pre, out, inner),
        Activation::Tanh => tanh_rows(pre, out, inner),
    });
}

/// From `d (T, I)`: `d_pre (T, 2I)`, and the output again, `out (T, I)`.
pub(crate) fn backward(
    d: &[f32],
    pre: &[f32],
    d_pre: &mut [f32],
    out: &mut [f32],
    inner: usize,
    activation: Activation,
) {
    let task = inner * ROWS_PER_TASK;
    let rows = d.par_chunks(task).zip(pre.par_chunks(2 * task));
    let rows = rows.zip(d_pre.par_chunks_mut(2 * task).zip(out.par_chunks_mut(task)));
    rows.for_each(|((d, pre), (d_pre, out))| match activation {
        Activation::Gelu => gelu_slopes(d, pre, d_pre, out, inner),
        Activation::GeluTanh => gelu_tanh_slopes(d, pre, d_pre, out, inner),
        Activation::Relu => relu_slopes(d, pre, d_pre, out, inner),
        Activation::Tanh => tanh_slopes(d, pre, d_pre, out, inner),
    });
}

macro_rules! gated {
    ($rows:ident, $slopes:ident, $activation:expr, $slope:expr) => {
        vectorised! {
            fn $rows(pre: &[f32], out: &mut [f32], inner: usize) {
                for (pre, out) in pre.chunks_exact(2 * inner).zip(out.chunks_exact_mut(inner)) {
                    let (x, gate) = pre.split_at(inner);
                    for (out, (x, gate)) in out.iter_mut().zip(x.iter().zip(gate)) {
                        *out = $activation(*x) * gate;
                    }
                }
            }
        }
        vectorised! {
            fn $slopes(d: &[f32], pre: &[f32], d_pre: &mut [f32], out: &mut [f32], inner: usize) {
                let rows = d.chunks_exact(inner).zip(pre.chunks_exact(2 * inner));
                let rows = rows.zip(d_pre.chunks_exact_mut(2 * inner).zip(out.chunks_exact_mut(inner)));
                for ((d, pre), (d_pre, out)) in rows {
                    let (x, gate) = pre.split_at(inner);
                    let (d_x, d_gate) = d_pre.split_at_mut(inner);
                    for i in 0..inner {
                        let activated = $activation(x[i]);
                        d_x[i] = d[i] * gate[i] * $slope(x[i]);
                        d_gate[i] = d[i] * activated;
                        out[i] = activated * gate[i];
                    }
                }
            }
        }
    };
}

gated!(gelu_rows, gelu_slopes, gelu, gelu_slope);
gated!(gelu_tanh_rows, gelu_tanh_slopes, gelu_tanh, gelu_tanh_slope);
gated!(relu_rows, relu_slopes, relu, relu_slope);
gated!(tanh_rows, tanh_slopes, tanh, tanh_slope);
