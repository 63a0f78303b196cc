//! The feed-forward block: a map up, an activation (with a gate in some families), a map down.

use super::{INNER, Pass};
use crate::nn::activations::{LayerCache, Scratch};
use crate::nn::blocks::{activation, dropout, gate, linear};
use crate::nn::int8::Map;
use crate::nn::layout::LayerLayout;

/// From `input (T, H)`: the block's output into `scratch.rows (T, H)`, whose bias is left to the caller.
pub(super) fn forward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    input: &[f32],
    cache: &mut LayerCache,
    scratch: &mut Scratch,
) {
    let (tokens, spec) = (pass.tokens(), pass.spec);
    let Scratch { rows, wide, inner, bytes, .. } = scratch;
    let activated = &mut inner[..tokens * spec.inner];
    cache.pre.fill(tokens * spec.up_width(), wide, |pre| {
        pass.product(index, Map::Up, pre, input, layer.up.weight(values), bytes);
        if spec.gated {
            gate::forward(pre, activated, layer.up.bias(values), spec.inner, spec.activation);
        } else {
            activation::forward(pre, activated, layer.up.bias(values), spec.activation);
        }
    });
    dropout::apply(activated, spec.inner, pass.site(index, INNER, spec.rates.inner));
    pass.product(index, Map::Down, &mut rows[..tokens * spec.width], activated, layer.down.weight(values), bytes);
}

/// From `scratch.d_rows (T, H)`, the gradient of the block's output, and its `input (T, H)`: the gradient of
/// the input, added to `d`, or into `scratch.d_branch` without.
#[allow(clippy::too_many_arguments)]
pub(super) fn backward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    grads: &mut [f32],
    d: Option<&mut [f32]>,
    input: &[f32],
    cache: &LayerCache,
    scratch: &mut Scratch,
) {
    let (tokens, spec) = (pass.tokens(), pass.spec);
    let Scratch { wide, inner, d_rows, d_branch, d_inner, widened, .. } = scratch;
    let pre = cache.pre.read(tokens * spec.up_width(), widened);
    let (d_out, activated) = (&d_rows[..tokens * spec.width], &mut inner[..tokens * spec.inner]);
    let d_pre = &mut wide[..tokens * spec.up_width()];
    let site = pass.site(index, INNER, spec.rates.inner);
    let down = |d_activated: &mut [f32]| {
        linear::backward_input(d_activated, false, d_out, layer.down.weight(values), tokens);
        dropout::apply(d_activated, spec.inner, site);
    };
    if spec.gated {
        // Twice as wide as what comes in, so not in place.
        let d_activated = &mut d_inner[..tokens * spec.inner];
        down(d_activated);
        gate::backward(d_activated, pre, d_pre, activated, spec.inner, spec.activation);
    } else {
        down(d_pre);
        activation::backward(d_pre, pre, activated, spec.activation);
    }
    dropout::apply(activated, spec.inner, site);
    linear::backward_weight(layer.down.grads(grads), d_out, activated, tokens);
    let accumulate = d.is_some();
    let d_input = d.unwrap_or_else(|| &mut d_branch[..tokens * spec.width]);
    linear::backward_input(d_input, accumulate, d_pre, layer.up.weight(values), tokens);
    linear::backward_weight(layer.up.grads(grads), d_pre, input, tokens);
}
