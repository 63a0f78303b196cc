//! The smoke test and the plan, before the first step.

use std::fmt;
use std::sync::Arc;

use polars::prelude::*;

use super::plan::Plan;
use super::source::Source;
use super::trainer::Training;
use super::{MultiSet, Step, TokenBatch, TrainConfig, Trainer, ValidationConfig};
use crate::data::TrainingSet;
use crate::model::Model;
use crate::{Error, Result};

mod checks;
mod memory;

use checks::{check, data_memory, device, smoke_test, texts, time};

pub use memory::batch_sizes;

/// What [`Trainer::preflight`] found: a check list. Shown, it is a table.
#[derive(Clone, PartialEq)]
pub struct Preflight {
    pub checks: Vec<Check>,
}

/// One line of the check list.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub name: &'static str,
    pub state: CheckState,
    pub found: String,
}

/// Whether a training may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckState {
    Ok,
    /// It may, but look at it.
    Warn,
    /// It would break, or learn nothing.
    Fail,
}

/// Examples of the smoke test, and its steps: the first one warms up.
pub(super) const EXAMPLES: usize = 100;
const STEPS: usize = 3;

impl<M: Model> Trainer<M> {
    /// Trains a copy of the model for a few steps on 100 examples, evenly spread over `data`, and tells what
    /// the whole training would take and what is in its way. The trainer itself stays as it is.
    ///
    /// ```no_run
    /// # use kensaku::prelude::*;
    /// # fn main() -> Result<()> {
    /// # let data = rustdoc()?.pairs("train")?;
    /// # let model = BiEncoder::load("all-MiniLM-L6-v2")?;
    /// let trainer = Trainer::new(model, MultipleNegativesRanking::default(), TrainConfig::default())?;
    /// let preflight = trainer.preflight(&data)?;
    /// println!("{preflight}");
    /// assert!(preflight.passes());
    /// # Ok(())
    /// # }
    /// ```
    pub fn preflight(&self, data: &TrainingSet) -> Result<Preflight> {
        self.training.preflight(data)
    }
}

impl Training {
    fn preflight(&self, data: &TrainingSet) -> Result<Preflight> {
        let (columns, labels) = (data.columns(), data.labels());
        let sets = MultiSet::from(data);
        let (mark, sampler) = Source::Set(data.clone()).known(&self.config, 0)?;
        let round = self.round_of(mark);
        let plan = Plan::new(&sets, vec![sampler], &self.config, round.first_epoch)?;
        let batches = plan.batches();
        let plan = plan.steps();
        let left = plan.saturating_sub(round.done);
        let sample = self.sample(data)?;
        let steps = self.smoke_test(data);
        let mut checks = vec![device()];
        checks.push(match &steps {
            Ok(steps) => smoke_test(steps),
            // The user interrupts the whole of it, not one check.
            Err(Error::Interrupted { during }) => return Err(Error::Interrupted { during }),
            Err(error) => check("smoke test", CheckState::Fail, error.to_string()),
        });
        checks.push(self.memory(&sample)?);
        checks.push(time(steps.as_deref().unwrap_or_default(), &sample, left, &self.config));
        checks.push(self.disk());
        checks.push(data_memory(data, columns.len()));
        checks.push(self.data_format(columns.len(), labels));
        checks.push(self.vectors());
        checks.push(self.negatives(data));
        checks.push(texts(&sample, &self.model.limits()));
        checks.push(check("precision", CheckState::Ok, "f32: weights, activations, gradients and moments"));
        checks.push(self.effective_batch(data.len(), batches));
        checks.push(self.schedule(plan));
        checks.push(check("seed", CheckState::Ok, format!("{}: order of examples and dropout", self.config.seed)));
        checks.push(check("tracker", CheckState::Ok, "none"));
        Ok(Preflight { checks })
    }

    /// The examples of the smoke test as tokens.
    fn sample(&self, data: &TrainingSet) -> Result<TokenBatch> {
        TokenBatch::new(|texts| self.model.tokenize(texts), data, &spread(data.len()))
    }

    /// A few steps of a copy.
    fn smoke_test(&self, data: &TrainingSet) -> Result<Vec<Step>> {
        let rows: Vec<IdxSize> = spread(data.len()).into_iter().map(|row| row as IdxSize).collect();
        let sample = TrainingSet::new(data.frame().take(&IdxCa::new("rows".into(), rows))?)?;
        // Enough epochs for the steps, even if one step takes the whole sample.
        let validation = ValidationConfig::default();
        let config = TrainConfig {
            epochs: STEPS,
            max_steps: None,
            total_steps: None,
            checkpoint: None,
            validation,
            ..self.config.clone()
        };
        let mut copy = Self::new(self.model.boxed(), Arc::clone(&self.loss), config)?;
        copy.guide.clone_from(&self.guide);
        copy.steps(&(&sample).into())?.take(STEPS).collect()
    }
}

/// At most [`EXAMPLES`] rows, evenly spread.
fn spread(rows: usize) -> Vec<usize> {
    let count = rows.min(EXAMPLES);
    (0..count).map(|index| index * rows / count).collect()
}

impl Preflight {
    /// Whether no check fails.
    pub fn passes(&self) -> bool {
        self.checks.iter().all(|check| check.state < CheckState::Fail)
    }

    /// One row per check: `check`, `state`, `found`.
    pub fn frame(&self) -> Result<DataFrame> {
        let column = |of: fn(&Check) -> String| self.checks.iter().map(of).collect::<Vec<_>>();
        Ok(df!(
            "check" => column(|check| check.name.to_owned()),
            "state" => column(|check| check.state.to_string()),
            "found" => column(|check| check.found.clone()),
        )?)
    }
}

impl fmt::Display for CheckState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

impl fmt::Display for Preflight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { name, state, found } in &self.checks {
            writeln!(f, "{state:4}  {name:11}  {found}")?;
        }
        f.write_str(if self.passes() { "ready" } else { "not ready" })
    }
}

impl fmt::Debug for Preflight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
