//! A layer whose norms stand behind the sums (Vaswani et al. 2017): `norm(x + block(x))`, twice.

use super::{ATTENTION, FEED_FORWARD, Pass, attention, feed_forward};
use crate::nn::activations::{LayerCache, Scratch};
use crate::nn::blocks::norm::{self, Add};
use crate::nn::layout::{LayerLayout, Place};

/// `hidden (T, H)` goes through the layer, in place.
pub(crate) fn forward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    hidden: &mut [f32],
    rows: &mut [f32],
    cache: &mut LayerCache,
) {
    let (tokens, spec) = (pass.tokens(), pass.spec);
    let size = tokens * spec.width;
    cache.input[..size].copy_from_slice(hidden);
    attention::forward(pass, index, layer, values, rows, cache);
    let site = pass.site(index, ATTENTION, spec.rates.attention);
    let add = Add { bias: layer.out.bias(values), residual: &cache.input[..size] };
    let parts = cache.attention_norm.parts(tokens, spec.width);
    let norm = attention_norm(layer).as_norm(values, spec.eps);
    norm::forward(&mut cache.attended[..size], rows, Some(add), norm, site, parts);

    feed_forward::forward(pass, index, layer, values, rows, cache);
    let site = pass.site(index, FEED_FORWARD, spec.rates.output);
    let add = Add { bias: layer.down.bias(values), residual: &cache.attended[..size] };
    let parts = cache.output_norm.parts(tokens, spec.width);
    norm::forward(hidden, rows, Some(add), layer.output_norm.as_norm(values, spec.eps), site, parts);
}

/// `d` is the gradient of the layer's output and becomes that of its input.
#[allow(clippy::too_many_arguments)]
pub(crate) fn backward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    grads: &mut [f32],
    d: &mut [f32],
    cache: &LayerCache,
    scratch: &mut Scratch,
) {
    let (tokens, spec) = (pass.tokens(), pass.spec);
    let size = tokens * spec.width;
    // Behind the norm, `d` is the gradient of the sum and so of the residual.
    let norm = cache.output_norm.read(tokens, spec.width);
    norm::backward(d, layer.output_norm.weight(values), norm, layer.output_norm.grads(grads));
    norm::drop(&mut scratch.d_rows[..size], d, spec.width, pass.site(index, FEED_FORWARD, spec.rates.output));
    feed_forward::backward(pass, index, layer, values, grads, Some(&mut *d), cache, scratch);

    let place = attention_norm(layer);
    norm::backward(d, place.weight(values), cache.attention_norm.read(tokens, spec.width), place.grads(grads));
    norm::drop(&mut scratch.d_rows[..size], d, spec.width, pass.site(index, ATTENTION, spec.rates.attention));
    attention::backward(pass, index, layer, values, grads, Some(d), cache, scratch);
}

/// Only layers with norms first can lack it.
fn attention_norm(layer: &LayerLayout) -> &Place {
    layer.attention_norm.as_ref().unwrap_or(&layer.output_norm)
}
