//! The embeddings: rows of tables, summed, normalised and dropped.

use super::Pass;
use crate::nn::PackedBatch;
use crate::nn::activations::{EmbeddingCache, Scratch};
use crate::nn::blocks::norm::{self, Before, NormCache};
use crate::nn::blocks::{embedding, linear};
use crate::nn::layout::Layout;
use crate::nn::spec::{Positions, Spec};

/// The row of the position table that each token takes.
pub(crate) fn number(spec: &Spec, batch: &PackedBatch, rows: &mut Vec<u32>) {
    rows.clear();
    match spec.positions {
        Positions::Table { .. } | Positions::Rotary { .. } | Positions::Relative { .. } => {
            rows.extend_from_slice(&batch.positions)
        }
        Positions::Counted { pad, .. } => {
            for range in batch.ranges() {
                let mut last = pad;
                rows.extend(batch.ids[range].iter().map(|id| {
                    last += u32::from(*id != pad);
                    if *id == pad { pad } else { last }
                }));
            }
        }
    }
}

/// The first hidden states `(T, H)`.
pub(crate) fn forward(
    pass: Pass<'_>,
    layout: &Layout,
    values: &[f32],
    hidden: &mut [f32],
    cache: &mut EmbeddingCache,
    scratch: &mut Scratch,
) {
    let (tokens, width, batch) = (pass.tokens(), pass.spec.embedding, pass.batch);
    let rows = &mut scratch.rows[..tokens * width];
    let tables = [
        Some((&layout.words, batch.ids.as_slice())),
        layout.positions.as_ref().map(|table| (table, pass.positions)),
        layout.segments.as_ref().map(|table| (table, batch.token_types.as_slice())),
    ];
    let tables: Vec<_> = tables.into_iter().flatten().map(|(table, ids)| (&values[table.clone()], ids)).collect();
    embedding::forward(rows, width, &tables);
    let EmbeddingCache { norm, output } = cache;
    match &layout.projection {
        None => normalise(pass, layout, values, rows, hidden, norm),
        Some(projection) => {
            let output = &mut output[..tokens * width];
            normalise(pass, layout, values, rows, output, norm);
            linear::forward(hidden, output, projection.weight(values), tokens);
            if let Some(bias) = projection.bias(values) {
                linear::add_bias(hidden, bias);
            }
        }
    }
}

/// From the gradient `d (T, H)` of the first hidden states: those of the tables.
#[allow(clippy::too_many_arguments)]
pub(crate) fn backward(
    pass: Pass<'_>,
    layout: &Layout,
    values: &[f32],
    grads: &mut [f32],
    d: &[f32],
    cache: &EmbeddingCache,
    scratch: &mut Scratch,
) {
    let (tokens, width, batch) = (pass.tokens(), pass.spec.embedding, pass.batch);
    let rows = &mut scratch.rows[..tokens * width];
    let site = pass.spec.embedding_site(pass.dropout);
    match &layout.projection {
        None => norm::drop(rows, d, width, site),
        Some(projection) => {
            let d_output = &mut scratch.d_rows[..tokens * width];
            let output = &cache.output[..tokens * width];
            linear::backward(d, output, projection.weight(values), tokens, d_output, projection.grads(grads));
            norm::drop(rows, d_output, width, site);
        }
    }
    norm::backward(
        rows,
        layout.norm.weight(values),
        &cache.norm,
        &mut [],
        layout.norm.trained_grads(grads, pass.trained),
    );
    let tables = [(Some(&layout.words), &batch.ids[..]), (layout.positions.as_ref(), pass.positions)];
    let tables = tables.into_iter().chain([(layout.segments.as_ref(), &batch.token_types[..])]);
    for (table, numbers) in tables.filter_map(|(table, numbers)| Some((table?, numbers))) {
        if pass.trained.any(table.clone()) {
            embedding::backward(&mut grads[table.clone()], rows, width, numbers);
        }
    }
}

fn normalise(
    pass: Pass<'_>,
    layout: &Layout,
    values: &[f32],
    rows: &mut [f32],
    out: &mut [f32],
    cache: &mut NormCache,
) {
    let width = pass.spec.embedding;
    let norm = layout.norm.as_norm(values, pass.spec.eps);
    // Never rounded, so without scratch.
    norm::forward(out, rows, Before::default(), norm, cache, &mut []);
    // Dropped after the norm, and before the residual everywhere else.
    if let Some(site) = pass.spec.embedding_site(pass.dropout) {
        rows.copy_from_slice(out);
        norm::drop(out, rows, width, Some(site));
    }
}
