//! How a model is trained.

use serde::{Deserialize, Serialize};

use super::{CheckpointConfig, GradNorm, MicroBatch, OptimizerConfig, Schedule, ValidationConfig};
use crate::Result;
use crate::error::expect;
use crate::nn::Memory;

/// How a model is trained. The defaults fine-tune a pretrained encoder; a small one from scratch wants a
/// `learning_rate` of 1e-3, a [`StaticEmbedding`](crate::model::StaticEmbedding) one of 0.05 to 0.2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainConfig {
    /// Examples per batch; a training set with fewer is one batch. Default 32.
    pub batch_size: usize,
    /// Batches per step: their gradients add up, each weighed by its examples, so a step's gradient is that of
    /// one batch of `accumulate * batch_size` examples for every loss that is a mean over examples. A loss
    /// with in-batch negatives sees those of each batch alone: for more of them, raise `batch_size` and set
    /// `micro_batch`. Default 1.
    #[doc(alias = "gradient_accumulation_steps")]
    pub accumulate: usize,
    /// Texts or tokens that pass through the encoder at a time, for batches that memory does not hold at
    /// once: GradCache, see [`MicroBatch`]. `None` for the whole batch.
    #[doc(alias = "mini_batch_size")]
    pub micro_batch: Option<MicroBatch>,
    /// What waits for the backward pass, and how: less memory for more time, or fewer bits.
    #[doc(alias = "gradient_checkpointing")]
    pub memory: Memory,
    /// Passes over the training set. Default 1.
    pub epochs: usize,
    /// Ends the training on a set after this many steps, even within an epoch; the schedule spans them. `None` for all
    /// epochs. Default none.
    pub max_steps: Option<usize>,
    /// The peak of the schedule. Default 5e-5.
    pub learning_rate: f64,
    /// How the learning rate falls after the warm-up. Default linearly, to 0.
    pub schedule: Schedule,
    /// The share of all steps during which the learning rate rises. Default 0.1.
    pub warmup: f64,
    /// The same as a number of steps, which takes precedence.
    pub warmup_steps: Option<usize>,
    /// Separate peak rates: a regular expression and the rate of the parameters whose names it matches, such as
    /// `("word_embeddings", 1e-5)`. The last match counts.
    pub learning_rate_mapping: Vec<(String, f64)>,
    /// Parameters whose name matches one of these regular expressions stay as they are: no update, no part in
    /// the norm of the gradient. They save memory, having no moments, and time: the backward pass ends at the lowest
    /// layer that is trained.
    pub freeze: Vec<String>,
    /// Keep examples that share a text out of one batch: it would be its own negative. Default true.
    pub no_duplicates: bool,
    /// Examples come in pairs of one class, and batches hold several classes, as losses need that look for triplets within
    /// a batch ([`BatchHardTriplet`](crate::loss::BatchHardTriplet) and its like): in each batch an example has another one
    /// of its class, unless it is alone in the set or shares a text with all others. The groups of each class are spread
    /// evenly over the epoch. Needs whole numbers as labels and a `batch_size` of at least 4.
    #[doc(alias = "GROUP_BY_LABEL")]
    pub group_by_label: bool,
    /// Examples of like length share a batch, so that batches differ and texts within one do not: the examples of 50
    /// batches at a time, drawn at random, are sorted by length in bytes, and the batches are shuffled. For losses with
    /// in-batch negatives these are of like length, too.
    pub group_by_length: bool,
    /// Drop activations at the rates in the encoder's configuration. Default true.
    pub dropout: bool,
    /// Determines the order of examples and dropout. Default 42.
    pub seed: u64,
    /// Steps whose texts a thread tokenizes ahead, while the model computes; 0 for none. Nothing depends on it but time, and
    /// memory for the token ids of these steps.
    #[doc(alias = "dataloader_num_workers")]
    pub prefetch: usize,
    /// The number of steps that the schedule spans, over all training sets and steps by hand. `None`: the steps on a
    /// training set are its schedule ([`Trainer::steps`](super::Trainer::steps)), and before those, steps by hand
    /// ([`Trainer::step`](super::Trainer::step)) stay at the peak if the schedule is one that ends.
    pub total_steps: Option<usize>,
    /// The rule that moves the parameters. Default AdamW as PyTorch has it.
    pub optimizer: OptimizerConfig,
    /// The gradient is scaled down to this norm over all parameters; `None` for no limit. Default 1.
    pub max_grad_norm: Option<f64>,
    /// The norm that is limited. Default L2.
    pub clip_norm: GradNorm,
    /// Where checkpoints go; `None` for none.
    pub checkpoint: Option<CheckpointConfig>,
    /// When the model is validated, when the training stops for it, where the best model is kept.
    pub validation: ValidationConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            batch_size: 32,
            accumulate: 1,
            micro_batch: None,
            memory: Memory::default(),
            epochs: 1,
            max_steps: None,
            learning_rate: 5e-5,
            schedule: Schedule::default(),
            warmup: 0.1,
            warmup_steps: None,
            learning_rate_mapping: Vec::new(),
            freeze: Vec::new(),
            no_duplicates: true,
            group_by_label: false,
            group_by_length: false,
            dropout: true,
            seed: 42,
            prefetch: 2,
            total_steps: None,
            optimizer: OptimizerConfig::default(),
            max_grad_norm: Some(1.0),
            clip_norm: GradNorm::default(),
            checkpoint: None,
            validation: ValidationConfig::default(),
        }
    }
}

