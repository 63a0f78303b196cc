//! The trainer: a step is one function, and training is an iterator of steps.

use std::fmt;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::resume::CheckpointLog;
use super::seam::{check_reached, gradients, loss_batch, variables};
use super::{Optimizer, TrainConfig};
use crate::data::{TrainingSet, plan_batches};
use crate::loss::Loss;
use crate::model::{BiEncoder, Role};
use crate::nn::{Activations, Dropout, PackedBatch};
use crate::{Error, Result, interrupt};

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// From 1.
    pub step: usize,
    /// Of so many, where that is known.
    pub total: Option<usize>,
    pub loss: f64,
    pub learning_rate: f64,
    /// The norm of the gradient over all parameters, before clipping.
    pub grad_norm: f64,
    /// Tokens of the batch; none is padding.
    pub tokens: usize,
    pub seconds: f64,
}

/// The token ids of a batch: column (query, positive, negatives..), row, ids.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenBatch {
    pub columns: Vec<Vec<Vec<u32>>>,
    pub scores: Option<Vec<f32>>,
}

/// Trains a [`BiEncoder`] with any [`Loss`].
///
/// ```no_run
/// # use kensaku::prelude::*;
/// # fn main() -> Result<()> {
/// let data = rustdoc()?.pairs("train")?;
/// let model = BiEncoder::load("all-MiniLM-L6-v2")?;
/// let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), TrainConfig::default())?;
/// for step in trainer.steps(&data)? {
///     println!("{}", step?);
/// }
/// let model = trainer.into_model();
/// # Ok(())
/// # }
/// ```
pub struct Trainer {
    pub(super) model: BiEncoder,
    loss: Box<dyn Loss>,
    pub(super) config: TrainConfig,
    pub(super) optimizer: Optimizer,
    activations: Activations,
    /// Finished steps.
    pub(super) done: usize,
    pub(super) log: CheckpointLog,
}

impl Trainer {
    /// Takes the model; [`Trainer::into_model`] gives it back.
    pub fn new(model: BiEncoder, loss: impl Loss + 'static, config: TrainConfig) -> Result<Self> {
        config.check()?;
        let optimizer = Optimizer::new(&config, model.encoder().parameters())?;
        let activations = Activations::training();
        Ok(Self { model, loss: Box::new(loss), config, optimizer, activations, done: 0, log: CheckpointLog::default() })
    }

