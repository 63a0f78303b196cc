//! Training as an iterator of steps.

use super::validation::due;
use super::{Step, TokenBatch, TrainConfig, Trainer};
use crate::data::{Texts, TrainingSet, plan_batches};
use crate::model::BiEncoder;
use crate::{Error, Result, interrupt};

/// The iterator of [`Trainer::steps`].
pub struct Steps<'a> {
    trainer: &'a mut Trainer,
    columns: Vec<Texts>,
    scores: Option<Vec<f32>>,
    plan: Vec<Planned>,
    stopped: bool,
}

/// The rows of the batches of one step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Planned {
    pub(super) batches: Vec<Vec<usize>>,
    pub(super) ends_epoch: bool,
}

impl Trainer {
    /// The remaining steps of all epochs, as an iterator: each `next` is one step, and the validation behind
    /// it where one is due ([`ValidationConfig`](super::ValidationConfig)).
    ///
    /// After an interrupt (or a `break`) call it again: it goes on behind the last finished step.
    pub fn steps(&mut self, data: &TrainingSet) -> Result<Steps<'_>> {
        let columns = data.columns();
        let plan = plan(&columns, &self.config);
        self.check_plan(&columns, &plan)?;
        let scores = data.scores()?;
        self.note_data(&columns, scores.as_deref())?;
        self.config.total_steps = Some(plan.len());
        Ok(Steps { trainer: self, columns, scores, plan, stopped: false })
    }

    /// An error for a plan that cannot train anything.
    fn check_plan(&self, columns: &[Texts], plan: &[Planned]) -> Result<()> {
        if plan.is_empty() {
            let problem = "the training set has no rows".to_owned();
            return Err(Error::NothingToTrain { problem, expected: "at least one example".to_owned() });
        }
        let alone = plan.iter().flat_map(|step| &step.batches).all(|batch| batch.len() == 1);
        if !self.loss.needs().in_batch || columns.len() > 2 || !alone {
            return Ok(());
        }
        if self.config.batch_size == 1 {
            let expected = "at least 2: a pair's only negatives are the other examples of its batch".to_owned();
            return Err(Error::Setting { field: "batch_size", value: "1".to_owned(), expected });
        }
        let rows = columns.first().map_or(0, Texts::len);
        Err(Error::NothingToTrain {
            problem: format!("no two of its {rows} rows can share a batch, because they share a text"),
            expected: "different texts, negatives of their own, or no_duplicates = false".to_owned(),
        })
    }
}

/// The steps of all epochs. An epoch ends with a step, which may be of fewer batches.
pub(super) fn plan(columns: &[Texts], config: &TrainConfig) -> Vec<Planned> {
    let TrainConfig { batch_size, accumulate, epochs, seed, no_duplicates, .. } = *config;
    let mut plan = Vec::new();
    for epoch in 0..epochs {
        let batches = plan_batches(columns, batch_size, no_duplicates, seed, epoch as u64);
        let step = |batches: &[Vec<usize>]| Planned { batches: batches.to_vec(), ends_epoch: false };
        plan.extend(batches.chunks(accumulate.max(1)).map(step));
        if let Some(last) = plan.last_mut() {
            last.ends_epoch = true;
        }
    }
    plan
}

impl Steps<'_> {
    /// All steps of the training, finished ones included.
    pub fn total(&self) -> usize {
        self.plan.len()
    }

    /// The model between two steps, to evaluate it.
    pub fn model(&self) -> &BiEncoder {
        self.trainer.model()
    }

    fn step(&mut self) -> Option<Result<Step>> {
        let planned = self.plan.get(self.trainer.done)?;
        Some(interrupt::check("training").and_then(|()| {
            let tokens =
                |rows: &Vec<usize>| TokenBatch::new(&self.trainer.model, &self.columns, self.scores.as_deref(), rows);
            let batches = planned.batches.iter().map(tokens).collect::<Result<Vec<_>>>()?;
            self.trainer.update(&batches)
        }))
    }

    /// Validates the model and writes a checkpoint, which holds what was found, if that is due behind `step`.
    fn finish(&mut self, mut step: Step) -> Result<Step> {
        let ends_epoch = self.plan.get(step.step - 1).is_some_and(|planned| planned.ends_epoch);
        let last = step.step == self.plan.len();
        if self.trainer.validation.asked() && due(self.trainer.config.validation.every, step.step, ends_epoch, last) {
            // An interrupted validation is made up for by the next call.
            self.trainer.unvalidated = Some(step.clone());
            step.evaluation = Some(self.trainer.evaluate()?);
            self.trainer.unvalidated = None;
        }
        self.trainer.checkpoint_if_due()?;
        Ok(step)
    }
}

impl Iterator for Steps<'_> {
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stopped {
            return None;
        }
        let step = match self.trainer.unvalidated.take() {
            Some(step) => Ok(step),
            None if self.trainer.out_of_patience() => return None,
            None => self.step()?,
        };
        let step = step.and_then(|step| self.finish(step));
        self.stopped = step.is_err();
        Some(step)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.plan.len().saturating_sub(self.trainer.done);
        (0, Some(left + usize::from(self.trainer.unvalidated.is_some())))
    }
}
