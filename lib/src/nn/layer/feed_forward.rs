//! The feed-forward block: a map up, an activation, a map down.

use super::Pass;
use crate::nn::activations::{LayerCache, Scratch};
use crate::nn::blocks::{activation, linear};
use crate::nn::layout::LayerLayout;

/// From `cache.attended (T, H)`: `out (T, H)`, whose bias is left to the caller.
pub(super) fn forward(pass: Pass<'_>, layer: &LayerLayout, values: &[f32], out: &mut [f32], cache: &mut LayerCache) {
    let (tokens, width, inner) = (pass.tokens(), pass.spec.width, pass.spec.inner);
    let pre = &mut cache.pre[..tokens * inner];
    let activated = &mut cache.activated[..tokens * inner];
    linear::forward(pre, &cache.attended[..tokens * width], layer.up.weight(values), tokens);
    activation::forward(pre, activated, layer.up.bias(values), pass.spec.activation);
    linear::forward(out, activated, layer.down.weight(values), tokens);
}

/// From `scratch.d_rows (T, H)`, the gradient of the block's output: that of its input into `d_input`
/// (added to what is there with `accumulate`).
#[allow(clippy::too_many_arguments)]
pub(super) fn backward(
    pass: Pass<'_>,
    layer: &LayerLayout,
    values: &[f32],
    grads: &mut [f32],
    d_input: &mut [f32],
    accumulate: bool,
    cache: &LayerCache,
    scratch: &mut Scratch,
) {
    let (tokens, width, inner) = (pass.tokens(), pass.spec.width, pass.spec.inner);
    let d_out = &scratch.d_rows[..tokens * width];
    let (activated, pre) = (&cache.activated[..tokens * inner], &cache.pre[..tokens * inner]);
    let d_inner = &mut scratch.wide[..tokens * inner];
    linear::backward(d_out, activated, layer.down.weight(values), tokens, d_inner, false, layer.down.grads(grads));
    activation::backward(d_inner, pre, pass.spec.activation);
    let attended = &cache.attended[..tokens * width];
    linear::backward(d_inner, attended, layer.up.weight(values), tokens, d_input, accumulate, layer.up.grads(grads));
}
