//! Relative positions that attention compares with content: one table for all layers, whose rows go through each layer's
//! own maps of queries and keys.

use super::Pass;
use crate::nn::activations::{Scratch, SpanCache};
use crate::nn::blocks::disentangled::{self, Positional};
use crate::nn::blocks::norm::{self, Before};
use crate::nn::blocks::{dropout, linear};
use crate::nn::layout::{LayerLayout, ParamRange, SpanLayout};
use crate::nn::spec::{Span, Spec};
use crate::nn::{Dropout, PackedBatch};

/// The number of the first layer's dropout of positions: above those of all other layers, adapters' included.
const FIRST_SITE: u32 = 1 << 20;

/// The table's rows that a batch needs, normalised: `cache.rows (R, H)`, from row `cache.first` on.
pub(crate) fn forward(
    spec: &Spec,
    span: &Span,
    layout: &SpanLayout,
    values: &[f32],
    batch: &PackedBatch,
    cache: &mut SpanCache,
) {
    let longest = super::longest(batch).max(1) as isize;
    let row = |offset| disentangled::row(offset, span.rows, span.farthest);
    let (first, width) = (row(1 - longest), spec.width);
    cache.first = first;
    cache.offsets.clear();
    cache.offsets.extend((1 - longest..longest).map(|offset| (row(offset) - first) as u32));
    let count = row(longest - 1) + 1 - first;
    cache.fit(count, width);
    let mut before = values[layout.table.clone()][first * width..(first + count) * width].to_vec();
    let norm = layout.norm.as_norm(values, spec.eps);
    norm::forward(&mut cache.rows, &mut before, Before::default(), norm, &mut cache.norm, &mut []);
}

/// From `cache.d (R, H)`: the gradients of table and norm.
pub(crate) fn backward(
    pass: Pass<'_>,
    layout: &SpanLayout,
    values: &[f32],
    grads: &mut [f32],
    d: &mut [f32],
    cache: &SpanCache,
) {
    let d_norm = layout.norm.trained_grads(grads, pass.trained);
    norm::backward(d, layout.norm.weight(values), &cache.norm, &mut [], d_norm);
    if pass.trained.any(layout.table.clone()) {
        let start = layout.table.start + cache.first * pass.spec.width;
        grads[start..start + d.len()].iter_mut().zip(d).for_each(|(sum, d)| *sum += *d);
    }
}

/// The rows after a layer's dropout, into `scratch.span_rows (R, H)`, and their queries and keys, into
/// `scratch.projected (R, 2H)`.
pub(super) fn project(pass: Pass<'_>, index: usize, layer: &LayerLayout, values: &[f32], scratch: &mut Scratch) {
    let Some(cache) = pass.span else { return };
    let (width, count) = (pass.spec.width, cache.rows.len() / pass.spec.width);
    let Scratch { span_rows, projected, .. } = scratch;
    span_rows.clear();
    span_rows.extend_from_slice(&cache.rows);
    drop_rows(pass, index, cache, span_rows);
    projected.resize(count * 2 * width, 0.0);
    linear::forward(projected, span_rows, &layer.qkv.weight(values)[..2 * width * width], count);
    if let Some(bias) = layer.qkv.bias(values) {
        linear::add_bias(projected, &bias[..2 * width]);
    }
    pass.span_product(index, count, projected, span_rows);
}

/// What attention reads of it.
pub(super) fn positional<'s>(pass: Pass<'s>, projected: &'s [f32]) -> Option<Positional<'s>> {
    Some(Positional { projected, rows: &pass.span?.offsets })
}

/// From the gradient of queries and keys by head, `scratch.d_heads (heads, 2, R, d)`: those of the layer's maps, and of
/// the rows, which is added to `scratch.d_span (R, H)`.
pub(super) fn project_backward(
    pass: Pass<'_>,
    index: usize,
    layer: &LayerLayout,
    values: &[f32],
    grads: &mut [f32],
    scratch: &mut Scratch,
) {
    let Some(cache) = pass.span else { return };
    let (width, count, size) = (pass.spec.width, cache.rows.len() / pass.spec.width, pass.spec.head_size());
    let Scratch { span_rows, projected, d_heads, d_span, d_span_rows, .. } = scratch;
    // The projections themselves are not needed any more.
    let d_projected = projected;
    for (head, d_head) in d_heads.chunks_exact(2 * count * size).enumerate() {
        for (part, d_part) in d_head.chunks_exact(count * size).enumerate() {
            for (row, d) in d_part.chunks_exact(size).enumerate() {
                d_projected[row * 2 * width + part * width + head * size..][..size].copy_from_slice(d);
            }
        }
    }
    d_span_rows.resize(count * width, 0.0);
    let weight = &layer.qkv.weight(values)[..2 * width * width];
    linear::backward_input(d_span_rows, false, d_projected, weight, count);
    pass.span_product_backward(index, count, grads, d_projected, span_rows, d_span_rows);
    let (d_weight, d_bias) = layer.qkv.trained_grads(grads, pass.trained);
    let d_weight = d_weight.map(|d_weight| &mut d_weight[..2 * width * width]);
    linear::backward_weight((d_weight, d_bias.map(|d_bias| &mut d_bias[..2 * width])), d_projected, span_rows, count);
    drop_rows(pass, index, cache, d_span_rows);
    d_span.iter_mut().zip(d_span_rows.iter()).for_each(|(sum, d)| *sum += *d);
}

/// Drops elements of a layer's rows: the same for all parts of a batch, as positions are no one's tokens.
fn drop_rows(pass: Pass<'_>, index: usize, cache: &SpanCache, rows: &mut [f32]) {
    if let Some(site) = site(pass.spec, pass.dropout, index) {
        rows.chunks_exact_mut(pass.spec.width)
            .enumerate()
            .for_each(|(row, values)| site.apply(cache.first + row, values));
    }
}

/// The dropout layer of a layer's positions.
pub(crate) fn site(spec: &Spec, dropout: Option<Dropout>, layer: usize) -> Option<dropout::Site<'static>> {
    Dropout { first_token: 0, ..dropout? }.site(FIRST_SITE + layer as u32, spec.rates.embedding)
}

/// Whether a layer's maps have a gradient by way of positions alone.
pub(crate) fn trains(layout: &SpanLayout, trained: &crate::nn::trainable::Trained) -> bool {
    let norm: &ParamRange = &layout.norm;
    trained.any(layout.table.clone()) || trained.any(norm.range())
}
