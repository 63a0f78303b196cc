//! A layer whose norms stand first, inside the residual branch (Xiong et al. 2020):
//! `x + block(norm(x))`, twice.

use super::{ATTENTION, FEED_FORWARD, Pass, attention, feed_forward};
use crate::nn::activations::{LayerCache, Scratch};
use crate::nn::blocks::norm;
use crate::nn::blocks::residual;
use crate::nn::layout::LayerLayout;

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
    match &layer.attention_norm {
        Some(place) => {
            let parts = cache.attention_norm.parts(tokens, spec.width);
            norm::forward(&mut cache.input[..size], hidden, None, place.as_norm(values, spec.eps), None, parts);
        }
        None => cache.input[..size].copy_from_slice(hidden),
    }
    attention::forward(pass, index, layer, values, rows, cache);
    let site = pass.site(index, ATTENTION, spec.rates.attention);
    residual::add(hidden, rows, layer.out.bias(values), spec.width, site);

    let parts = cache.output_norm.parts(tokens, spec.width);
    let place = layer.output_norm.as_norm(values, spec.eps);
    norm::forward(&mut cache.attended[..size], hidden, None, place, None, parts);
    feed_forward::forward(pass, index, layer, values, rows, cache);
    let site = pass.site(index, FEED_FORWARD, spec.rates.output);
    residual::add(hidden, rows, layer.down.bias(values), spec.width, site);
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
    // `d` goes on along the residual; the branch's part is computed aside and added.
    norm::drop(&mut scratch.d_rows[..size], d, spec.width, pass.site(index, FEED_FORWARD, spec.rates.output));
    feed_forward::backward(pass, index, layer, values, grads, None, cache, scratch);
    let branch = &mut scratch.d_branch[..size];
    let place = &layer.output_norm;
    norm::backward(branch, place.weight(values), cache.output_norm.read(tokens, spec.width), place.grads(grads));
    residual::accumulate(d, branch);

    norm::drop(&mut scratch.d_rows[..size], d, spec.width, pass.site(index, ATTENTION, spec.rates.attention));
    attention::backward(pass, index, layer, values, grads, None, cache, scratch);
    let branch = &mut scratch.d_branch[..size];
    if let Some(place) = &layer.attention_norm {
        let normalised = cache.attention_norm.read(tokens, spec.width);
        norm::backward(branch, place.weight(values), normalised, place.grads(grads));
    }
    residual::accumulate(d, branch);
}
