//! Validation during the training: how good the model is, and which weights are the best.

use std::fmt;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::autograd::{loss_batch, loss_value, named, tensors, variables};
use super::grad_cache::{embed, parts};
use super::plan::sampler;
use super::trainer::Training;
use super::{MicroBatch, MultiSet, TokenBatch, Trainer};
use crate::data::TextHashes;
use crate::model::{Model, as_type, downcast};
use crate::{Error, Result};

mod config;

use config::stale_validations;

pub(super) use config::due;
pub use config::{Every, KeepBest, ValidationConfig};

/// What one validation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// After which step; 0 for the model as it came.
    pub step: usize,
    /// The held-out loss as `loss`, then each evaluator by its name.
    pub values: Vec<(String, f64)>,
    /// Whether the value that is monitored is the best so far.
    pub best: bool,
    pub seconds: f64,
}

/// The name of the held-out loss.
const LOSS: &str = "loss";

/// What a validation needs.
const MEANS: &str = "something to validate with: `validate_on` or `validate_with`";

/// What a trainer validates with, and what it found.
#[derive(Default)]
pub(super) struct Validation {
    held_out: Vec<TokenBatch>,
    evaluators: Vec<Evaluator>,
    history: Vec<Evaluation>,
    best: Option<Vec<f32>>,
}

struct Evaluator {
    name: String,
    run: Box<Measure>,
}

type Measure = dyn Fn(&dyn Model) -> Result<f64> + Send;

impl<M: Model> Trainer<M> {
    /// Adds the mean loss on held-out examples to each validation, as `loss`: without dropout, in batches as
    /// in training, the same ones every time.
    pub fn validate_on(&mut self, held_out: impl Into<MultiSet>) -> Result<()> {
        self.training.validate_on(&held_out.into())
    }

    /// Adds a measure, of which more is better, to each validation; it replaces one of the same name.
    ///
    /// ```no_run
    /// # use kensaku::prelude::*;
    /// # fn main() -> Result<()> {
    /// # let (data, train) = (rustdoc()?, rustdoc()?.pairs("train")?);
    /// # let model = BiEncoder::load("all-MiniLM-L6-v2")?;
    /// # let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), TrainConfig::default())?;
    /// let test = data.split("test")?;
    /// trainer.validate_with("nDCG@10", move |model| {
    ///     let index = FlatIndex::new(model.encode_docs(&data.corpus)?, model.config().similarity)?;
    ///     let run = index.search(&model.encode_queries(&test.queries)?, 10)?;
    ///     evaluate(&test.qrels, &run, &["nDCG@10"])?.mean("nDCG@10")
    /// })?;
    /// for step in trainer.steps(&train)? {
    ///     if let Some(evaluation) = step?.evaluation {
    ///         println!("{evaluation}");
    ///     }
    /// }
    /// let model = trainer.into_best_model()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn validate_with(
        &mut self,
        name: impl Into<String>,
        evaluator: impl Fn(&M) -> Result<f64> + Send + 'static,
    ) -> Result<()> {
        self.training.validate_with(name.into(), Box::new(move |model| evaluator(as_type(model))))
    }

    /// Validates the model as it is now. [`Trainer::steps`] calls it when it is due; called before the first
    /// step it tells where the training starts from. The best one's checkpoint, if there are checkpoints, is
    /// marked as such.
    pub fn evaluate(&mut self) -> Result<Evaluation> {
        self.training.evaluate()
    }

    /// Every validation so far.
    pub fn evaluations(&self) -> &[Evaluation] {
        self.training.evaluations()
    }

    /// The best validation so far.
    pub fn best(&self) -> Option<&Evaluation> {
        self.training.best()
    }

    /// Ends the training with the model of the [best](Self::best) validation, or with the last one if
    /// nothing was validated. Fails if the best one was kept nowhere.
    pub fn into_best_model(self) -> Result<M> {
        self.training.into_best_model().map(downcast)
    }
}

