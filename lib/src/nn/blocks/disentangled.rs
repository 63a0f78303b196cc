//! Scores by relative position and content (He et al. 2021): for the query `i` and the key `j`, whose offset `i - j` has
//! the row `r` of a table of positions, `q_i · K_r + k_j · Q_r`, with `Q` and `K` the queries and keys of the table's rows.

use super::attention::{Block, Heads, with_scratch};
use crate::nn::gemm::{Threads, View, gemm};

/// The positions of one layer as attention sees them.
#[derive(Clone, Copy)]
pub(crate) struct Positional<'a> {
    /// `(R, 2H)` queries and keys, side by side.
    pub(crate) projected: &'a [f32],
    /// `(2L - 1,)` the row of every offset from `-(L - 1)` on, never falling.
    pub(crate) rows: &'a [u32],
}

/// The rows that a block of queries and keys needs.
struct Needed {
    first: usize,
    count: usize,
    /// Of an offset of 0 in `rows`.
    centre: usize,
}

impl<'a> Positional<'a> {
    fn needed(&self, block: &Block) -> Needed {
        let centre = self.rows.len() / 2;
        let first = self.rows[centre + block.queries.start + 1 - block.keys.end] as usize;
        let last = self.rows[centre + block.queries.end - 1 - block.keys.start] as usize;
        Needed { first, count: last + 1 - first, centre }
    }

    /// `Q` and `K` of a head, in these rows.
    fn part(&self, heads: &Heads<'_>, head: usize, part: usize, needed: &Needed) -> View<'a> {
        let width = heads.count * heads.size;
        let start = needed.first * 2 * width + part * width + head * heads.size;
        View::strided(&self.projected[start..], needed.count, heads.size, 2 * width)
    }

    /// The rows of a query's keys from the first on, less the first that is needed.
    fn along(&self, needed: &Needed, query: usize, block: &Block) -> impl Iterator<Item = usize> {
        let (start, end) = (needed.centre + query + 1 - block.keys.end, needed.centre + query + 1 - block.keys.start);
        let first = needed.first;
        self.rows[start..end].iter().rev().map(move |row| *row as usize - first)
    }

    /// Adds them to a block of scores.
    pub(super) fn forward(
        &self,
        scores: &mut [f32],
        block: &Block,
        [q, k]: [View<'_>; 2],
        heads: &Heads<'_>,
        head: usize,
    ) {
        let (needed, scale) = (self.needed(block), heads.scale());
        let (queries, keys, count) = (block.queries.len(), block.keys.len(), needed.count);
        with_scratch([queries * count, keys * count, 0], |[by_query, by_key, _]| {
            gemm(by_query, q, self.part(heads, head, 1, &needed).t(), scale, false, Threads::This);
            gemm(by_key, k, self.part(heads, head, 0, &needed).t(), scale, false, Threads::This);
            let rows = scores.chunks_exact_mut(block.stride()).zip(by_query.chunks_exact(count));
            for (query, (scores, by_query)) in block.queries.clone().zip(rows) {
                let terms = self.along(&needed, query, block).zip(by_key.chunks_exact(count));
                for (score, (row, by_key)) in scores.iter_mut().zip(terms) {
                    *score += by_query[row] + by_key[row];
                }
            }
        });
    }

    /// From the gradient of a block of scores: adds those of its queries, its keys, and of the positions,
    /// `d_projected (2, R, d)`.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn backward(
        &self,
        d_scores: &[f32],
        block: &Block,
        [q, k]: [View<'_>; 2],
        heads: &Heads<'_>,
        head: usize,
        [d_q, d_k]: [&mut [f32]; 2],
        d_projected: &mut [f32],
    ) {
        let (needed, scale) = (self.needed(block), heads.scale());
        let (queries, keys, count) = (block.queries.len(), block.keys.len(), needed.count);
        with_scratch([queries * count, keys * count, 0], |[by_query, by_key, _]| {
            by_query.fill(0.0);
            by_key.fill(0.0);
            let rows = d_scores.chunks_exact(block.stride()).zip(by_query.chunks_exact_mut(count));
            for (query, (d_scores, by_query)) in block.queries.clone().zip(rows) {
                let terms = self.along(&needed, query, block).zip(by_key.chunks_exact_mut(count));
                for (d, (row, by_key)) in d_scores.iter().zip(terms) {
                    by_query[row] += d;
                    by_key[row] += d;
                }
            }
            let (by_query, by_key) = (View::new(by_query, queries, count), View::new(by_key, keys, count));
            gemm(d_q, by_query, self.part(heads, head, 1, &needed), scale, true, Threads::This);
            gemm(d_k, by_key, self.part(heads, head, 0, &needed), scale, true, Threads::This);
            let (d_queries, d_keys) = d_projected.split_at_mut(d_projected.len() / 2);
            let part = needed.first * heads.size..(needed.first + count) * heads.size;
            gemm(&mut d_queries[part.clone()], by_key.t(), k, scale, true, Threads::This);
            gemm(&mut d_keys[part], by_query.t(), q, scale, true, Threads::This);
        });
    }
}

/// The row of a table of `2 * span` positions for the offset `query - key`. Where there are buckets, far offsets share
/// one by the logarithm of their distance, up to `farthest`.
pub(crate) fn row(offset: isize, span: usize, farthest: Option<usize>) -> usize {
    let (distance, middle) = (offset.unsigned_abs(), span / 2);
    let bucket = match farthest {
        Some(farthest) if distance > middle => {
            // In f32, and in this order, as the peer computes it.
            let logarithm = (distance as f32 / middle as f32).ln() / ((farthest - 1) as f32 / middle as f32).ln();
            (logarithm * (middle - 1) as f32).ceil() as isize + middle as isize
        }
        _ => distance as isize,
    };
    (bucket * offset.signum() + span as isize).clamp(0, 2 * span as isize - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `make_log_bucket_position` of transformers 5.3 with 8 buckets and 64 positions, and with 256 and 512.
    #[test]
    fn rows_are_those_of_deberta() {
        let small: Vec<usize> = [-63, -30, -9, -5, -4, -3, 0, 3, 4, 5, 9, 30, 63].map(|n| row(n, 8, Some(64))).into();
        assert_eq!(small, SMALL);
        let large: Vec<usize> =
            [-511, -300, -200, -129, -128, 1, 128, 129, 200, 300, 511].map(|n| row(n, 256, Some(512))).into();
        assert_eq!(large, LARGE);
        assert_eq!([-9, -8, 7, 8].map(|n| row(n, 8, None)), [0, 0, 15, 15]);
    }

    const SMALL: [usize; 13] = [1, 1, 3, 3, 4, 5, 8, 11, 12, 13, 13, 15, 15];
    const LARGE: [usize; 11] = [1, 49, 87, 127, 128, 257, 384, 385, 425, 463, 511];
}
