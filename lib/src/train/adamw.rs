//! AdamW, fused: one pass over memory for the norm, one for everything else.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::nn::Parameters;
use crate::{Error, Result};

/// Settings of AdamW (Loshchilov and Hutter 2019); the defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdamWConfig {
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    /// Applies to matrices, not to biases and norms.
    pub weight_decay: f64,
    /// The gradient is scaled down to this norm over all parameters; infinity for no limit.
    pub max_grad_norm: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, max_grad_norm: 1.0 }
    }
}

/// The optimiser and its moments.
#[derive(Debug, Clone)]
pub struct AdamW {
    config: AdamWConfig,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

/// Elements that one task takes; fixed, so that the norm does not depend on the number of threads.
const TASK: usize = 1 << 14;

impl AdamW {
    /// Checks the settings; the moments are made at the first step.
    pub fn new(config: AdamWConfig) -> Result<Self> {
        let expect = |field, value: f64, expected: &str, holds: bool| {
            let error = || Error::Setting { field, value: value.to_string(), expected: expected.to_owned() };
            if holds { Ok(()) } else { Err(error()) }
        };
        expect("beta1", config.beta1, "0 or more and below 1", (0.0..1.0).contains(&config.beta1))?;
        expect("beta2", config.beta2, "0 or more and below 1", (0.0..1.0).contains(&config.beta2))?;
        expect("eps", config.eps, "above 0", config.eps > 0.0)?;
        expect("weight_decay", config.weight_decay, "0 or more", config.weight_decay >= 0.0)?;
        expect("max_grad_norm", config.max_grad_norm, "above 0", config.max_grad_norm > 0.0)?;
        Ok(Self { config, first: Vec::new(), second: Vec::new(), steps: 0 })
    }

    /// Applies the gradients of the table, scaled down to `max_grad_norm`. Returns their norm before.
    /// Nothing is changed if it is not finite.
    ///
    /// `θ -= rate * (m̂ / (sqrt(v̂) + eps) + weight_decay * θ)`
    pub fn step(&mut self, parameters: &mut Parameters, rate: f64) -> f64 {
        let squares: Vec<f64> = parameters
            .grads
            .par_chunks(TASK)
            .map(|grads| grads.iter().map(|grad| f64::from(*grad) * f64::from(*grad)).sum())
            .collect();
        let norm = squares.iter().sum::<f64>().sqrt();
        if !norm.is_finite() {
            return norm;
        }
        self.steps += 1;
        self.first.resize(parameters.len(), 0.0);
        self.second.resize(parameters.len(), 0.0);
        let clip = (self.config.max_grad_norm / (norm + 1e-6)).min(1.0);
        let update = Update::new(&self.config, rate, clip, self.steps);
        for entry in parameters.entries().to_vec() {
            let decay = if entry.decay { 1.0 - rate * self.config.weight_decay } else { 1.0 };
            let range = entry.range;
            let values = parameters.values[range.clone()].par_chunks_mut(TASK);
            let grads = parameters.grads[range.clone()].par_chunks(TASK);
            let moments = self.first[range.clone()].par_chunks_mut(TASK).zip(self.second[range].par_chunks_mut(TASK));
            values.zip(grads).zip(moments).for_each(|((values, grads), (first, second))| {
                apply(values, grads, first, second, update, decay as f32);
            });
        }
        norm
    }
}

/// The numbers that are the same for every element of a step.
#[derive(Clone, Copy)]
struct Update {
    clip: f32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    /// The rate over the bias correction of the first moment.
    rate: f32,
    /// One over the root of the bias correction of the second.
    root: f32,
}

impl Update {
    fn new(config: &AdamWConfig, rate: f64, clip: f64, steps: i32) -> Self {
        Self {
            clip: clip as f32,
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            eps: config.eps as f32,
            rate: (rate / (1.0 - config.beta1.powi(steps))) as f32,
            root: (1.0 / (1.0 - config.beta2.powi(steps)).sqrt()) as f32,
        }
    }
}

crate::nn::vectorised! {
    fn apply(values: &mut [f32], grads: &[f32], first: &mut [f32], second: &mut [f32], update: Update, decay: f32) {
        let moments = first.iter_mut().zip(second);
        for ((value, grad), (first, second)) in values.iter_mut().zip(grads).zip(moments) {
            let grad = grad * update.clip;
            *first = update.beta1 * *first + (1.0 - update.beta1) * grad;
            *second = update.beta2 * *second + (1.0 - update.beta2) * grad * grad;
            *value = *value * decay - update.rate * *first / (second.sqrt() * update.root + update.eps);
        }
    }
}
