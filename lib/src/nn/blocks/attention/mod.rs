//! Self-attention over packed sequences, parallel over (sequence, head).
//!
//! `P = softmax(Q Kᵀ / sqrt d + bias)`, `context = dropout(P) V`; a bias by relative position and a limit
//! to how far a token sees are the family's. Only the log-sum-exp of each row is kept:
//! the backward pass computes `P` again.

mod scratch;
mod softmax;

use std::ops::Range;

use rayon::prelude::*;

use super::dropout::{GROUP, Site};
use crate::nn::PackedBatch;
use crate::nn::gemm::{Threads, View, dot_rows, gemm, gemm_into};
use crate::nn::math::LANES;
use scratch::{Scattered, with_scratch};
use softmax::{Masks, softmax, softmax_slope};

/// The shape of a packed batch as attention sees it.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a> {
    pub(crate) batch: &'a PackedBatch,
    pub(crate) count: usize,
    /// `d`, the width of one head.
    pub(crate) size: usize,
    /// The first token of each sequence is the only query, and has the only row of the output.
    pub(crate) first: bool,
    /// A token sees those at most this far away; all without.
    pub(crate) reach: Option<usize>,
    /// `(heads, 2L - 1)`: a bias for every offset `j - i` up to the longest sequence; none if empty.
    pub(crate) offsets: &'a [f32],
}

/// Queries that are computed together: their scores for 512 keys are 512 KiB, which a core's second-level cache
/// of 1 MiB holds.
const QUERIES: usize = 256;

/// From `qkv (T, 3H)`: `context (R, H)` and `log_sums (heads, R)`, a row for each query.
pub(crate) fn forward(
    context: &mut [f32],
    log_sums: &mut [f32],
    qkv: &[f32],
    heads: Heads<'_>,
    dropout: Option<Site<'_>>,
) {
    let height = log_sums.len() / heads.count;
    let context = Scattered::new(context, heads.width());
    let log_sums = Scattered::new(log_sums, height);
    heads.tasks().into_par_iter().for_each(|Task { range, out, attended, head }| {
        let [q, k, v] = heads.project(qkv, &range, head);
        for block in heads.blocks(out.len(), attended) {
            let (height, stride) = (block.queries.len(), block.stride());
            with_scratch([height * stride, height * heads.size, height], |[scores, rows, inverse_sums]| {
                let product = (&mut *scores, stride);
                gemm_into(
                    product,
                    q.rows(&block.queries),
                    k.rows(&block.keys).t(),
                    heads.scale(),
                    false,
                    Threads::This,
                );
                heads.shape(scores, &block, head);
                let out = out.start + block.queries.start..out.start + block.queries.end;
                // SAFETY: a (sequence, head) is one task, and no other touches its part of a row.
                let sums = unsafe { log_sums.part(head, out.clone()) };
                let masks = Masks {
                    site: dropout,
                    row: (range.start + block.queries.start) * heads.count + head,
                    rows: heads.count,
                    column: block.keys.start,
                };
                softmax(scores, sums, inverse_sums, masks);
                gemm(rows, block.view(scores), v.rows(&block.keys), 1.0, false, Threads::This);
                // SAFETY: as above.
                unsafe { context.write(out.start, heads.columns(head), rows, Some(inverse_sums)) };
            });
        }
    });
}