impl Training {
    fn validate_on(&mut self, held_out: &MultiSet) -> Result<()> {
        if held_out.sets.iter().any(|(_, set)| set.len() == 0) {
            let problem = "the held-out set has no rows".to_owned();
            return Err(Error::NothingToTrain { problem, expected: "at least one example".to_owned() });
        }
        self.check_sets(held_out)?;
        let mut batches = Vec::new();
        for (index, (name, set)) in held_out.sets.iter().enumerate() {
            let set = set.in_memory("held_out")?;
            let sampler = sampler(set, &TextHashes::of_set(set)?, &self.config, index)?;
            for rows in sampler.epoch(0)?.to_vec() {
                let batch = self.tokens(set, &rows)?;
                batches.push(TokenBatch { set: name.clone(), ..batch });
            }
        }
        self.validation.held_out = batches;
        Ok(())
    }

    fn validate_with(&mut self, name: String, run: Box<Measure>) -> Result<()> {
        if name == LOSS {
            let expected = "another name: that is the held-out loss".to_owned();
            return Err(Error::Setting { field: "name", value: name, expected });
        }
        let evaluator = Evaluator { name, run };
        match self.validation.evaluators.iter_mut().find(|known| known.name == evaluator.name) {
            Some(known) => *known = evaluator,
            None => self.validation.evaluators.push(evaluator),
        }
        Ok(())
    }

    /// An error for settings of a validation that will never be, or of another name.
    pub(super) fn check_validation(&self) -> Result<()> {
        let ValidationConfig { patience, monitor, .. } = &self.config.validation;
        let asked = self.validation.asked();
        if let Some(patience) = patience.filter(|_| !asked) {
            let expected = MEANS.to_owned();
            return Err(Error::Setting { field: "patience", value: patience.to_string(), expected });
        }
        let Some(monitor) = monitor else { return Ok(()) };
        let held_out = (!self.validation.held_out.is_empty()).then_some(LOSS);
        let names = self.validation.evaluators.iter().map(|evaluator| evaluator.name.as_str()).chain(held_out);
        let names: Vec<&str> = names.collect();
        if names.contains(&monitor.as_str()) {
            return Ok(());
        }
        let expected = match asked {
            true => names.join(" or "),
            false => MEANS.to_owned(),
        };
        Err(Error::Setting { field: "monitor", value: monitor.clone(), expected })
    }

    pub(super) fn evaluations(&self) -> &[Evaluation] {
        &self.validation.history
    }

    pub(super) fn best(&self) -> Option<&Evaluation> {
        self.validation.history.iter().rev().find(|evaluation| evaluation.best)
    }

    fn into_best_model(mut self) -> Result<Box<dyn Model>> {
        if self.best().is_none_or(|best| best.step == self.done) {
            return Ok(self.model);
        }
        if let Some(values) = self.validation.best.take() {
            self.model.parameters_mut().values = values;
            return Ok(self.model);
        }
        match (&self.config.validation.keep_best, self.best_checkpoint()?) {
            (KeepBest::Directory(dir), _) => self.model.load_from(dir),
            (KeepBest::Nowhere | KeepBest::Memory, Some(checkpoint)) => self.model.load_from(&checkpoint),
            (KeepBest::Nowhere | KeepBest::Memory, None) => Err(Error::Setting {
                field: "keep_best",
                value: "nowhere".to_owned(),
                expected: "memory or a directory, from the start of the training".to_owned(),
            }),
        }
    }

    pub(super) fn evaluate(&mut self) -> Result<Evaluation> {
        let start = Instant::now();
        let mut values = Vec::new();
        if !self.validation.held_out.is_empty() {
            values.push((LOSS.to_owned(), self.held_out_loss()?));
        }
        for Evaluator { name, run } in &self.validation.evaluators {
            values.push((name.clone(), run(&*self.model)?));
        }
        for (name, value) in &values {
            if !value.is_finite() {
                let what = format!("validation's `{name}`");
                return Err(Error::NotFinite { step: self.done, what, value: *value, rows: Vec::new() });
            }
        }
        let (gains, gain) = (self.gains(), self.gain(&values)?);
        let best = gains.iter().all(|earlier| gain > *earlier);
        if best {
            self.keep_best()?;
        }
        let evaluation = Evaluation { step: self.done, values, best, seconds: start.elapsed().as_secs_f64() };
        self.validation.history.push(evaluation.clone());
        if best && self.config.checkpoint.is_some() && self.done > 0 {
            self.mark_best(gain)?;
        }
        Ok(evaluation)
    }

