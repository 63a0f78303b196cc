//! How a model is trained.

use serde::{Deserialize, Serialize};

use super::{AdamWConfig, MicroBatch, ValidationConfig};
use crate::{Error, Result};

/// How a model is trained. The defaults fine-tune a pretrained encoder; a small one from scratch wants a
/// `learning_rate` of 1e-3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainConfig {
    /// Examples a batch.
    pub batch_size: usize,
    /// Batches a step: their gradients add up, each weighed by its examples, so a step's gradient is that of
    /// one batch of `accumulate * batch_size` examples for every loss that is a mean over examples. A loss
    /// with in-batch negatives sees those of each batch alone: for more of them, raise `batch_size` and set
    /// `micro_batch`.
    #[doc(alias = "gradient_accumulation_steps")]
    pub accumulate: usize,
    /// Texts or tokens that pass through the encoder at a time, for batches that memory does not hold at
    /// once: GradCache, see [`MicroBatch`]. `None` for the whole batch.
    #[doc(alias = "mini_batch_size")]
    pub micro_batch: Option<MicroBatch>,
    /// Passes over the training set.
    pub epochs: usize,
    /// The peak of the schedule.
    pub learning_rate: f64,
    /// The share of all steps that the learning rate rises, before it falls to 0.
    pub warmup: f64,
    /// Keep examples that share a text out of one batch: it would be its own negative.
    pub no_duplicates: bool,
    /// Drop activations at the rates of the encoder's configuration.
    pub dropout: bool,
    /// Decides order of examples and dropout.
    pub seed: u64,
    /// For [`Trainer::step`](super::Trainer::step) by hand: the number of steps the schedule spans. [`Trainer::steps`](super::Trainer::steps) counts
    /// for itself.
    pub total_steps: Option<usize>,
    pub adamw: AdamWConfig,
    /// When the model is validated, when the training stops for it, where the best model is kept.
    pub validation: ValidationConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            batch_size: 32,
            accumulate: 1,
            micro_batch: None,
            epochs: 1,
            learning_rate: 5e-5,
            warmup: 0.1,
            no_duplicates: true,
            dropout: true,
            seed: 42,
            total_steps: None,
            adamw: AdamWConfig::default(),
            validation: ValidationConfig::default(),
        }
    }
}

impl TrainConfig {
    /// An error that names the first setting that makes no sense.
    pub(super) fn check(&self) -> Result<()> {
        let expect = |field, value: String, expected: &str, holds: bool| {
            if holds { Ok(()) } else { Err(Error::Setting { field, value, expected: expected.to_owned() }) }
        };
        let Self { batch_size, accumulate, epochs, learning_rate, warmup, .. } = self;
        expect("batch_size", batch_size.to_string(), "at least 1", *batch_size > 0)?;
        expect("accumulate", accumulate.to_string(), "at least 1", *accumulate > 0)?;
        let micro_batch = self.micro_batch.map_or(1, MicroBatch::size);
        expect("micro_batch", micro_batch.to_string(), "at least 1 text or token", micro_batch > 0)?;
        expect("epochs", epochs.to_string(), "at least 1", *epochs > 0)?;
        let positive = *learning_rate > 0.0 && learning_rate.is_finite();
        expect("learning_rate", learning_rate.to_string(), "a number above 0", positive)?;
        expect("warmup", warmup.to_string(), "a share from 0 to 1", (0.0..=1.0).contains(warmup))?;
        self.validation.check()
    }
}
