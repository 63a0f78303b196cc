//! The feed-forward block: a map up, an activation (with a gate in some families), a map down.

use super::{INNER, Pass};
use crate::nn::activations::{LayerCache, Scratch};
use crate::nn::blocks::{activation, dropout, gate, linear};
use crate::nn::int8::Map;
use crate::nn::layout::LayerLayout;

/// From `input (R, H)`: the block's output into `scratch.rows (R, H)`, whose bias is left to the caller.
pub(super) fn forward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    input: &[f32],
    cache: &mut LayerCache,
    scratch: &mut Scratch,
) {
    let (height, spec) = (pass.rows(index), pass.spec);
    let Scratch { rows, wide, inner, bytes, .. } = scratch;
    let activated = &mut inner[..height * spec.inner];
    let (weight, bias) = (layer.up.weight(values), layer.up.bias(values));
    if pass.keeps || spec.gated {
        cache.pre.fill(height * spec.up_width(), wide, |pre| {
            pass.product(index, Map::Up, height, pre, input, weight, bytes);
            if spec.gated {
                gate::forward(pre, activated, bias, spec.inner, spec.activation);
            } else {
                activation::forward(pre, activated, bias, spec.activation);
            }
        });
    } else {
        pass.product(index, Map::Up, height, activated, input, weight, bytes);
        activation::apply(activated, bias, spec.activation);
    }
    dropout::apply(activated, spec.inner, pass.site(index, INNER, spec.rates.inner));
    pass.product(
        index,
        Map::Down,
        height,
        &mut rows[..height * spec.width],
        activated,
        layer.down.weight(values),
        bytes,
    );
}

/// From `scratch.d_rows (R, H)`, the gradient of the block's output, and its `input (R, H)`: the gradient of
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
    let (height, spec) = (pass.rows(index), pass.spec);
    let Scratch { wide, inner, d_rows, d_branch, d_inner, widened, .. } = scratch;
    let pre = cache.pre.read(height * spec.up_width(), widened);
    let (d_out, activated) = (&d_rows[..height * spec.width], &mut inner[..height * spec.inner]);
    let d_pre = &mut wide[..height * spec.up_width()];
    let site = pass.site(index, INNER, spec.rates.inner);
    if pass.is_adapted(index, Map::Down) {
        // What went into the map; without an adapter it comes with the activation's gradient, and is not needed before.
        if spec.gated {
            gate::activate(pre, activated, spec.inner, spec.activation);
        } else {
            activated.copy_from_slice(pre);
            activation::apply(activated, None, spec.activation);
        }
        dropout::apply(activated, spec.inner, site);
    }
    let mut down = |d_activated: &mut [f32], activated: &[f32]| {
        linear::backward_input(d_activated, false, d_out, layer.down.weight(values), height);
        pass.product_backward(index, Map::Down, height, grads, d_out, activated, Some(&mut *d_activated));
        dropout::apply(d_activated, spec.inner, site);
    };
    if spec.gated {
        // Twice as wide as what comes in, so not in place.
        let d_activated = &mut d_inner[..height * spec.inner];
        down(d_activated, activated);
        gate::backward(d_activated, pre, d_pre, activated, spec.inner, spec.activation);
    } else {
        down(d_pre, activated);
        activation::backward(d_pre, pre, activated, spec.activation);
    }
    dropout::apply(activated, spec.inner, site);
    linear::backward_weight(layer.down.trained_grads(grads, pass.trained), d_out, activated, height);
    let accumulate = d.is_some();
    let d_input = d.unwrap_or_else(|| &mut d_branch[..height * spec.width]);
    linear::backward_input(d_input, accumulate, d_pre, layer.up.weight(values), height);
    pass.product_backward(index, Map::Up, height, grads, d_pre, input, Some(d_input));
    linear::backward_weight(layer.up.trained_grads(grads, pass.trained), d_pre, input, height);
}
