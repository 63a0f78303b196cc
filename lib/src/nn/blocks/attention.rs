//! Self-attention over packed sequences, parallel over (sequence, head).
//!
//! `P = softmax(Q Kᵀ / sqrt d + bias)`, `context = dropout(P) V`; a bias by relative position and a limit
//! to how far a token sees are the family's. Only the log-sum-exp of each row is kept:
//! the backward pass computes `P` again.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use super::dropout::Site;
use crate::nn::gemm::{Threads, View, gemm};
use crate::nn::math::{exp, lane_sum, vectorised};

/// The shape of a packed batch as attention sees it.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a> {
    /// Where each sequence starts, and the end of the last.
    pub(crate) bounds: &'a [usize],
    pub(crate) count: usize,
    /// `d`, the width of one head.
    pub(crate) size: usize,
    /// A token sees those at most this far away; all without.
    pub(crate) reach: Option<usize>,
    /// `(heads, 2L - 1)`: a bias for every offset `j - i` up to the longest sequence; none if empty.
    pub(crate) offsets: &'a [f32],
}

/// From `qkv (T, 3H)`: `context (T, H)` and `log_sums (heads, T)`.
pub(crate) fn forward(context: &mut [f32], log_sums: &mut [f32], qkv: &[f32], heads: Heads<'_>, dropout: Option<Site>) {
    let tokens = log_sums.len() / heads.count;
    let context = Scattered::new(context, heads.width());
    let log_sums = Scattered::new(log_sums, tokens);
    heads.tasks().into_par_iter().for_each(|(range, head)| {
        with_scratch(range.len(), heads.size, |scores, rows| {
            let [q, k, v] = heads.project(qkv, &range, head);
            gemm(scores, q, k.t(), heads.scale(), false, Threads::This);
            heads.shape(scores, range.len(), head);
            // SAFETY: a (sequence, head) is one task, and no other touches its part of a row.
            let sums = unsafe { log_sums.part(head, range.clone()) };
            softmax(scores, sums);
            heads.limit(scores, range.len(), 0.0);
            drop_scores(scores, &range, head, heads.count, dropout);
            gemm(rows, View::new(scores, range.len(), range.len()), v, 1.0, false, Threads::This);
            for (token, row) in range.clone().zip(rows.chunks_exact(heads.size)) {
                // SAFETY: as above.
                unsafe { context.part(token, heads.columns(head)) }.copy_from_slice(row);
            }
        });
    });
}

/// From `d_context (T, H)`: `d_qkv (T, 3H)`, and the gradient of every offset's bias in every (sequence,
/// head), `d_offsets (B * heads, 2L - 1)`.
pub(crate) fn backward(
    d_qkv: &mut [f32],
    d_offsets: &mut [f32],
    d_context: &[f32],
    qkv: &[f32],
    log_sums: &[f32],
    heads: Heads<'_>,
    dropout: Option<Site>,
) {
    let tokens = log_sums.len() / heads.count;
    let width = heads.width();
    let d_qkv = Scattered::new(d_qkv, 3 * width);
    let d_offsets = Scattered::new(d_offsets, heads.offsets.len() / heads.count);
    heads.tasks().into_par_iter().enumerate().for_each(|(task, (range, head))| {
        let length = range.len();
        let [q, k, v] = heads.project(qkv, &range, head);
        let d_out = View::strided(&d_context[range.start * width + head * heads.size..], length, heads.size, width);
        let write = |part: usize, rows: &[f32]| {
            for (token, row) in range.clone().zip(rows.chunks_exact(heads.size)) {
                let columns = heads.columns(head);
                // SAFETY: a (sequence, head) is one task, and no other touches its part of a row.
                unsafe { d_qkv.part(token, part * width + columns.start..part * width + columns.end) }
                    .copy_from_slice(row);
            }
        };
        with_scratch(length, heads.size, |weights, rows| {
            gemm(weights, q, k.t(), heads.scale(), false, Threads::This);
            heads.shape(weights, length, head);
            exponentiate(weights, &log_sums[head * tokens..][range.clone()]);
            heads.limit(weights, length, 0.0);
            with_scratch(length, 0, |dropped, _| {
                dropped.copy_from_slice(weights);
                drop_scores(dropped, &range, head, heads.count, dropout);
                gemm(rows, View::new(dropped, length, length).t(), d_out, 1.0, false, Threads::This);
                write(2, rows);

                let d_weights = dropped;
                gemm(d_weights, d_out, v.t(), 1.0, false, Threads::This);
                drop_scores(d_weights, &range, head, heads.count, dropout);
                softmax_slope(d_weights, weights);
                if !heads.offsets.is_empty() {
                    // SAFETY: a row is a task's own.
                    sum_diagonals(unsafe { d_offsets.part(task, 0..d_offsets.width) }, d_weights, length);
                }
                let d_scores = View::new(d_weights, length, length);
                gemm(rows, d_scores, k, heads.scale(), false, Threads::This);
                write(0, rows);
                gemm(rows, d_scores.t(), q, heads.scale(), false, Threads::This);
                write(1, rows);
            });
        });
    });
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

    /// Adds the bias of a head to scores `(S, S)`, and shuts off what is out of reach.
    fn shape(&self, scores: &mut [f32], length: usize, head: usize) {
        if !self.offsets.is_empty() {
            let offsets = self.offsets.len() / self.count;
            let biases = &self.offsets[head * offsets..(head + 1) * offsets];
            for (row, scores) in scores.chunks_exact_mut(length).enumerate() {
                // The offset of the first column is -row; offset 0 stands in the middle.
                let biases = &biases[offsets / 2 - row..];
                scores.iter_mut().zip(biases).for_each(|(score, bias)| *score += bias);
            }
        }
        self.limit(scores, length, f32::NEG_INFINITY);
    }

    /// Sets the elements of a matrix `(S, S)` that are out of reach to a value.
    fn limit(&self, matrix: &mut [f32], length: usize, value: f32) {
        let Some(reach) = self.reach.filter(|reach| reach + 1 < length) else { return };
        for (row, values) in matrix.chunks_exact_mut(length).enumerate() {
            values[..row.saturating_sub(reach)].fill(value);
            values[(row + reach + 1).min(length)..].fill(value);
        }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.size as f32).sqrt()
    }

    /// The columns of a head in a row of width `H`.
    fn columns(&self, head: usize) -> Range<usize> {
        head * self.size..(head + 1) * self.size
    }

    /// Every (sequence, head), the tokens of the sequence as a range.
    fn tasks(&self) -> Vec<(Range<usize>, usize)> {
        let ranges = self.bounds.windows(2).map(|bounds| bounds[0]..bounds[1]).filter(|range| !range.is_empty());
        ranges.flat_map(|range| (0..self.count).map(move |head| (range.clone(), head))).collect()
    }

    /// The queries, keys and values `(S, d)` of one head of one sequence.
    fn project(&self, qkv: &'a [f32], range: &Range<usize>, head: usize) -> [View<'a>; 3] {
        let width = self.width();
        [0, 1, 2].map(|part| {
            let start = range.start * 3 * width + part * width + head * self.size;
            View::strided(&qkv[start..], range.len(), self.size, 3 * width)
        })
    }
}

