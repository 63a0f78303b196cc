//! The feed-forward block: a map up, an activation (with a gate in some families), a map down.

use super::{INNER, Pass};
use crate::nn::activations::{LayerCache, Scratch};
use crate::nn::blocks::{activation, dropout, gate, linear};
use crate::nn::layout::LayerLayout;

/// From `cache.attended (T, H)`: `out (T, H)`, whose bias is left to the caller.
pub(super) fn forward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    out: &mut [f32],
    cache: &mut LayerCache,
) {
    let (tokens, spec) = (pass.tokens(), pass.spec);
    let pre = &mut cache.pre[..tokens * spec.up_width()];
    let activated = &mut cache.activated[..tokens * spec.inner];
    linear::forward(pre, &cache.attended[..tokens * spec.width], layer.up.weight(values), tokens);
    if spec.gated {
        gate::forward(pre, activated, layer.up.bias(values), spec.inner, spec.activation);
    } else {
        activation::forward(pre, activated, layer.up.bias(values), spec.activation);
    }
    dropout::apply(activated, spec.inner, pass.site(index, INNER, spec.rates.inner));
    linear::forward(out, activated, layer.down.weight(values), tokens);
}

/// From `scratch.d_rows (T, H)`, the gradient of the block's output: that of its input, added to `d`, or
/// into `scratch.d_branch` without.
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
    let (tokens, spec) = (pass.tokens(), pass.spec);
    let Scratch { wide, d_rows, d_branch, d_inner, .. } = scratch;
    let (activated, pre) = (&cache.activated[..tokens * spec.inner], &cache.pre[..tokens * spec.up_width()]);
    let d_out = &d_rows[..tokens * spec.width];
    let d_pre = &mut wide[..tokens * spec.up_width()];
    let site = pass.site(index, INNER, spec.rates.inner);
    let mut down = |d_activated: &mut [f32]| {
        let grads = layer.down.grads(grads);
        linear::backward(d_out, activated, layer.down.weight(values), tokens, d_activated, false, grads);
        dropout::apply(d_activated, spec.inner, site);
    };
    if spec.gated {
        // Twice as wide as what comes in, so not in place.
        let d_activated = &mut d_inner[..tokens * spec.inner];
        down(d_activated);
        gate::backward(d_activated, pre, d_pre, spec.inner, spec.activation);
    } else {
        down(d_pre);
        activation::backward(d_pre, pre, spec.activation);
    }
    let attended = &cache.attended[..tokens * spec.width];
    let (d_input, accumulate) = match d {
        Some(d) => (d, true),
        None => (&mut d_branch[..tokens * spec.width], false),
    };
    linear::backward(d_pre, attended, layer.up.weight(values), tokens, d_input, accumulate, layer.up.grads(grads));
}
