//! The softmax of a block of scores, and its gradient, each one pass over the block.

use crate::nn::blocks::dropout::{GROUP, Site};
use crate::nn::math::{LANES, exp, lane_max, vectorised};

/// The masks of a block of attention weights. They belong to (token, head), so they are the same in both passes.
#[derive(Clone, Copy)]
pub(super) struct Masks {
    pub(super) site: Option<Site>,
    /// Row of the first query, and from one query's row to the next.
    pub(super) row: usize,
    pub(super) rows: usize,
    /// The first key.
    pub(super) column: usize,
}

impl Masks {
    /// What the weights of a query and a group of the block's keys are multiplied by.
    #[inline(always)]
    fn group(&self, query: usize, group: usize) -> [f32; GROUP] {
        match self.site {
            Some(site) => site.group(self.row + query * self.rows, self.column / GROUP + group),
            None => [1.0; GROUP],
        }
    }
}

vectorised! {
    /// `exp(score - max)` of each row, dropped; what is left to do is to multiply by the inverse of the row's sum
    /// before it was dropped. `log_sums` gets the logarithm of the sum of all exponentials.
    pub(super) fn softmax(scores: &mut [f32], log_sums: &mut [f32], inverse_sums: &mut [f32], masks: Masks) {
        let width = scores.len() / log_sums.len();
        for (query, (row, log_sum)) in scores.chunks_exact_mut(width).zip(log_sums).enumerate() {
            let max = lane_max(row, f32::NEG_INFINITY);
            let mut lanes = [0.0_f32; LANES];
            for (group, part) in row.chunks_mut(GROUP).enumerate() {
                let mut weights = load(part, f32::NEG_INFINITY);
                for weights in weights.as_chunks_mut::<LANES>().0 {
                    for (weight, lane) in weights.iter_mut().zip(&mut lanes) {
                        *weight = exp_or_zero(*weight, max);
                        *lane += *weight;
                    }
                }
                if masks.site.is_some() {
                    for (weight, factor) in weights.iter_mut().zip(masks.group(query, group)) {
                        *weight *= factor;
                    }
                }
                store(part, &weights);
            }
            let sum: f32 = lanes.iter().sum();
            inverse_sums[query] = 1.0 / sum;
            *log_sum = max + sum.ln();
        }
    }
}

vectorised! {
    /// From scores and the gradient of the dropped weights: the dropped weights in the scores' place, and
    /// `dS = P (mask dP - along)` in the gradient's.
    pub(super) fn softmax_slope(scores: &mut [f32], d_weights: &mut [f32], log_sums: &[f32], along: &[f32], masks: Masks) {
        let width = scores.len() / log_sums.len();
        let rows = scores.chunks_exact_mut(width).zip(d_weights.chunks_exact_mut(width));
        for (query, ((scores, d_weights), (log_sum, along))) in rows.zip(log_sums.iter().zip(along)).enumerate() {
            let groups = scores.chunks_mut(GROUP).zip(d_weights.chunks_mut(GROUP));
            for (group, (scores_part, d_part)) in groups.enumerate() {
                let (mut scores, mut d_weights) = (load(scores_part, f32::NEG_INFINITY), load(d_part, 0.0));
                let factors = masks.group(query, group);
                for i in 0..GROUP {
                    let weight = exp_or_zero(scores[i], *log_sum);
                    scores[i] = weight * factors[i];
                    d_weights[i] = weight * (d_weights[i] * factors[i] - along);
                }
                store(scores_part, &scores);
                store(d_part, &d_weights);
            }
        }
    }
}

/// A part of a row as a group: loops over a fixed length are what the compiler vectorises.
#[inline(always)]
fn load(part: &[f32], beyond: f32) -> [f32; GROUP] {
    match part.try_into() {
        Ok(group) => group,
        Err(_) => {
            let mut group = [beyond; GROUP];
            group[..part.len()].copy_from_slice(part);
            group
        }
    }
}

#[inline(always)]
fn store(part: &mut [f32], group: &[f32; GROUP]) {
    match <&mut [f32; GROUP]>::try_from(&mut *part) {
        Ok(part) => *part = *group,
        Err(_) => part.copy_from_slice(&group[..part.len()]),
    }
}

/// `exp(x - shift)`, and 0 where `x` was shut off.
#[inline(always)]
fn exp_or_zero(x: f32, shift: f32) -> f32 {
    let value = exp(x - shift);
    if x > f32::MIN { value } else { 0.0 }
}
