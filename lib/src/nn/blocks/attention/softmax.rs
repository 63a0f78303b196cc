//! The softmax of a block of scores, and its gradient, each one pass over the block. A row is whole groups of masks
//! and a vector that is passed over; after the keys it is shut off.

use crate::nn::blocks::dropout::{MASK_GROUP, Site};
use crate::nn::math::{LANES, across, exp, lane_max, vectorised};

/// The masks of a block of attention weights. They belong to (token, head), so they are the same in both passes.
#[derive(Clone, Copy)]
pub(super) struct Masks<'a> {
    pub(super) site: Option<Site<'a>>,
    /// Row of the first query, and from one query's row to the next.
    pub(super) row: usize,
    pub(super) rows: usize,
    /// The first key.
    pub(super) column: usize,
}

impl Masks<'_> {
    /// What the weights of a query and a group of the block's keys are multiplied by.
    #[inline(always)]
    fn group(&self, query: usize, group: usize) -> [f32; MASK_GROUP] {
        match self.site {
            Some(site) => site.group(self.row + query * self.rows, self.column / MASK_GROUP + group),
            None => [1.0; MASK_GROUP],
        }
    }
}

vectorised! {
    /// `exp(score - max)` of each row, dropped; what is left to do is to multiply by the inverse of the row's sum
    /// before it was dropped. `log_sums` gets the logarithm of the sum of all exponentials.
    pub(super) fn softmax(scores: &mut [f32], log_sums: &mut [f32], inverse_sums: &mut [f32], masks: Masks<'_>) {
        let stride = scores.len() / log_sums.len();
        for (query, (row, log_sum)) in scores.chunks_exact_mut(stride).zip(log_sums).enumerate() {
            let max = lane_max(row, f32::NEG_INFINITY);
            let mut sums = [0.0; LANES];
            for (group, scores) in row.as_chunks_mut::<MASK_GROUP>().0.iter_mut().enumerate() {
                for weights in scores.as_chunks_mut::<LANES>().0 {
                    for (weight, sum) in weights.iter_mut().zip(&mut sums) {
                        *weight = exp_or_zero(*weight, max);
                        *sum += *weight;
                    }
                }
                if masks.site.is_some() {
                    let factors = masks.group(query, group);
                    scores.iter_mut().zip(factors).for_each(|(weight, factor)| *weight *= factor);
                }
            }
            let sum = across(sums, |sum, other| sum + other);
            inverse_sums[query] = 1.0 / sum;
            *log_sum = max + sum.ln();
        }
    }
}

vectorised! {
    /// From scores and the gradient of the dropped weights: the dropped weights in the scores' place, and
    /// `dS = P (mask dP - along)` in the gradient's.
    pub(super) fn softmax_slope(scores: &mut [f32], d_weights: &mut [f32], log_sums: &[f32], along: &[f32], masks: Masks<'_>) {
        let stride = scores.len() / log_sums.len();
        let rows = scores.chunks_exact_mut(stride).zip(d_weights.chunks_exact_mut(stride));
        for (query, ((scores, d_weights), (log_sum, along))) in rows.zip(log_sums.iter().zip(along)).enumerate() {
            let groups = scores.as_chunks_mut::<MASK_GROUP>().0.iter_mut().zip(d_weights.as_chunks_mut::<MASK_GROUP>().0);
            for (group, (scores, d_weights)) in groups.enumerate() {
                slope(scores, d_weights, (*log_sum, *along), &masks.group(query, group));
            }
        }
    }
}

/// A function, for its arguments are known not to overlap: the compiler vectorises it.
#[inline(always)]
fn slope(
    scores: &mut [f32; MASK_GROUP],
    d_weights: &mut [f32; MASK_GROUP],
    (log_sum, along): (f32, f32),
    factors: &[f32; MASK_GROUP],
) {
    for i in 0..MASK_GROUP {
        let weight = exp_or_zero(scores[i], log_sum);
        scores[i] = weight * factors[i];
        d_weights[i] = weight * (d_weights[i] * factors[i] - along);
    }
}

/// `exp(x - shift)`, and 0 where `x` was shut off.
#[inline(always)]
fn exp_or_zero(x: f32, shift: f32) -> f32 {
    let value = exp(x - shift);
    if x > f32::MIN { value } else { 0.0 }
}
