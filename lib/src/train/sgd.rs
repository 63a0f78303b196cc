//! Stochastic gradient descent with momentum.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::optimizer::{Piece, Slices, shares};
use crate::Result;
use crate::error::expect;

/// Settings of SGD. The formulas are PyTorch's, with dampening 0; its default momentum is 0.
///
/// ```text
/// g = gradient + weight_decay * θ        v = momentum * v + g        (v = 0 before the first step)
/// θ -= rate * v                          nesterov: θ -= rate * (g + momentum * v)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SgdConfig {
    pub momentum: f64,
    /// Look ahead by one step of the momentum (Sutskever et al. 2013).
    pub nesterov: bool,
    /// Applies to matrices, not to biases and norms.
    pub weight_decay: f64,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self { momentum: 0.9, nesterov: false, weight_decay: 0.0 }
    }
}

impl SgdConfig {
    pub(super) fn check(&self) -> Result<()> {
        expect("momentum", self.momentum, "0 or more and below 1", (0.0..1.0).contains(&self.momentum))?;
        let holds = !self.nesterov || self.momentum > 0.0;
        expect("nesterov", self.nesterov, "false where momentum = 0", holds)?;
        let decay = self.weight_decay;
        expect("weight_decay", decay, "0 or more", decay >= 0.0 && decay.is_finite())
    }
}

/// The momentum of all trained parameters.
#[derive(Debug, Clone)]
pub(super) struct Sgd {
    pub(super) config: SgdConfig,
    pub(super) velocity: Vec<f32>,
}

impl Sgd {
    pub(super) fn new(config: SgdConfig, len: usize) -> Self {
        Self { config, velocity: vec![0.0; len] }
    }

    /// One update at the schedule's rate.
    pub(super) fn update(&mut self, slices: Slices, pieces: &[Piece], rate: f64, clip: f64) {
        let velocity = shares(&mut self.velocity, pieces);
        slices.into_par_iter().zip(pieces).zip(velocity).for_each(|(((values, grads), piece), velocity)| {
            let update = Update {
                clip: clip as f32,
                momentum: self.config.momentum as f32,
                nesterov: self.config.nesterov,
                decay: if piece.group.decay { self.config.weight_decay as f32 } else { 0.0 },
                rate: (rate * piece.group.ratio) as f32,
            };
            apply(values, grads, velocity, update);
        });
    }
}

/// The numbers that are the same for every element of a piece.
#[derive(Clone, Copy)]
struct Update {
    clip: f32,
    momentum: f32,
    nesterov: bool,
    decay: f32,
    rate: f32,
}

crate::nn::vectorised! {
    fn apply(values: &mut [f32], grads: &[f32], velocity: &mut [f32], update: Update) {
        for ((value, grad), velocity) in values.iter_mut().zip(grads).zip(velocity) {
            let grad = grad * update.clip + update.decay * *value;
            *velocity = update.momentum * *velocity + grad;
            let direction = if update.nesterov { grad + update.momentum * *velocity } else { *velocity };
            *value -= update.rate * direction;
        }
    }
}
