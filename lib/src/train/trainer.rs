//! The trainer: a model, a loss, an optimiser, and how far they have come.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::card::Past;
use super::checkpoint::CheckpointLog;
use super::guide::Guide;
use super::own::Own;
use super::round::{Round, arenas};
use super::steps::Pending;
use super::validation::Validation;
use super::{Optimizer, TokenBatch, TrainConfig};
use crate::Result;
use crate::data::TrainingSet;
use crate::loss::Loss;
use crate::model::{BiEncoder, Model, as_type, downcast};
use crate::nn::{Activations, Parameters};

/// Trains a model of any architecture with any [`Loss`].
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
pub struct Trainer<M = BiEncoder> {
    pub(super) training: Training,
    model: PhantomData<fn() -> M>,
}

/// A [`Trainer`] that knows of its model no more than any model has. All work is done here, so that it is compiled once
/// and not in the cells that use it.
pub(super) struct Training {
    pub(super) model: Box<dyn Model>,
    pub(super) loss: Arc<dyn Loss>,
    pub(super) config: TrainConfig,
    pub(super) guide: Option<Guide>,
    pub(super) optimizer: Optimizer,
    /// The parameters of the loss.
    pub(super) own: Own,
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
    /// For the model card.
    pub(super) past: Vec<Past>,
    /// Texts that lost their end, and batches of a single pair.
    pub(super) truncated: usize,
    pub(super) lone_pairs: usize,
}

impl<M: Model> Trainer<M> {
    /// Takes the model; [`Trainer::into_model`] gives it back.
    pub fn new(model: M, loss: impl Loss + 'static, config: TrainConfig) -> Result<Self> {
        let training = Training::new(Box::new(model), Arc::new(loss), config)?;
        Ok(Self { training, model: PhantomData })
    }

    /// The token ids of some rows of a training set, for [`Trainer::step`]; an error if it has fewer rows.
    pub fn batch(&self, data: &TrainingSet, rows: &[usize]) -> Result<TokenBatch> {
        self.training.tokens(data, rows)
    }

    /// The model as it is now.
    pub fn model(&self) -> &M {
        as_type(&*self.training.model)
    }

    pub fn config(&self) -> &TrainConfig {
        &self.training.config
    }

    /// The parameters of the loss, called `loss.name`; none unless it has some ([`Custom::parameter`](crate::loss::Custom::parameter)).
    pub fn loss_parameters(&self) -> &Parameters {
        &self.training.own.table
    }

    /// Ends the training.
    pub fn into_model(self) -> M {
        downcast(self.training.model)
    }

    /// Bytes that activations and scratch hold between steps.
    pub fn arena_bytes(&self) -> usize {
        self.training.activations.bytes() + self.training.inference.bytes()
    }

    /// How many texts were longer than the model's `max_length` so far and lost their end; a text counts
    /// each time it is seen.
    pub fn truncated(&self) -> usize {
        self.training.truncated
    }
}

impl Training {
    pub(super) fn new(model: Box<dyn Model>, loss: Arc<dyn Loss>, config: TrainConfig) -> Result<Self> {
        config.check()?;
        loss.check()?;
        let own = Own::new(&config, &*loss, model.width(), model.parameters())?;
        let optimizer = Optimizer::beside(&config, model.parameters(), &own.table)?;
        let (activations, inference) = arenas(&config, &*model, &optimizer);
        Ok(Self {
            optimizer,
            own,
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
            past: Vec::new(),
            truncated: 0,
            lone_pairs: 0,
        })
    }

    pub(super) fn tokens(&self, data: &TrainingSet, rows: &[usize]) -> Result<TokenBatch> {
        let mut batch = TokenBatch::new(|texts| self.model.tokenize(texts), data, rows)?;
        if let Some(guide) = &self.guide {
            batch.guide = guide.vectors(&data.texts_of(rows).0)?;
        }
        Ok(batch)
    }
}

impl<M: Model> fmt::Debug for Trainer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Training { done, model, config, .. } = &self.training;
        write!(f, "Trainer after {done} steps of {model:?}\n{config:?}")
    }
}