/// From `d_context (R, H)`, and `context` as the forward pass left it: `d_qkv (T, 3H)`, and the gradient of every
/// offset's bias in every (sequence, head), `d_offsets (B * heads, 2L - 1)`.
#[allow(clippy::too_many_arguments)]
pub(crate) fn backward(
    d_qkv: &mut [f32],
    d_offsets: &mut [f32],
    d_context: &[f32],
    context: &[f32],
    qkv: &[f32],
    log_sums: &[f32],
    heads: Heads<'_>,
    dropout: Option<Site<'_>>,
) {
    let (height, width) = (log_sums.len() / heads.count, heads.width());
    let d_qkv = Scattered::new(d_qkv, 3 * width);
    let d_offsets = Scattered::new(d_offsets, heads.offsets.len() / heads.count);
    heads.tasks().into_par_iter().enumerate().for_each(|(task, Task { range, out: rows, attended, head })| {
        let [q, k, v] = heads.project(qkv, &range, head);
        let part = |whole| heads.part(whole, &rows, head);
        let (d_out, out) = (part(d_context), part(context));
        let write = |part: usize, first: usize, rows: &[f32]| {
            let columns = heads.columns(part * heads.count + head);
            // SAFETY: a (sequence, head) is one task, and no other touches its part of a row.
            unsafe { d_qkv.write(range.start + first, columns, rows, None) };
        };
        let d_biases = match heads.offsets {
            [] => &mut [],
            // SAFETY: a row is a task's own.
            _ => unsafe { d_offsets.part(task, 0..d_offsets.width) },
        };
        d_biases.fill(0.0);
        let size = range.len() * heads.size;
        with_scratch([size, size, 0], |[d_k, d_v, _]| {
            d_k.fill(0.0);
            d_v.fill(0.0);
            for block in heads.blocks(rows.len(), attended) {
                let (queries, stride) = (block.queries.len(), block.stride());
                let (q, d_out, out) = (q.rows(&block.queries), d_out.rows(&block.queries), out.rows(&block.queries));
                let (k, v) = (k.rows(&block.keys), v.rows(&block.keys));
                let keys = block.keys.start * heads.size..block.keys.end * heads.size;
                with_scratch([queries * stride, queries * stride, queries * heads.size], |[weights, d_scores, d_q]| {
                    gemm_into((weights, stride), q, k.t(), heads.scale(), false, Threads::This);
                    heads.shape(weights, &block, head);
                    gemm_into((d_scores, stride), d_out, v.t(), 1.0, false, Threads::This);
                    let sums = &log_sums[head * height + rows.start + block.queries.start..][..queries];
                    let masks = Masks {
                        site: dropout,
                        row: (range.start + block.queries.start) * heads.count + head,
                        rows: heads.count,
                        column: block.keys.start,
                    };
                    // The sum of weight times gradient of a row is that of output times gradient.
                    let along = &mut d_q[..queries];
                    dot_rows(d_out, out, along);
                    softmax_slope(weights, d_scores, sums, along, masks);
                    if !d_biases.is_empty() {
                        sum_diagonals(d_biases, d_scores, &block);
                    }
                    let (weights, d_scores) = (block.view(weights), block.view(d_scores));
                    gemm(&mut d_v[keys.clone()], weights.t(), d_out, 1.0, true, Threads::This);
                    gemm(d_q, d_scores, k, heads.scale(), false, Threads::This);
                    write(0, block.queries.start, d_q);
                    gemm(&mut d_k[keys.clone()], d_scores.t(), q, heads.scale(), true, Threads::This);
                });
            }
            write(1, 0, d_k);
            write(2, 0, d_v);
            if heads.first {
                // What is no query has no gradient as one.
                d_k.fill(0.0);
                write(0, 1, &d_k[heads.size..]);
            }
        });
    });
}

/// One head of one sequence.
struct Task {
    /// The sequence's tokens.
    range: Range<usize>,
    /// The rows of its queries in the output.
    out: Range<usize>,
    /// How many of them are keys.
    attended: usize,
    head: usize,
}

/// Some queries of a sequence and all keys that they see.
struct Block {
    queries: Range<usize>,
    keys: Range<usize>,
}

impl Block {
    /// From one query's scores to the next: whole groups of masks, so that no loop over a row has an end of its
    /// own, and a vector more, because rows that lie a power of two apart share few sets of the caches.
    fn stride(&self) -> usize {
        self.keys.len().next_multiple_of(GROUP) + LANES
    }

    /// Scores without what stands behind the keys.
    fn view<'a>(&self, scores: &'a [f32]) -> View<'a> {
        View::strided(scores, self.queries.len(), self.keys.len(), self.stride())
    }
}