    /// Whether too many validations of this round have passed without improvement.
    pub(super) fn out_of_patience(&self) -> bool {
        let ValidationConfig { patience, min_delta, .. } = self.config.validation;
        let own =
            self.evaluations().len() - self.round.map_or(0, |round| round.validations).min(self.evaluations().len());
        patience.is_some_and(|patience| stale_validations(&self.gains(), min_delta).min(own) >= patience)
    }

    /// The value that is monitored, with its name.
    pub(super) fn deciding<'a>(&'a self, evaluation: &'a Evaluation) -> Option<(&'a str, f64)> {
        let monitor = self.monitor();
        evaluation.values.iter().find(|(name, _)| name == monitor).map(|(name, value)| (name.as_str(), *value))
    }

    fn held_out_loss(&mut self) -> Result<f64> {
        let budget = Some(MicroBatch::Tokens(self.model.pass_tokens()));
        let own = self.own.variables()?;
        let (mut sum, mut examples) = (0.0, 0);
        for batch in &self.validation.held_out {
            let outputs = embed(&*self.model, &parts(batch, budget), None, &mut self.inference)?;
            let variables = variables(batch, &outputs, self.model.width(), candle_core::DType::F32)?;
            let loss =
                self.loss.loss(&loss_batch(&*self.model, batch, &outputs, &tensors(&variables), &named(&own))?)?;
            sum += loss_value(&*self.loss, &loss)? * batch.examples() as f64;
            examples += batch.examples();
        }
        Ok(sum / examples as f64)
    }

    /// The monitored value of every validation so far, signed such that more is better. Those before a
    /// [`Trainer::resume`] may have monitored another one.
    fn gains(&self) -> Vec<f64> {
        self.evaluations().iter().filter_map(|evaluation| self.gain(&evaluation.values).ok()).collect()
    }

    fn gain(&self, values: &[(String, f64)]) -> Result<f64> {
        let monitor = self.monitor();
        match values.iter().find(|(name, _)| name == monitor) {
            Some((name, value)) => Ok(if name == LOSS { -value } else { *value }),
            None if values.is_empty() => {
                let expected = MEANS.to_owned();
                Err(Error::Setting { field: "validation", value: "none".to_owned(), expected })
            }
            None => Err(Error::Setting {
                field: "monitor",
                value: monitor.to_owned(),
                expected: values.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" or "),
            }),
        }
    }

    /// The name of the value that is monitored.
    fn monitor(&self) -> &str {
        let first = self.validation.evaluators.first().map(|evaluator| evaluator.name.as_str());
        self.config.validation.monitor.as_deref().or(first).unwrap_or(LOSS)
    }

    fn keep_best(&mut self) -> Result<()> {
        match &self.config.validation.keep_best {
            KeepBest::Memory => {
                let values = &self.model.parameters().values;
                self.validation.best.get_or_insert_default().clone_from(values);
            }
            KeepBest::Directory(dir) => self.model.save_to(dir)?,
            KeepBest::Nowhere => {}
        }
        Ok(())
    }
}

impl Validation {
    /// Takes over the validations of a checkpoint; the best model of those is the best checkpoint.
    pub(super) fn resume(&mut self, history: Vec<Evaluation>) {
        (self.history, self.best) = (history, None);
    }

    /// Whether there is anything to validate with.
    pub(super) fn asked(&self) -> bool {
        !self.held_out.is_empty() || !self.evaluators.is_empty()
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "validation after step {}", self.step)?;
        for (name, value) in &self.values {
            write!(f, "  {name} {value:.4}")?;
        }
        write!(f, "  {:.1} s{}", self.seconds, if self.best { "  best so far" } else { "" })
    }
}