impl TrainConfig {
    /// The learning rate that step `step` (from 0) of `total` uses.
    pub(super) fn rate(&self, step: usize, total: Option<usize>) -> f64 {
        let Self { learning_rate: peak, schedule, .. } = self;
        if total.is_none() && schedule.needs_total() {
            return *peak;
        }
        let total = total.unwrap_or_default();
        schedule.rate(step, self.warmup_of(total), total, *peak)
    }

    /// The steps of the warm-up.
    pub(super) fn warmup_of(&self, total: usize) -> usize {
        // The only step of a short training would be one at the rate 0.
        let share = if total > 1 { (self.warmup * total as f64).ceil() as usize } else { 0 };
        self.warmup_steps.unwrap_or(share)
    }

    /// An error that names the first setting that makes no sense.
    pub(super) fn check(&self) -> Result<()> {
        within("batch_size", self.batch_size, MOST_EXAMPLES)?;
        let expected = "false, as group_by_label is true";
        expect("group_by_length", true, expected, !(self.group_by_label && self.group_by_length))?;
        let expected = "at least 4 with group_by_label: two examples each of two classes";
        expect("batch_size", self.batch_size, expected, self.batch_size >= 4 || !self.group_by_label)?;
        within("accumulate", self.accumulate, MOST_EXAMPLES)?;
        let micro_batch = self.micro_batch.map_or(1, MicroBatch::size);
        expect("micro_batch", micro_batch, "at least 1 text or token", micro_batch > 0)?;
        within("epochs", self.epochs, MOST_EPOCHS)?;
        expect("max_steps", self.max_steps.unwrap_or(1), "at least 1, or None", self.max_steps != Some(0))?;
        let expected = format!("at most {MOST_AHEAD} steps");
        expect("prefetch", self.prefetch, &expected, self.prefetch <= MOST_AHEAD)?;
        let (rate, warmup) = (self.learning_rate, self.warmup);
        expect("learning_rate", rate, "a number above 0", rate > 0.0 && rate.is_finite())?;
        expect("warmup", warmup, "a share from 0 to 1", (0.0..=1.0).contains(&warmup))?;
        self.schedule.check(rate)?;
        let limit = self.max_grad_norm.unwrap_or(1.0);
        expect("max_grad_norm", limit, "a number above 0, or none", limit > 0.0 && limit.is_finite())?;
        self.optimizer.check()?;
        self.validation.check()?;
        self.checkpoint.as_ref().map_or(Ok(()), CheckpointConfig::check)
    }
}

/// More cannot be meant: a step would see them all at once.
const MOST_EXAMPLES: usize = 1 << 24;
const MOST_EPOCHS: usize = 1_000_000;
/// More token ids than that are waiting, not reading.
const MOST_AHEAD: usize = 1_000;

fn within(field: &'static str, value: usize, most: usize) -> Result<()> {
    expect(field, value, "at least 1", value > 0)?;
    expect(field, value, &format!("at most {most}"), value <= most)
}
