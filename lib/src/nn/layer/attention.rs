//! The attention block: query, key and value by one product, attention, the output map.

use super::{Pass, span};
use crate::nn::activations::{LayerCache, Scratch};
use crate::nn::blocks::attention::Heads;
use crate::nn::blocks::{attention, linear, relative, rotary};
use crate::nn::int8::Map;
use crate::nn::layout::LayerLayout;

/// From `input (T, H)`: the block's output into `scratch.rows (R, H)`, whose bias is left to the caller.
pub(super) fn forward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    input: &[f32],
    cache: &mut LayerCache,
    scratch: &mut Scratch,
) {
    let (tokens, width) = (pass.tokens(), pass.spec.width);
    let height = pass.rows(index);
    span::project(pass, index, layer, values, scratch);
    let Scratch { rows, wide, bytes, projected, .. } = scratch;
    let heads = Heads { positional: span::positional(pass, projected), ..pass.heads(index) };
    cache.qkv.fill(tokens * 3 * width, wide, |qkv| {
        pass.product(index, Map::Qkv, tokens, qkv, input, layer.qkv.weight(values), bytes);
        if let Some(bias) = layer.qkv.bias(values) {
            linear::add_bias(qkv, bias);
        }
        if let Some(rotary) = pass.rotary(index) {
            rotary::forward(qkv, pass.positions, rotary);
        }
    });
    // What was kept and not what was rounded, so that the backward pass finds the same attention weights.
    let qkv = cache.qkv.read(tokens * 3 * width, wide);
    let log_sums = &mut cache.log_sums[..height * pass.spec.heads];
    let context = &mut cache.context[..height * width];
    attention::forward(context, log_sums, qkv, heads, pass.weights_site(index));
    pass.product(index, Map::Out, height, &mut rows[..height * width], context, layer.out.weight(values), bytes);
}

/// From `scratch.d_rows (R, H)`, the gradient of the block's output, and its `input (T, H)`: the gradient of
/// the input, if it is wanted, added to `d`, or into `scratch.d_branch` without.
#[allow(clippy::too_many_arguments)]
pub(super) fn backward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    grads: &mut [f32],
    (wanted, d): (bool, Option<&mut [f32]>),
    input: &[f32],
    cache: &LayerCache,
    scratch: &mut Scratch,
) {
    let (tokens, width) = (pass.tokens(), pass.spec.width);
    let height = pass.rows(index);
    span::project(pass, index, layer, values, scratch);
    let Scratch { rows, wide, d_rows, d_branch, d_offsets, widened, projected, d_heads, .. } = scratch;
    let (d_out, d_context) = (&d_rows[..height * width], &mut rows[..height * width]);
    let context = &cache.context[..height * width];
    linear::backward_input(d_context, false, d_out, layer.out.weight(values), height);
    linear::backward_weight(layer.out.trained_grads(grads, pass.trained), d_out, context, height);
    pass.product_backward(index, Map::Out, height, grads, d_out, context, Some(&mut *d_context));

    let (d_qkv, qkv) = (&mut wide[..tokens * 3 * width], cache.qkv.read(tokens * 3 * width, widened));
    let heads = Heads { positional: span::positional(pass, projected), ..pass.heads(index) };
    d_heads.clear();
    d_heads.resize(projected.len(), 0.0);
    let log_sums = &cache.log_sums[..height * pass.spec.heads];
    let site = pass.weights_site(index);
    let d_offsets = &mut d_offsets[..heads.offset_gradients()];
    attention::backward(d_qkv, d_offsets, d_heads, d_context, context, qkv, log_sums, heads, site);
    if let Some(table) = pass.relative.filter(|table| pass.trained.any((*table).clone())) {
        relative::backward(&mut grads[table.clone()], d_offsets, heads.count, pass.longest());
    }
    if let Some(rotary) = pass.rotary(index) {
        rotary::backward(d_qkv, pass.positions, rotary);
    }
    let accumulate = d.is_some();
    let mut d_input = wanted.then(|| d.unwrap_or_else(|| &mut d_branch[..tokens * width]));
    if let Some(d_input) = d_input.as_deref_mut() {
        linear::backward_input(d_input, accumulate, d_qkv, layer.qkv.weight(values), tokens);
    }
    pass.product_backward(index, Map::Qkv, tokens, grads, d_qkv, input, d_input);
    linear::backward_weight(layer.qkv.trained_grads(grads, pass.trained), d_qkv, input, tokens);
    span::project_backward(pass, index, layer, values, grads, scratch);
}
