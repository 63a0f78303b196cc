//! Look-up of word, position and segment rows, and their gradients.

use rayon::prelude::*;

use super::ROWS_PER_TASK;

/// `out (T, H) = sum of one row of each table`; a table comes with the row each token takes.
pub(crate) fn forward(out: &mut [f32], width: usize, tables: &[(&[f32], &[u32])]) {
    out.par_chunks_mut(width * ROWS_PER_TASK).enumerate().for_each(|(task, out)| {
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            let token = task * ROWS_PER_TASK + row;
            out.fill(0.0);
            for (table, ids) in tables {
                let row = &table[ids[token] as usize * width..][..width];
                out.iter_mut().zip(row).for_each(|(out, value)| *out += value);
            }
        }
    });
}

/// `d_table[ids[t]] += d[t]`.
pub(crate) fn backward(d_table: &mut [f32], d: &[f32], width: usize, ids: &[u32]) {
    add_rows(d_table, width, ids, |token| &d[token * width..][..width]);
}

/// `table[ids[t]] += row(t)`: the tokens are put in order of their id, each id is one task, and its tokens are added in
/// order.
pub(crate) fn add_rows<'a>(table: &mut [f32], width: usize, ids: &[u32], row: impl Fn(usize) -> &'a [f32] + Sync) {
    let mut tokens: Vec<(u32, u32)> = ids.iter().copied().zip(0..).collect();
    tokens.sort_unstable();
    let segments: Vec<&[(u32, u32)]> = tokens.chunk_by(|a, b| a.0 == b.0).collect();
    rows_in_order(table, width, segments.iter().map(|tokens| tokens[0].0 as usize))
        .into_par_iter()
        .zip(segments)
        .for_each(|(sums, tokens)| {
            for (_, token) in tokens {
                sums.iter_mut().zip(row(*token as usize)).for_each(|(sum, value)| *sum += value);
            }
        });
}

/// The rows at ascending indices, each borrowed for itself.
fn rows_in_order(table: &mut [f32], width: usize, indices: impl Iterator<Item = usize>) -> Vec<&mut [f32]> {
    let mut rest = table;
    let mut passed = 0;
    indices
        .map(|index| {
            let (_, tail) = std::mem::take(&mut rest).split_at_mut((index - passed) * width);
            let (row, tail) = tail.split_at_mut(width);
            rest = tail;
            passed = index + 1;
            row
        })
        .collect()
}
