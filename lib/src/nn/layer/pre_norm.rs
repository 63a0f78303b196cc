//! A layer whose norms come first, inside the residual branch (Xiong et al. 2020):
//! `x + block(norm(x))`, twice.

use super::{ATTENTION, FEED_FORWARD, Pass, attention, feed_forward};
use crate::nn::activations::{LayerCache, Scratch};
use crate::nn::blocks::norm::{self, Before};
use crate::nn::blocks::residual;
use crate::nn::layout::LayerLayout;

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
    let (spec, size) = (pass.spec, hidden.len());
    // Taken out while the blocks use the rest of the scratch.
    let mut input = std::mem::take(&mut scratch.input);
    match &layer.attention_norm {
        Some(place) => {
            let norm = place.as_norm(values, spec.eps);
            let spare = &mut scratch.d_rows;
            norm::forward(&mut input[..size], hidden, Before::default(), norm, &mut cache.attention_norm, spare);
            attention::forward(pass, index, layer, values, &input[..size], cache, scratch);
        }
        None => attention::forward(pass, index, layer, values, hidden, cache, scratch),
    }
    let hidden = pass.narrow(index, hidden);
    let (size, site) = (hidden.len(), pass.site(index, ATTENTION, spec.rates.attention));
    residual::add(hidden, &mut scratch.rows[..size], layer.out.bias(values), spec.width, site);

    let (norm, spare) = (layer.output_norm.as_norm(values, spec.eps), &mut scratch.d_rows);
    norm::forward(&mut input[..size], hidden, Before::default(), norm, &mut cache.output_norm, spare);
    feed_forward::forward(pass, index, layer, values, &input[..size], cache, scratch);
    let site = pass.site(index, FEED_FORWARD, spec.rates.output);
    residual::add(hidden, &mut scratch.rows[..size], layer.down.bias(values), spec.width, site);
    scratch.input = input;
}

/// `d (T, H)`, at whose front the gradient of the layer's output `(R, H)` is, becomes that of its input;
/// `layer_input (T, H)` is what went in, which only a layer without a norm at its attention reads.
#[allow(clippy::too_many_arguments)]
pub(crate) fn backward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    grads: &mut [f32],
    d: &mut [f32],
    layer_input: &[f32],
    cache: &LayerCache,
    scratch: &mut Scratch,
) {
    let (spec, size, needs_input_grad) =
        (pass.spec, pass.rows(index) * pass.spec.width, pass.needs_input_grad(index, layer));
    let mut input = std::mem::take(&mut scratch.input);
    // `d` continues along the residual; the branch's part is computed aside and added.
    let front = &mut d[..size];
    norm::drop(&mut scratch.d_rows[..size], front, spec.width, pass.site(index, FEED_FORWARD, spec.rates.output));
    let place = &layer.output_norm;
    let norm = place.as_norm(values, spec.eps);
    norm::restore(&mut input[..size], norm, &cache.output_norm, &mut scratch.widened_rows);
    feed_forward::backward(pass, index, layer, values, grads, None, &input[..size], cache, scratch);
    let (branch, widened) = (&mut scratch.d_branch[..size], &mut scratch.widened_rows);
    norm::backward(branch, place.weight(values), &cache.output_norm, widened, place.trained_grads(grads, pass.trained));
    residual::accumulate(front, branch);

    norm::drop(&mut scratch.d_rows[..size], front, spec.width, pass.site(index, ATTENTION, spec.rates.attention));
    pass.widen(index, d);
    let size = d.len();
    match &layer.attention_norm {
        Some(place) => {
            let norm = place.as_norm(values, spec.eps);
            norm::restore(&mut input[..size], norm, &cache.attention_norm, &mut scratch.widened_rows);
            let wanted = needs_input_grad || pass.trains(place);
            attention::backward(pass, index, layer, values, grads, (wanted, None), &input[..size], cache, scratch);
            let (branch, widened) = (&mut scratch.d_branch[..size], &mut scratch.widened_rows);
            if wanted {
                norm::backward(
                    branch,
                    place.weight(values),
                    &cache.attention_norm,
                    widened,
                    place.trained_grads(grads, pass.trained),
                );
            }
        }
        None => attention::backward(
            pass,
            index,
            layer,
            values,
            grads,
            (needs_input_grad, None),
            layer_input,
            cache,
            scratch,
        ),
    }
    if needs_input_grad {
        residual::accumulate(d, &scratch.d_branch[..size]);
    }
    scratch.input = input;
}
