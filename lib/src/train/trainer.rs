//! The trainer: a model, a loss, an optimiser, and how far they have come.

use std::fmt;
use std::sync::Arc;

use super::checkpoint::CheckpointLog;
use super::guide::Guide;
use super::round::{Round, arenas};
use super::steps::Pending;
use super::validation::Validation;
use super::{Optimizer, TokenBatch, TrainConfig};
use crate::Result;
use crate::data::{Labels, Texts, TrainingSet};
use crate::loss::Loss;
use crate::model::BiEncoder;
use crate::nn::Activations;

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
    pub(super) loss: Arc<dyn Loss>,
    pub(super) config: TrainConfig,
    pub(super) guide: Option<Guide>,
    pub(super) optimizer: Optimizer,
    pub(super) activations: Activations,
    /// For passes without a backward pass: GradCache's first, validation.
    pub(super) inference: Activations,
    pub(super) validation: Validation,
    /// The last step, if an interrupt kept it from being seen.
    pub(super) pending: Option<Pending>,
    /// Finished steps.
    pub(super) done: usize,
    /// The training set that [`Trainer::steps`] was last called with.
    pub(super) round: Option<Round>,
    pub(super) log: CheckpointLog,
    /// Texts that lost their end, and batches of a single pair.
    pub(super) truncated: usize,
    pub(super) lone_pairs: usize,
}

impl Trainer {
    /// Takes the model; [`Trainer::into_model`] gives it back.
    pub fn new(model: BiEncoder, loss: impl Loss + 'static, config: TrainConfig) -> Result<Self> {
        Self::from_parts(model, Arc::new(loss), config)
    }

    pub(super) fn from_parts(model: BiEncoder, loss: Arc<dyn Loss>, config: TrainConfig) -> Result<Self> {
        config.check()?;
        loss.check()?;
        let optimizer = Optimizer::new(&config, model.encoder().parameters())?;
        let (activations, inference) = arenas(&config, &model, &optimizer);
        Ok(Self {
            optimizer,
            activations,
            model,
            loss,
            config,
            guide: None,
            inference,
            validation: Validation::default(),
            pending: None,
            done: 0,
            round: None,
            log: CheckpointLog::default(),
            truncated: 0,
            lone_pairs: 0,
        })
    }

    /// The token ids of some rows of a training set, for [`Trainer::step`]; an error if it has fewer rows.
    pub fn batch(&self, data: &TrainingSet, rows: &[usize]) -> Result<TokenBatch> {
        self.tokens(&data.columns(), data.labels(), rows)
    }

    pub(super) fn tokens(&self, columns: &[Texts], labels: Option<&Labels>, rows: &[usize]) -> Result<TokenBatch> {
        let mut batch = TokenBatch::new(&self.model, columns, labels, rows)?;
        if let Some(guide) = &self.guide {
            batch.guide = guide.vectors(columns, rows)?;
        }
        Ok(batch)
    }

    /// The model as it is now.
    pub fn model(&self) -> &BiEncoder {
        &self.model
    }

    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Ends the training.
    pub fn into_model(self) -> BiEncoder {
        self.model
    }

    /// Bytes that activations and scratch hold between steps.
    pub fn arena_bytes(&self) -> usize {
        self.activations.bytes() + self.inference.bytes()
    }

    /// How many texts were longer than the model's `max_length` so far and lost their end; a text counts
    /// each time it is seen.
    pub fn truncated(&self) -> usize {
        self.truncated
    }
}

impl fmt::Debug for Trainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trainer after {} steps of {:?}\n{:?}", self.done, self.model, self.config)
    }
}
