//! A layer whose norms come after the sums (Vaswani et al. 2017): `norm(x + block(x))`, twice.

use super::{ATTENTION, FEED_FORWARD, Pass, attention, feed_forward};
use crate::nn::activations::{LayerCache, Scratch};
use crate::nn::blocks::norm::{self, Before};
use crate::nn::layout::{LayerLayout, ParamRange};

/// `hidden (T, H)` goes through the layer, in place; what continues after the attention, `(R, H)`, is at its front.
pub(crate) fn forward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    hidden: &mut [f32],
    cache: &mut LayerCache,
    scratch: &mut Scratch,
) {
    let spec = pass.spec;
    attention::forward(pass, index, layer, values, hidden, cache, scratch);
    let hidden = pass.narrow(index, hidden);
    let dropout = pass.site(index, ATTENTION, spec.rates.attention);
    let before = Before { bias: layer.out.bias(values), dropout, residual: true };
    let (norm, rows) = (attention_norm(layer).as_norm(values, spec.eps), &mut scratch.rows[..hidden.len()]);
    norm::forward(hidden, rows, before, norm, &mut cache.attention_norm, &mut scratch.d_rows);

    feed_forward::forward(pass, index, layer, values, hidden, cache, scratch);
    let dropout = pass.site(index, FEED_FORWARD, spec.rates.output);
    let before = Before { bias: layer.down.bias(values), dropout, residual: true };
    let (norm, rows) = (layer.output_norm.as_norm(values, spec.eps), &mut scratch.rows[..hidden.len()]);
    norm::forward(hidden, rows, before, norm, &mut cache.output_norm, &mut scratch.d_rows);
}

/// `d (T, H)`, at whose front the gradient of the layer's output `(R, H)` is, becomes that of its input; `input (T, H)`
/// is what went in.
#[allow(clippy::too_many_arguments)]
pub(crate) fn backward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    grads: &mut [f32],
    d: &mut [f32],
    input: &[f32],
    cache: &LayerCache,
    scratch: &mut Scratch,
) {
    let (spec, size) = (pass.spec, pass.rows(index) * pass.spec.width);
    // Behind the norm, `d` is the gradient of the sum and so of the residual.
    let place = &layer.output_norm;
    let front = &mut d[..size];
    norm::backward(
        front,
        place.weight(values),
        &cache.output_norm,
        &mut scratch.widened_rows,
        place.trained_grads(grads, pass.trained),
    );
    norm::drop(&mut scratch.d_rows[..size], front, spec.width, pass.site(index, FEED_FORWARD, spec.rates.output));
    let place = attention_norm(layer);
    // Taken out while the block uses the rest of the scratch.
    let mut attended = std::mem::take(&mut scratch.input);
    let norm = place.as_norm(values, spec.eps);
    norm::restore(&mut attended[..size], norm, &cache.attention_norm, &mut scratch.widened_rows);
    feed_forward::backward(pass, index, layer, values, grads, Some(&mut *front), &attended[..size], cache, scratch);
    scratch.input = attended;

    norm::backward(
        front,
        place.weight(values),
        &cache.attention_norm,
        &mut scratch.widened_rows,
        place.trained_grads(grads, pass.trained),
    );
    norm::drop(&mut scratch.d_rows[..size], front, spec.width, pass.site(index, ATTENTION, spec.rates.attention));
    pass.widen(index, d);
    let needs_input_grad = pass.needs_input_grad(index, layer);
    attention::backward(pass, index, layer, values, grads, (needs_input_grad, Some(d)), input, cache, scratch);
}

/// Only layers with norms first can lack it.
fn attention_norm(layer: &LayerLayout) -> &ParamRange {
    layer.attention_norm.as_ref().unwrap_or(&layer.output_norm)
}
