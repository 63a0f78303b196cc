//! Self-attention over packed sequences, parallel over (sequence, head).
//!
//! `P = softmax(Q Kᵀ / sqrt d + bias)`, `context = dropout(P) V`; a bias by relative position and a limit
//! to how far a token sees are the family's. Only the log-sum-exp of each row is kept:
//! the backward pass computes `P` again.

mod heads;
mod scratch;
mod softmax;

use rayon::prelude::*;

use super::dropout::Site;
use crate::nn::gemm::{Threads, View, dot_rows, gemm, gemm_into, gemm_rounded};
pub(super) use heads::Block;
pub(crate) use heads::Heads;
use heads::{Task, sum_diagonals};
use scratch::Scattered;
pub(super) use scratch::with_scratch;
use softmax::{Masks, softmax, softmax_slope};

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
    let multiply = if heads.rounded { gemm_rounded } else { gemm_here };
    heads.tasks().into_par_iter().for_each(|Task { range, out, attended, head }| {
        let [q, k, v] = heads.project(qkv, &range, head);
        for block in heads.blocks(out.len(), attended) {
            let (height, stride) = (block.queries.len(), block.stride());
            with_scratch([height * stride, height * heads.size, height], |[scores, rows, inverse_sums]| {
                multiply((&mut *scores, stride), q.rows(&block.queries), k.rows(&block.keys).t(), heads.scale());
                if let Some(positional) = heads.positional {
                    let content = [q.rows(&block.queries), k.rows(&block.keys)];
                    positional.forward(scores, &block, content, &heads, head);
                }
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
                multiply((&mut *rows, heads.size), block.view(scores), v.rows(&block.keys), 1.0);
                // SAFETY: as above.
                unsafe { context.write(out.start, heads.columns(head), rows, Some(inverse_sums)) };
            });
        }
    });
}

/// From `d_context (R, H)`, and `context` as the forward pass left it: `d_qkv (T, 3H)`, and the gradient of every
/// offset's bias in every (sequence, head), `d_offsets (B * heads, 2L - 1)`. The gradient of queries and keys of relative
/// positions is added to `d_positional (heads, 2, R, d)`.
#[allow(clippy::too_many_arguments)]
pub(crate) fn backward(
    d_qkv: &mut [f32],
    d_offsets: &mut [f32],
    d_positional: &mut [f32],
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
    let work = |(task, Task { range, out: rows, attended, head }): (usize, Task), d_positional: &mut [f32]| {
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
                    if let Some(positional) = heads.positional {
                        positional.forward(weights, &block, [q, k], &heads, head);
                    }
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
                    let (weights, slopes) = (block.view(weights), block.view(d_scores));
                    gemm(&mut d_v[keys.clone()], weights.t(), d_out, 1.0, true, Threads::This);
                    gemm(d_q, slopes, k, heads.scale(), false, Threads::This);
                    gemm(&mut d_k[keys.clone()], slopes.t(), q, heads.scale(), true, Threads::This);
                    if let Some(positional) = heads.positional {
                        let d_content = [&mut *d_q, &mut d_k[keys.clone()]];
                        positional.backward(d_scores, &block, [q, k], &heads, head, d_content, d_positional);
                    }
                    write(0, block.queries.start, d_q);
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
    };
    let tasks = heads.tasks().into_iter().enumerate().collect::<Vec<_>>();
    if heads.positional.is_none() {
        return tasks.into_par_iter().for_each(|task| work(task, &mut []));
    }
    // What all sequences share is summed up head by head, in their order.
    let size = (d_positional.len() / heads.count).max(1);
    d_positional.par_chunks_mut(size).enumerate().for_each(|(head, d_positional)| {
        tasks.iter().filter(|(_, task)| task.head == head).for_each(|task| work(task.clone(), d_positional));
    });
}

/// A product by the calling thread: others work on other heads.
fn gemm_here(dst: (&mut [f32], usize), lhs: View<'_>, rhs: View<'_>, scale: f32) {
    gemm_into(dst, lhs, rhs, scale, false, Threads::This);
}
