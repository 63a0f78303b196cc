//! AdamW, fused: one pass over memory.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::optimizer::{Piece, Slices, shares};
use crate::Result;
use crate::error::expect;

/// Settings of AdamW (Loshchilov and Hutter 2019); the defaults are PyTorch's.
///
/// `θ -= rate * (m̂ / (sqrt(v̂) + eps) + weight_decay * θ)`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdamWConfig {
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    /// Applies to matrices, not to biases and norms.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 }
    }
}

impl AdamWConfig {
    pub(super) fn check(&self) -> Result<()> {
        expect("beta1", self.beta1, "0 or more and below 1", (0.0..1.0).contains(&self.beta1))?;
        expect("beta2", self.beta2, "0 or more and below 1", (0.0..1.0).contains(&self.beta2))?;
        // In f32, as it is used: 0 / 0 would be NaN where a gradient is 0.
        expect("eps", self.eps, "above 1e-38", self.eps > 1e-38 && self.eps.is_finite())?;
        let decay = self.weight_decay;
        expect("weight_decay", decay, "0 or more", decay >= 0.0 && decay.is_finite())
    }
}

/// The moments of all trained parameters.
#[derive(Debug, Clone)]
pub(super) struct AdamW {
    pub(super) config: AdamWConfig,
    pub(super) first: Vec<f32>,
    pub(super) second: Vec<f32>,
    /// For each piece, which of its blocks have had a gradient. The moments of the others are 0, so only
    /// the decay acts on them: rows of the word embedding that no text has named. Empty: to be found.
    pub(super) live: Vec<Vec<bool>>,
}

/// Elements that are live together, less than a row of most word embeddings.
const BLOCK: usize = 128;

impl AdamW {
    pub(super) fn new(config: AdamWConfig, len: usize) -> Self {
        Self { config, first: vec![0.0; len], second: vec![0.0; len], live: Vec::new() }
    }

    /// Update number `number`, from 1, at the schedule's rate.
    pub(super) fn update(&mut self, slices: Slices, pieces: &[Piece], number: u64, rate: f64, clip: f64) {
        let moments: Vec<_> =
            shares(&mut self.first, pieces).into_iter().zip(shares(&mut self.second, pieces)).collect();
        if self.live.is_empty() {
            self.live = moments.iter().map(|(first, second)| live_blocks(first, second)).collect();
        }
        let slices = slices.into_par_iter().zip(pieces);
        slices.zip(moments).zip(&mut self.live).for_each(|((((values, grads), piece), (first, second)), live)| {
            let update = Update::new(&self.config, piece, number, rate, clip);
            apply(values, grads, first, second, live, update);
        });
    }
}

/// The blocks of a piece that have a moment other than 0.
fn live_blocks(first: &[f32], second: &[f32]) -> Vec<bool> {
    let blocks = |moments: &[f32]| moments.chunks(BLOCK).map(any).collect::<Vec<bool>>();
    blocks(first).into_iter().zip(blocks(second)).map(|(first, second)| first || second).collect()
}

/// Whether a number is not 0.
#[inline(always)]
fn any(numbers: &[f32]) -> bool {
    // The shift drops the sign: -0 is 0.
    numbers.iter().fold(0, |bits, number| bits | number.to_bits() << 1) != 0
}

/// The numbers that are the same for every element of a piece.
#[derive(Clone, Copy)]
struct Update {
    clip: f32,
    beta1: f32,
    /// `1 - beta1`, from doubles: in f32 the difference of 0.99999 from 1 is off by a thousandth.
    rest1: f32,
    beta2: f32,
    rest2: f32,
    eps: f32,
    /// The rate over the bias correction of the first moment.
    rate: f32,
    /// One over the root of the bias correction of the second.
    root: f32,
    decay: f32,
}

impl Update {
    fn new(config: &AdamWConfig, piece: &Piece, number: u64, rate: f64, clip: f64) -> Self {
        let rate = rate * piece.group.ratio;
        let correction = |beta: f64| 1.0 - beta.powf(number as f64);
        Self {
            clip: clip as f32,
            beta1: config.beta1 as f32,
            rest1: (1.0 - config.beta1) as f32,
            beta2: config.beta2 as f32,
            rest2: (1.0 - config.beta2) as f32,
            eps: config.eps as f32,
            rate: (rate / correction(config.beta1)) as f32,
            root: (1.0 / correction(config.beta2).sqrt()) as f32,
            decay: if piece.group.decay { (1.0 - rate * config.weight_decay) as f32 } else { 1.0 },
        }
    }
}

crate::nn::vectorised! {
    fn apply(values: &mut [f32], grads: &[f32], first: &mut [f32], second: &mut [f32], live: &mut [bool], update: Update) {
        let moments = first.chunks_mut(BLOCK).zip(second.chunks_mut(BLOCK)).zip(live);
        for ((values, grads), ((first, second), live)) in values.chunks_mut(BLOCK).zip(grads.chunks(BLOCK)).zip(moments) {
            *live |= any(grads);
            if !*live {
                // What the formula below comes to, bit for bit, where gradient and moments are 0.
                values.iter_mut().for_each(|value| *value *= update.decay);
                continue;
            }
            let moments = first.iter_mut().zip(second);
            for ((value, grad), (first, second)) in values.iter_mut().zip(grads).zip(moments) {
                let grad = grad * update.clip;
                *first = update.beta1 * *first + update.rest1 * grad;
                *second = update.beta2 * *second + update.rest2 * grad * grad;
                *value = *value * update.decay - update.rate * *first / (second.sqrt() * update.root + update.eps);
            }
        }
    }
}
