//! The attention block: query, key and value by one product, attention, the output map.

use super::{Pass, WEIGHTS};
use crate::nn::activations::{LayerCache, Scratch};
use crate::nn::blocks::{attention, linear};
use crate::nn::layout::LayerLayout;

/// From `cache.input (T, H)`: `out (T, H)`, whose bias is left to the caller.
pub(super) fn forward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    out: &mut [f32],
    cache: &mut LayerCache,
) {
    let (tokens, width) = (pass.tokens(), pass.spec.width);
    let (input, qkv) = (&cache.input[..tokens * width], &mut cache.qkv[..tokens * 3 * width]);
    let context = &mut cache.context[..tokens * width];
    linear::forward(qkv, input, layer.qkv.weight(values), tokens);
    if let Some(bias) = layer.qkv.bias(values) {
        linear::add_bias(qkv, bias);
    }
    let log_sums = &mut cache.log_sums[..tokens * pass.spec.heads];
    attention::forward(context, log_sums, qkv, pass.heads(), pass.site(index, WEIGHTS, pass.spec.rates.weights));
    linear::forward(out, context, layer.out.weight(values), tokens);
}

/// From `scratch.d_rows (T, H)`, the gradient of the block's output: that of its input into `d_input`
/// (added to what is there with `accumulate`). Overwrites `scratch.rows`.
#[allow(clippy::too_many_arguments)]
pub(super) fn backward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    grads: &mut [f32],
    d_input: &mut [f32],
    accumulate: bool,
    cache: &LayerCache,
    scratch: &mut Scratch,
) {
    let (tokens, width) = (pass.tokens(), pass.spec.width);
    let (d_out, d_context) = (&scratch.d_rows[..tokens * width], &mut scratch.rows[..tokens * width]);
    let context = &cache.context[..tokens * width];
    linear::backward(d_out, context, layer.out.weight(values), tokens, d_context, false, layer.out.grads(grads));
    let (d_qkv, qkv) = (&mut scratch.wide[..tokens * 3 * width], &cache.qkv[..tokens * 3 * width]);
    let log_sums = &cache.log_sums[..tokens * pass.spec.heads];
    let site = pass.site(index, WEIGHTS, pass.spec.rates.weights);
    attention::backward(d_qkv, d_context, qkv, log_sums, pass.heads(), site);
    let input = &cache.input[..tokens * width];
    linear::backward(d_qkv, input, layer.qkv.weight(values), tokens, d_input, accumulate, layer.qkv.grads(grads));
}