/// `sums (2L - 1)`: that of each diagonal of `matrix (S, S)`, the main one in the middle, 0 outside.
fn sum_diagonals(sums: &mut [f32], matrix: &[f32], length: usize) {
    sums.fill(0.0);
    let centre = sums.len() / 2;
    for (row, values) in matrix.chunks_exact(length).enumerate() {
        sums[centre - row..].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
}

/// Drops attention weights; the mask belongs to (token, head), so it is the same in both passes.
fn drop_scores(scores: &mut [f32], range: &Range<usize>, head: usize, heads: usize, dropout: Option<Site>) {
    if let Some(site) = dropout {
        for (row, token) in scores.chunks_exact_mut(range.len()).zip(range.clone()) {
            site.apply(token * heads + head, row);
        }
    }
}

/// Runs `work` with two buffers of this thread, `(length, length)` and `(length, width)`, that keep
/// their memory from call to call.
fn with_scratch(length: usize, width: usize, work: impl FnOnce(&mut [f32], &mut [f32])) {
    thread_local!(static BUFFERS: RefCell<Vec<(Vec<f32>, Vec<f32>)>> = const { RefCell::new(Vec::new()) });
    let (mut square, mut rows) = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
    square.resize(square.len().max(length * length), 0.0);
    rows.resize(rows.len().max(length * width), 0.0);
    work(&mut square[..length * length], &mut rows[..length * width]);
    BUFFERS.with_borrow_mut(|buffers| buffers.push((square, rows)));
}

/// A matrix of which tasks write disjoint parts of rows.
struct Scattered<'a> {
    start: *mut f32,
    rows: usize,
    width: usize,
    borrowed: PhantomData<&'a mut [f32]>,
}

// SAFETY: a shared `Scattered` gives out memory only through `part`, whose caller vouches for disjointness.
unsafe impl Sync for Scattered<'_> {}

impl<'a> Scattered<'a> {
    fn new(data: &'a mut [f32], width: usize) -> Self {
        Self {
            start: data.as_mut_ptr(),
            rows: data.len().checked_div(width).unwrap_or(0),
            width,
            borrowed: PhantomData,
        }
    }

    /// SAFETY: no two parts that live at the same time may overlap.
    #[allow(clippy::mut_from_ref)]
    unsafe fn part(&self, row: usize, columns: Range<usize>) -> &mut [f32] {
        assert!(row < self.rows && columns.end <= self.width, "part outside of its matrix");
        // SAFETY: inside the borrowed slice by the assertion; disjoint by the caller's word.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.width + columns.start), columns.len()) }
    }
}

vectorised! {
    /// Softmax of each row in place; `log_sums` gets the logarithm of each row's sum of exponentials.
    fn softmax(scores: &mut [f32], log_sums: &mut [f32]) {
        let length = log_sums.len();
        for (row, log_sum) in scores.chunks_exact_mut(length).zip(log_sums) {
            let max = row.iter().fold(f32::NEG_INFINITY, |max, score| if *score > max { *score } else { max });
            for score in row.iter_mut() {
                *score = exp(*score - max);
            }
            let sum = lane_sum(length, |i| row[i]);
            for score in row.iter_mut() {
                *score /= sum;
            }
            *log_sum = max + sum.ln();
        }
    }
}

vectorised! {
    /// The softmax again, from its kept log-sums.
    fn exponentiate(scores: &mut [f32], log_sums: &[f32]) {
        for (row, log_sum) in scores.chunks_exact_mut(log_sums.len()).zip(log_sums) {
            for score in row {
                *score = exp(*score - log_sum);
            }
        }
    }
}

vectorised! {
    /// `dS = P (dP - rowsum(dP P))`, in place of `dP`.
    fn softmax_slope(d_weights: &mut [f32], weights: &[f32]) {
        let length = weights.len().isqrt();
        for (d, weights) in d_weights.chunks_exact_mut(length).zip(weights.chunks_exact(length)) {
            let along = lane_sum(length, |i| d[i] * weights[i]);
            for (d, weight) in d.iter_mut().zip(weights) {
                *d = weight * (*d - along);
            }
        }
    }
}
