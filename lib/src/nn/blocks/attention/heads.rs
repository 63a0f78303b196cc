//! What attention is computed of: heads of sequences, a block of queries at a time.

use std::ops::Range;

use crate::nn::PackedBatch;
use crate::nn::blocks::disentangled::Positional;
use crate::nn::blocks::dropout::MASK_GROUP;
use crate::nn::gemm::View;
use crate::nn::math::LANES;

/// The shape of a packed batch as attention sees it.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a> {
    pub(crate) batch: &'a PackedBatch,
    pub(crate) count: usize,
    /// `d`, the width of one head.
    pub(crate) size: usize,
    /// Products may be rounded: in a pass in int8.
    pub(crate) rounded: bool,
    /// The first token of each sequence is the only query, and has the only row of the output.
    pub(crate) first: bool,
    /// A token sees those at most this far away; all without.
    pub(crate) reach: Option<usize>,
    /// `(heads, 2L - 1)`: a bias for every offset `j - i` up to the longest sequence; none if empty.
    pub(crate) offsets: &'a [f32],
    /// Relative positions that are compared with content.
    pub(crate) positional: Option<Positional<'a>>,
}

/// Queries that are computed together: their scores for 512 keys are 512 KiB, which a core's second-level cache
/// of 1 MiB holds.
const QUERIES: usize = 256;

/// One head of one sequence.
#[derive(Clone)]
pub(super) struct Task {
    /// The sequence's tokens.
    pub(super) range: Range<usize>,
    /// The rows of its queries in the output.
    pub(super) out: Range<usize>,
    /// How many of them are keys.
    pub(super) attended: usize,
    pub(super) head: usize,
}

/// Some queries of a sequence and all keys that they see.
pub(in crate::nn::blocks) struct Block {
    pub(in crate::nn::blocks) queries: Range<usize>,
    pub(in crate::nn::blocks) keys: Range<usize>,
}

impl Block {
    /// From one query's scores to the next: whole groups of masks, so that no loop over a row has an end of its
    /// own, and a vector more, because rows that lie a power of two apart share few sets of the caches.
    pub(in crate::nn::blocks) fn stride(&self) -> usize {
        self.keys.len().next_multiple_of(MASK_GROUP) + LANES
    }

    /// Scores without what follows the keys.
    pub(super) fn view<'a>(&self, scores: &'a [f32]) -> View<'a> {
        View::strided(scores, self.queries.len(), self.keys.len(), self.stride())
    }
}

impl<'a> Heads<'a> {
    /// `H`
    pub(super) fn width(&self) -> usize {
        self.count * self.size
    }

    /// How many gradients of offsets a backward pass leaves.
    pub(crate) fn offset_gradients(&self) -> usize {
        self.tasks().len() * self.offsets.len() / self.count
    }

    /// The blocks of a sequence's first `queries` tokens. Where a token sees only near ones, no score of the others is computed.
    pub(super) fn blocks(&self, queries: usize, attended: usize) -> impl Iterator<Item = Block> {
        let reach = self.reach.unwrap_or(queries.max(attended));
        (0..queries).step_by(QUERIES).map(move |start| {
            let end = (start + QUERIES).min(queries);
            // Masks are drawn in groups.
            let first = start.saturating_sub(reach) / MASK_GROUP * MASK_GROUP;
            Block { queries: start..end, keys: first..(end + reach).min(attended) }
        })
    }

    /// Adds the bias of a head to scores, and shuts off what is out of reach or after the keys.
    pub(super) fn shape(&self, scores: &mut [f32], block: &Block, head: usize) {
        let width = block.keys.len();
        let offsets = self.offsets.len() / self.count;
        let biases = &self.offsets[head * offsets..(head + 1) * offsets];
        for (query, scores) in block.queries.clone().zip(scores.chunks_exact_mut(block.stride())) {
            let (scores, rest) = scores.split_at_mut(width);
            rest.fill(f32::NEG_INFINITY);
            if offsets > 0 {
                // Offset 0 is in the middle.
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

    pub(in crate::nn::blocks) fn scale(&self) -> f32 {
        let terms = if self.positional.is_some() { 3 } else { 1 };
        1.0 / ((terms * self.size) as f32).sqrt()
    }

    /// The columns of a head in a row of width `H`.
    pub(super) fn columns(&self, head: usize) -> Range<usize> {
        head * self.size..(head + 1) * self.size
    }

    /// Every (sequence, head).
    pub(super) fn tasks(&self) -> Vec<Task> {
        let filled = self.batch.ranges().enumerate().filter(|(_, range)| !range.is_empty());
        let tasks = filled.enumerate().flat_map(|(row, (sequence, range))| {
            let out = if self.first { row..row + 1 } else { range.clone() };
            let attended = self.batch.attended_of(sequence);
            (0..self.count).map(move |head| Task { range: range.clone(), out: out.clone(), attended, head })
        });
        tasks.collect()
    }

    /// The queries, keys and values `(S, d)` of one head of one sequence.
    pub(super) fn project(&self, qkv: &'a [f32], range: &Range<usize>, head: usize) -> [View<'a>; 3] {
        let width = self.width();
        [0, 1, 2].map(|part| {
            let start = range.start * 3 * width + part * width + head * self.size;
            View::strided(&qkv[start..], range.len(), self.size, 3 * width)
        })
    }

    /// The part of one head of one sequence in a matrix `(R, H)`, which has these rows.
    pub(super) fn part<'b>(&self, whole: &'b [f32], rows: &Range<usize>, head: usize) -> View<'b> {
        let start = rows.start * self.width() + head * self.size;
        View::strided(&whole[start..], rows.len(), self.size, self.width())
    }
}

/// `sums (2L - 1) +=` that of each diagonal of a block's `matrix`, the sequence's main one in the middle.
pub(super) fn sum_diagonals(sums: &mut [f32], matrix: &[f32], block: &Block) {
    let centre = sums.len() / 2;
    for (query, values) in block.queries.clone().zip(matrix.chunks_exact(block.stride())) {
        let values = &values[..block.keys.len()];
        sums[centre + block.keys.start - query..].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
}
