//! The attention block: query, key and value by one product, attention, the output map.

use super::{Pass, WEIGHTS};
use crate::nn::activations::{LayerCache, Scratch};
use crate::nn::blocks::{attention, linear, relative, rotary};
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
    if let Some(rotary) = pass.rotary(index) {
        rotary::forward(qkv, pass.positions, rotary);
    }
    let log_sums = &mut cache.log_sums[..tokens * pass.spec.heads];
    attention::forward(context, log_sums, qkv, pass.heads(index), pass.site(index, WEIGHTS, pass.spec.rates.weights));
    linear::forward(out, context, layer.out.weight(values), tokens);
}

/// From `scratch.d_rows (T, H)`, the gradient of the block's output: that of its input, added to `d`, or
/// into `scratch.d_branch` without. Overwrites `scratch.rows`.
#[allow(clippy::too_many_arguments)]
pub(super) fn backward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    grads: &mut [f32],
    d: Option<&mut [f32]>,
    cache: &LayerCache,
    scratch: &mut Scratch,
) {
    let (tokens, width) = (pass.tokens(), pass.spec.width);
    let Scratch { rows, wide, d_rows, d_branch, d_offsets, .. } = scratch;
    let (d_out, d_context) = (&d_rows[..tokens * width], &mut rows[..tokens * width]);
    let context = &cache.context[..tokens * width];
    linear::backward(d_out, context, layer.out.weight(values), tokens, d_context, false, layer.out.grads(grads));

    let (d_qkv, qkv) = (&mut wide[..tokens * 3 * width], &cache.qkv[..tokens * 3 * width]);
    let (heads, log_sums) = (pass.heads(index), &cache.log_sums[..tokens * pass.spec.heads]);
    let site = pass.site(index, WEIGHTS, pass.spec.rates.weights);
    let d_offsets = &mut d_offsets[..heads.offset_gradients()];
    attention::backward(d_qkv, d_offsets, d_context, qkv, log_sums, heads, site);
    if let Some(table) = pass.relative {
        relative::backward(&mut grads[table.clone()], d_offsets, heads.count, pass.longest());
    }
    if let Some(rotary) = pass.rotary(index) {
        rotary::backward(d_qkv, pass.positions, rotary);
    }
    let input = &cache.input[..tokens * width];
    let (d_input, accumulate) = match d {
        Some(d) => (d, true),
        None => (&mut d_branch[..tokens * width], false),
    };
    linear::backward(d_qkv, input, layer.qkv.weight(values), tokens, d_input, accumulate, layer.qkv.grads(grads));
}
