//! A round: the steps on one of the training sets of a trainer.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::trainer::Training;
use super::{MultiSet, Optimizer, TrainConfig, Trainer};
use crate::data::{Labels, TextHashes, TrainingStream};
use crate::model::Model;
use crate::nn::Activations;
use crate::{Error, Result};

/// How far a trainer has come on a training set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Round {
    /// `None` after [`Trainer::begin_round`].
    pub(super) data: Option<DataMark>,
    /// Finished steps.
    pub(super) done: usize,
    /// All steps.
    pub(super) steps: usize,
    pub(super) epochs: usize,
    /// Epochs of the rounds before.
    pub(super) first_epoch: usize,
    /// Validations of the rounds before.
    pub(super) validations: usize,
}

/// What a training set is recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DataMark {
    pub(super) examples: usize,
    fingerprint: u64,
}

impl DataMark {
    pub(super) fn of(texts: &TextHashes, labels: Option<&Labels>) -> Self {
        let mut hash = Xxh3::new();
        for column in texts.columns() {
            hash.update(&(column.len() as u64).to_le_bytes());
            column.iter().for_each(|text| hash.update(&text.to_le_bytes()));
        }
        for label in labels.map(Labels::values).unwrap_or_default() {
            hash.update(&label.to_le_bytes());
        }
        Self { examples: texts.rows(), fingerprint: hash.digest() }
    }

    pub(super) fn of_stream(stream: &TrainingStream) -> Self {
        Self { examples: stream.len(), fingerprint: stream.mark() }
    }

    /// Of several sets: those, their names and how they take turns.
    pub(super) fn of_sets(data: &MultiSet, marks: &[Self]) -> Self {
        if let [(None, _)] = data.sets.as_slice() {
            return marks[0];
        }
        let mut hash = Xxh3::new();
        hash.update(format!("{:?}", data.sampling).as_bytes());
        for (name, mark) in data.names().zip(marks) {
            hash.update(&(name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
            hash.update(&mark.fingerprint.to_le_bytes());
        }
        Self { examples: marks.iter().map(|mark| mark.examples).sum(), fingerprint: hash.digest() }
    }
}

impl<M: Model> Trainer<M> {
    /// Changes the settings and begins a new round: the next call of [`Trainer::steps`] starts at the first epoch of its
    /// training set, even if the trainer has seen the set before, with a new schedule.
    /// The model, the moments of the optimiser, the number of steps and the validations so far are kept.
    ///
    /// `optimizer` and `freeze` cannot change: they decide which moments there are.
    ///
    /// ```no_run
    /// # use kensaku::prelude::*;
    /// # fn main() -> Result<()> {
    /// # let (pairs, mined) = (rustdoc()?.pairs("train")?, rustdoc()?.pairs("test")?);
    /// # let model = BiEncoder::load("all-MiniLM-L6-v2")?;
    /// let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), TrainConfig::default())?;
    /// for step in trainer.steps(&pairs)? {
    ///     println!("{}", step?);
    /// }
    /// // Negatives that the model mines so far, at half the rate.
    /// trainer.begin_round(TrainConfig { learning_rate: 2.5e-5, epochs: 2, ..trainer.config().clone() })?;
    /// for step in trainer.steps(&mined)? {
    ///     println!("{}", step?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn begin_round(&mut self, config: TrainConfig) -> Result<()> {
        self.training.begin_round(config)
    }
}

impl Training {
    fn begin_round(&mut self, config: TrainConfig) -> Result<()> {
        config.check()?;
        let fixed = |field, value: String, held: String, same| match same {
            true => Ok(()),
            false => Err(Error::Setting {
                field,
                value,
                expected: format!("{held}, as so far; for another one, `Trainer::new(trainer.into_model(), ..)`"),
            }),
        };
        let (new, old) = (&config, &self.config);
        let [value, held] = [new, old].map(|config| format!("{:?}", config.optimizer));
        fixed("optimizer", value, held, new.optimizer == old.optimizer)?;
        let [value, held] = [new, old].map(|config| format!("{:?}", config.freeze));
        fixed("freeze", value, held, new.freeze == old.freeze)?;
        self.optimizer.set(&config, self.model.parameters(), &self.own.table)?;
        self.own.set(&config, self.model.parameters())?;
        if config.memory != self.config.memory {
            (self.activations, self.inference) = arenas(&config, &*self.model, &self.optimizer);
        }
        self.config = config;
        (self.pending, self.log.expected) = (None, None);
        if let Some(round) = &mut self.round {
            round.data = None;
        }
        Ok(())
    }

    /// The round that a training set continues or begins.
    pub(super) fn round_of(&self, data: DataMark) -> Round {
        let TrainConfig { epochs, .. } = self.config;
        match self.round {
            Some(round) if round.data == Some(data) => Round { epochs, ..round },
            before => Round {
                data: Some(data),
                done: 0,
                steps: 0,
                epochs,
                first_epoch: before.map_or(0, |before| before.first_epoch + before.epochs),
                validations: self.evaluations().len(),
            },
        }
    }

    /// The learning rate of the next step; an error if the schedule is over and has left nothing of it.
    pub(super) fn learning_rate(&self) -> Result<f64> {
        let (step, total) = self.place();
        self.rate_of(step, total)
    }

    /// The rate of the last step of a round, as [`Training::learning_rate`].
    pub(super) fn last_rate(&self, round: &Round) -> Result<f64> {
        let left = round.steps.saturating_sub(round.done).saturating_sub(1);
        match self.config.total_steps {
            Some(total) => self.rate_of(self.done + left, Some(total)),
            None => Ok(self.config.learning_rate),
        }
    }

    /// The step that the schedule is at, and how many it spans.
    fn place(&self) -> (usize, Option<usize>) {
        match (self.config.total_steps, &self.round) {
            (None, Some(round)) if round.data.is_some() => (round.done, Some(round.steps)),
            (total, _) => (self.done, total),
        }
    }

    /// The share of the schedule that is done.
    pub(super) fn progress(&self) -> Option<f64> {
        let (step, total) = self.place();
        total.map(|total| step as f64 / total.max(1) as f64)
    }

    fn rate_of(&self, step: usize, total: Option<usize>) -> Result<f64> {
        let rate = self.config.rate(step, total);
        match total.filter(|total| step >= *total && rate == 0.0) {
            None => Ok(rate),
            Some(total) => Err(Error::NothingToTrain {
                problem: format!("the schedule is over after {total} steps, the learning rate is 0"),
                expected: "a larger total_steps, a schedule that does not end, or a new round (`begin_round`)"
                    .to_owned(),
            }),
        }
    }
}

/// The memory of passes with and without a backward pass. Both round the same, so that the vectors which GradCache
/// computes first are those that it sends a gradient back to.
pub(super) fn arenas(config: &TrainConfig, model: &dyn Model, optimizer: &Optimizer) -> (Activations, Activations) {
    let mut activations = Activations::with(config.memory);
    activations.set_frozen(model.parameters(), |index| optimizer.is_frozen(index));
    (activations, Activations::inference_with(config.memory.storage))
}