    /// The remaining steps of all epochs, as an iterator: each `next` is one step.
    ///
    /// After an interrupt (or a `break`) call it again: it goes on behind the last finished step.
    pub fn steps(&mut self, data: &TrainingSet) -> Result<Steps<'_>> {
        let columns = data.columns();
        let TrainConfig { batch_size, epochs, seed, no_duplicates, .. } = self.config;
        let plan = (0..epochs).map(|epoch| plan_batches(&columns, batch_size, no_duplicates, seed, epoch as u64));
        let plan: Vec<Vec<usize>> = plan.flatten().collect();
        let scores = data.scores()?;
        self.note_data(&columns, scores.as_deref())?;
        self.config.total_steps = Some(plan.len());
        Ok(Steps { trainer: self, columns, scores, plan, stopped: false })
    }

    /// One step: encode, loss, backward, update. This is all there is to it:
    ///
    /// 1. all texts of the batch are packed into one forward pass of the encoder;
    /// 2. their vectors become candle variables, and the loss is whatever candle computes of them;
    /// 3. candle's gradient of the vectors goes back through the encoder by hand-written code;
    /// 4. the optimiser applies the gradients, clipped, at the schedule's rate.
    pub fn step(&mut self, batch: &TokenBatch) -> Result<Step> {
        let start = Instant::now();
        self.start_checkpoints()?;
        let packed = PackedBatch::new(batch.columns.iter().flatten());
        let skip = self.skips(batch)?;
        let dropout = Dropout { seed: self.config.seed, step: self.done as u32 };
        self.activations.set_dropout(self.config.dropout.then_some(dropout));
        let pooled = self.model.forward(&packed, &skip, &mut self.activations)?;

        let vectors = variables(batch, &pooled.vectors, self.model.dim())?;
        let loss = self.loss.loss(&loss_batch(batch, &vectors)?)?;
        let value = f64::from(loss.to_dtype(candle_core::DType::F32)?.to_scalar::<f32>()?);
        let step = self.done + 1;
        if !value.is_finite() {
            return Err(Error::NotFinite { step, what: "loss", value });
        }
        let d_vectors = gradients(&loss, &vectors)?;

        self.model.encoder_mut().parameters_mut().zero_grads();
        self.model.backward(&packed, &skip, &mut self.activations, &pooled, &d_vectors)?;
        if self.done == 0 {
            check_reached(&self.model, &self.optimizer, &d_vectors)?;
        }
        let learning_rate = self.config.rate(self.done);
        let grad_norm = self.optimizer.step(self.model.encoder_mut().parameters_mut(), learning_rate)?;
        if !grad_norm.is_finite() {
            return Err(Error::NotFinite { step, what: "norm of the gradient", value: grad_norm });
        }
        self.done = step;
        let (total, tokens, seconds) = (self.config.total_steps, packed.tokens(), start.elapsed().as_secs_f64());
        self.checkpoint_if_due()?;
        Ok(Step { step, total, loss: value, learning_rate, grad_norm, tokens, seconds })
    }

    /// The token ids of some rows of a training set, for [`Trainer::step`].
    pub fn batch(&self, data: &TrainingSet, rows: &[usize]) -> Result<TokenBatch> {
        self.tokenize(&data.columns(), data.scores()?.as_deref(), rows)
    }

    /// The model as it is now.
    pub fn model(&self) -> &BiEncoder {
        &self.model
    }

    /// Ends the training.
    pub fn into_model(self) -> BiEncoder {
        self.model
    }

    /// Bytes that activations and scratch hold between steps.
    pub fn arena_bytes(&self) -> usize {
        self.activations.bytes()
    }

    fn tokenize(&self, columns: &[Vec<String>], scores: Option<&[f32]>, rows: &[usize]) -> Result<TokenBatch> {
        let pick = |(index, column): (usize, &Vec<String>)| {
            let texts: Vec<&str> = rows.iter().map(|row| column[*row].as_str()).collect();
            self.model.tokenize(&texts, role(index))
        };
        let scores = scores.map(|scores| rows.iter().map(|row| scores[*row]).collect());
        Ok(TokenBatch { columns: columns.iter().enumerate().map(pick).collect::<Result<_>>()?, scores })
    }

    fn skips(&self, batch: &TokenBatch) -> Result<Vec<usize>> {
        let mut skips = Vec::new();
        for (index, column) in batch.columns.iter().enumerate() {
            skips.extend(std::iter::repeat_n(self.model.prompt_tokens(role(index))?, column.len()));
        }
        Ok(skips)
    }
}

impl fmt::Debug for Trainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trainer after {} steps, {:?}", self.done, self.config)
    }
}

/// The iterator of [`Trainer::steps`].
pub struct Steps<'a> {
    trainer: &'a mut Trainer,
    columns: Vec<Vec<String>>,
    scores: Option<Vec<f32>>,
    plan: Vec<Vec<usize>>,
    stopped: bool,
}

impl Steps<'_> {
    /// All steps of the training, finished ones included.
    pub fn total(&self) -> usize {
        self.plan.len()
    }

    /// The model between two steps, to evaluate it.
    pub fn model(&self) -> &BiEncoder {
        &self.trainer.model
    }
}

impl Iterator for Steps<'_> {
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stopped {
            return None;
        }
        let rows = self.plan.get(self.trainer.done)?;
        let step = interrupt::check("training").and_then(|()| {
            let batch = self.trainer.tokenize(&self.columns, self.scores.as_deref(), rows)?;
            self.trainer.step(&batch)
        });
        self.stopped = step.is_err();
        Some(step)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.plan.len().saturating_sub(self.trainer.done);
        (0, Some(left))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, loss, learning_rate, grad_norm, tokens, seconds, .. } = self;
        let of = self.total.map(|total| format!("/{total}")).unwrap_or_default();
        write!(f, "step {step}{of}  loss {loss:.4}  lr {learning_rate:.2e}  grad norm {grad_norm:.3}  ")?;
        write!(f, "{tokens} tokens  {seconds:.3} s")
    }
}

/// The first column holds queries, all others documents.
fn role(column: usize) -> Role {
    if column == 0 { Role::Query } else { Role::Doc }
}