impl<'a> Heads<'a> {
    /// `H`
    fn width(&self) -> usize {
        self.count * self.size
    }

    /// How many gradients of offsets a backward pass leaves.
    pub(crate) fn offset_gradients(&self) -> usize {
        self.tasks().len() * self.offsets.len() / self.count
    }

    /// The blocks of a sequence's first `queries` tokens. Where a token sees only near ones, no score of the others is computed.
    fn blocks(&self, queries: usize, attended: usize) -> impl Iterator<Item = Block> {
        let reach = self.reach.unwrap_or(queries.max(attended));
        (0..queries).step_by(QUERIES).map(move |start| {
            let end = (start + QUERIES).min(queries);
            // Masks are drawn in groups.
            let first = start.saturating_sub(reach) / GROUP * GROUP;
            Block { queries: start..end, keys: first..(end + reach).min(attended) }
        })
    }

    /// Adds the bias of a head to scores, and shuts off what is out of reach or behind the keys.
    fn shape(&self, scores: &mut [f32], block: &Block, head: usize) {
        let width = block.keys.len();
        let offsets = self.offsets.len() / self.count;
        let biases = &self.offsets[head * offsets..(head + 1) * offsets];
        for (query, scores) in block.queries.clone().zip(scores.chunks_exact_mut(block.stride())) {
            let (scores, behind) = scores.split_at_mut(width);
            behind.fill(f32::NEG_INFINITY);
            if offsets > 0 {
                // Offset 0 stands in the middle.
                let biases = &biases[offsets / 2 + block.keys.start - query..];
                scores.iter_mut().zip(biases).for_each(|(score, bias)| *score += bias);
            }
            if let Some(reach) = self.reach {
                let first = query.saturating_sub(reach).saturating_sub(block.keys.start);
                let last = (query + reach + 1 - block.keys.start).min(width);
                scores[..first].fill(f32::NEG_INFINITY);
                scores[last..].fill(f32::NEG_INFINITY);
            }
        }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.size as f32).sqrt()
    }

    /// The columns of a head in a row of width `H`.
    fn columns(&self, head: usize) -> Range<usize> {
        head * self.size..(head + 1) * self.size
    }

    /// Every (sequence, head).
    fn tasks(&self) -> Vec<Task> {
        let filled = self.batch.ranges().enumerate().filter(|(_, range)| !range.is_empty());
        let tasks = filled.enumerate().flat_map(|(row, (sequence, range))| {
            let out = if self.first { row..row + 1 } else { range.clone() };
            let attended = self.batch.attended_of(sequence);
            (0..self.count).map(move |head| Task { range: range.clone(), out: out.clone(), attended, head })
        });
        tasks.collect()
    }

    /// The queries, keys and values `(S, d)` of one head of one sequence.
    fn project(&self, qkv: &'a [f32], range: &Range<usize>, head: usize) -> [View<'a>; 3] {
        let width = self.width();
        [0, 1, 2].map(|part| {
            let start = range.start * 3 * width + part * width + head * self.size;
            View::strided(&qkv[start..], range.len(), self.size, 3 * width)
        })
    }

    /// The part of one head of one sequence in a matrix `(R, H)`, which has these rows.
    fn part<'b>(&self, whole: &'b [f32], rows: &Range<usize>, head: usize) -> View<'b> {
        let start = rows.start * self.width() + head * self.size;
        View::strided(&whole[start..], rows.len(), self.size, self.width())
    }
}

/// `sums (2L - 1) +=` that of each diagonal of a block's `matrix`, the sequence's main one in the middle.
fn sum_diagonals(sums: &mut [f32], matrix: &[f32], block: &Block) {
    let centre = sums.len() / 2;
    for (query, values) in block.queries.clone().zip(matrix.chunks_exact(block.stride())) {
        let values = &values[..block.keys.len()];
        sums[centre + block.keys.start - query..].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
}
