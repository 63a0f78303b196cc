//! The smoke test and the plan, before the first step.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use polars::prelude::*;

use super::memory::{ArenaSize, GIB, available, disk_free, parameter_bytes};
use super::steps::plan;
use super::{KeepBest, MicroBatch, Step, TokenBatch, TrainConfig, Trainer};
use crate::data::TrainingSet;
use crate::{Error, Result};

/// What [`Trainer::preflight`] found: a check list. Shown, it is a table.
#[derive(Clone, PartialEq)]
pub struct Preflight {
    pub checks: Vec<Check>,
}

/// One line of the check list.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub name: &'static str,
    pub state: State,
    pub found: String,
}

/// Whether a training may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Ok,
    /// It may, but look at it.
    Warn,
    /// It would break, or learn nothing.
    Fail,
}

/// Examples of the smoke test, and its steps: the first one warms up.
const EXAMPLES: usize = 100;
const STEPS: usize = 3;
const LONG: Duration = Duration::from_secs(24 * 3600);
/// In-batch negatives below which a retriever learns slowly.
const FEW_NEGATIVES: usize = 8;
/// Copies of the similarity matrix that candle holds between a loss and its gradient.
const MATRIX_COPIES: usize = 14;

impl Trainer {
    /// Trains a copy of the model for a few steps on 100 examples, evenly spread over `data`, and tells what
    /// the whole training would take and what stands against it. The trainer itself stays as it is.
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
        let columns = data.columns();
        let plan = plan(&columns, &self.config);
        let left = plan.len().saturating_sub(self.done);
        let sample = self.sample(data, &columns)?;
        let steps = self.rehearse(data);
        let mut checks = vec![device()];
        checks.push(match &steps {
            Ok(steps) => smoke_test(steps),
            // The user interrupts the whole of it, not one check.
            Err(Error::Interrupted { during }) => return Err(Error::Interrupted { during }),
            Err(error) => check("smoke test", State::Fail, error.to_string()),
        });
        checks.push(self.memory(&sample)?);
        checks.push(time(steps.as_deref().unwrap_or_default(), &sample, left, &self.config));
        checks.push(self.disk());
        checks.push(data_memory(data, &columns));
        checks.push(self.data_format(&columns, data.scores()?.is_some()));
        checks.push(self.negatives(columns.len().saturating_sub(2)));
        checks.push(texts(&sample, self.model.config().max_length));
        checks.push(check("precision", State::Ok, "f32: weights, activations, gradients and moments"));
        checks.push(self.effective_batch());
        checks.push(self.schedule(plan.len()));
        checks.push(check("seed", State::Ok, format!("{}: order of examples and dropout", self.config.seed)));
        checks.push(check("tracker", State::Ok, "none: each step is what the iterator yields"));
        Ok(Preflight { checks })
    }

    /// The examples of the smoke test as tokens.
    fn sample(&self, data: &TrainingSet, columns: &[Vec<String>]) -> Result<TokenBatch> {
        TokenBatch::new(&self.model, columns, None, &spread(data.len()))
    }

    /// A few steps of a copy.
    fn rehearse(&self, data: &TrainingSet) -> Result<Vec<Step>> {
        let rows: Vec<IdxSize> = spread(data.len()).into_iter().map(|row| row as IdxSize).collect();
        let sample = TrainingSet::new(data.frame().take(&IdxCa::new("rows".into(), rows))?)?;
        // Enough epochs for the steps, even if one step takes the whole sample.
        let config = TrainConfig { epochs: STEPS, total_steps: None, checkpoint: None, ..self.config.clone() };
        let mut copy = Self::from_parts(self.model.clone(), Rc::clone(&self.loss), config)?;
        copy.steps(&sample)?.take(STEPS).collect()
    }

    fn memory(&self, sample: &TokenBatch) -> Result<Check> {
        let arena = ArenaSize::measure(&self.model)?;
        let lengths = || sample.columns.iter().flatten().map(Vec::len);
        let per_text = lengths().sum::<usize>() as f64 / lengths().count().max(1) as f64;
        let longest = lengths().max().unwrap_or(0);
        let (batch, columns) = (self.config.batch_size, sample.columns.len());
        let pass = |length: f64| match self.config.micro_batch {
            None => batch as f64 * columns as f64 * length,
            Some(MicroBatch::Texts(texts)) => texts.min(batch * columns) as f64 * length,
            Some(MicroBatch::Tokens(tokens)) => (tokens as f64).min(batch as f64 * columns as f64 * length),
        };
        let matrix = if self.loss.needs().in_batch { batch * batch * (columns - 1) * MATRIX_COPIES } else { 0 };
        let vectors = 8 * batch * columns * self.model.dim();
        let fixed = parameter_bytes(&self.model) + size_of::<f32>() * (matrix + vectors);
        let needed = |length: f64| (fixed + arena.bytes(pass(length).ceil() as usize)) as f64 / GIB;
        let (usual, most) = (needed(per_text), needed(longest as f64));
        let found = format!("{usual:.2} GiB, {most:.2} if all texts were as long as the longest");
        Ok(match available().map(|bytes| bytes as f64 / GIB) {
            None => check("memory", State::Warn, format!("{found}; the system does not tell what is available")),
            Some(free) => {
                let state = if usual > free {
                    State::Fail
                } else if most > free {
                    State::Warn
                } else {
                    State::Ok
                };
                let advice = if state == State::Ok { "" } else { "; set micro_batch" };
                check("memory", state, format!("{found}; {free:.2} available{advice}"))
            }
        })
    }

    /// Checkpoints: those that are kept, the best one, and the one that is being written.
    fn disk(&self) -> Check {
        let model = size_of::<f32>() * self.model.encoder().parameters().len();
        let one = model * (1 + self.optimizer.moments().len());
        match (&self.config.checkpoint, &self.config.validation.keep_best) {
            (Some(config), _) => enough_disk(&config.dir, one * (config.keep + 2)),
            (None, KeepBest::Directory(folder)) if self.validation.asked() => enough_disk(folder, model),
            _ => check("disk", State::Ok, "no checkpoints: nothing is written"),
        }
    }

    fn data_format(&self, columns: &[Vec<String>], scores: bool) -> Check {
        let needs = self.loss.needs();
        let negatives = columns.len().saturating_sub(2);
        let found = format!(
            "query, positive{}{}",
            if negatives > 0 { format!(", {negatives} of negatives") } else { String::new() },
            if scores { ", score" } else { "" }
        );
        let name = if needs.name.is_empty() { "a closure" } else { needs.name };
        let missing = [(needs.negatives && negatives == 0, "negatives"), (needs.scores && !scores, "a column `score`")];
        match missing.iter().find(|(missing, _)| *missing) {
            Some((_, what)) => check("data format", State::Fail, format!("{name} needs {what}; there is: {found}")),
            None if scores && !needs.scores && !needs.name.is_empty() => {
                check("data format", State::Warn, format!("{name} does not look at the scores of: {found}"))
            }
            None => check("data format", State::Ok, format!("{name}: {found}")),
        }
    }

    fn negatives(&self, columns: usize) -> Check {
        let needs = self.loss.needs();
        let each = format!("{columns} of each example");
        match (needs.in_batch, columns) {
            (true, columns) => {
                let others = (self.config.batch_size - 1) * (columns + 1);
                let found = format!("in-batch, {others} of others; {each}");
                let few = others + columns < FEW_NEGATIVES;
                check("negatives", if few { State::Warn } else { State::Ok }, found)
            }
            (false, 0) if needs.name.is_empty() => check("negatives", State::Warn, "none but what the closure makes"),
            (false, 0) if needs.negatives => check("negatives", State::Fail, "none; kensaku::mine makes them"),
            (false, 0) => check("negatives", State::Ok, "none, and none are needed"),
            (false, _) if needs.negatives || needs.name.is_empty() => check("negatives", State::Ok, each),
            (false, _) => check("negatives", State::Warn, format!("{each}, but {} does not look at them", needs.name)),
        }
    }

    fn effective_batch(&self) -> Check {
        let TrainConfig { batch_size, accumulate, micro_batch, .. } = self.config;
        let parts = match micro_batch {
            None => String::new(),
            Some(MicroBatch::Texts(texts)) => format!(", encoded {texts} texts at a time"),
            Some(MicroBatch::Tokens(tokens)) => format!(", encoded {tokens} tokens at a time"),
        };
        let found = format!("{} examples: {accumulate} x {batch_size}{parts}", batch_size * accumulate);
        check("batch", State::Ok, found)
    }

    fn schedule(&self, steps: usize) -> Check {
        let TrainConfig { schedule, learning_rate, epochs, .. } = &self.config;
        let warmup = self.config.warmup_of(steps);
        let found = format!("{schedule:?}, {learning_rate:.1e} behind {warmup} of {steps} steps; epochs: {epochs}");
        check("schedule", if steps == 0 { State::Fail } else { State::Ok }, found)
    }
}

/// At most [`EXAMPLES`] rows, evenly spread.
fn spread(rows: usize) -> Vec<usize> {
    let count = rows.min(EXAMPLES);
    (0..count).map(|index| index * rows / count).collect()
}

fn check(name: &'static str, state: State, found: impl Into<String>) -> Check {
    Check { name, state, found: found.into() }
}

fn device() -> Check {
    let threads = rayon::current_num_threads();
    let plural = if threads == 1 { "" } else { "s" };
    check("device", State::Ok, format!("processor ({}), {threads} thread{plural}", std::env::consts::ARCH))
}

fn smoke_test(steps: &[Step]) -> Check {
    let losses: Vec<String> = steps.iter().map(|step| format!("{:.4}", step.loss)).collect();
    let still = steps.iter().all(|step| step.grad_norm == 0.0);
    let state = if still { State::Fail } else { State::Ok };
    let found = format!("{} steps, loss {}", steps.len(), losses.join(", "));
    check("smoke test", state, if still { format!("{found}; the gradient is 0") } else { found })
}

/// The median of the smoke test's seconds a token, times the tokens of all steps. What a loss takes beyond
/// the encoder is counted in proportion, too.
fn time(steps: &[Step], sample: &TokenBatch, left: usize, config: &TrainConfig) -> Check {
    let mut speeds: Vec<f64> = steps.iter().skip(1).map(|step| step.seconds / step.tokens.max(1) as f64).collect();
    speeds.sort_by(f64::total_cmp);
    let Some(per_token) = speeds.get(speeds.len() / 2) else {
        return check("time", State::Warn, "not known: the smoke test has too few steps");
    };
    let per_example = sample.tokens() as f64 / sample.examples().max(1) as f64;
    let passes = if config.micro_batch.is_some() { 4.0 / 3.0 } else { 1.0 };
    let step = per_token * per_example * (config.batch_size * config.accumulate) as f64 * passes;
    let whole = Duration::try_from_secs_f64(step * left as f64).unwrap_or(Duration::MAX);
    let state = if whole > LONG { State::Warn } else { State::Ok };
    check("time", state, format!("{step:.2} s a step, {} for {left} steps", spoken(whole)))
}

/// A duration in its largest unit: `3.2 h`.
fn spoken(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 100.0 => format!("{seconds:.1} s"),
        seconds if seconds < 6_000.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        seconds => format!("{:.1} days", seconds / 86_400.0),
    }
}

fn enough_disk(folder: &std::path::Path, needed: usize) -> Check {
    let found = format!("{:.2} GiB in {}", needed as f64 / GIB, folder.display());
    match disk_free(folder).map(|bytes| bytes as f64 / GIB) {
        None => check("disk", State::Warn, format!("{found}; the system does not tell what is left")),
        Some(free) => {
            let state = if needed as f64 / GIB > free { State::Fail } else { State::Ok };
            check("disk", state, format!("{found}; {free:.1} left"))
        }
    }
}

/// The frame, and the texts of its columns, which the training reads at random.
fn data_memory(data: &TrainingSet, columns: &[Vec<String>]) -> Check {
    let strings = columns.iter().flatten().map(|text| text.len() + size_of::<String>()).sum::<usize>();
    let needed = (data.frame().estimated_size() + strings) as f64 / GIB;
    let found = format!("{} examples, {needed:.2} GiB", data.len());
    let state = if available().is_some_and(|free| needed > free as f64 / GIB) { State::Fail } else { State::Ok };
    check("data set", state, found)
}

fn texts(sample: &TokenBatch, max_length: usize) -> Check {
    let texts = sample.columns.iter().map(Vec::len).sum::<usize>();
    let found = format!("{} of {texts} texts of the sample are longer than {max_length} tokens", sample.truncated);
    check("text length", if sample.truncated * 10 > texts { State::Warn } else { State::Ok }, found)
}

impl Preflight {
    /// Whether no check fails.
    pub fn passes(&self) -> bool {
        self.checks.iter().all(|check| check.state < State::Fail)
    }

    /// One row a check: `check`, `state`, `found`.
    pub fn frame(&self) -> Result<DataFrame> {
        let column = |of: fn(&Check) -> String| self.checks.iter().map(of).collect::<Vec<_>>();
        Ok(df!(
            "check" => column(|check| check.name.to_owned()),
            "state" => column(|check| check.state.to_string()),
            "found" => column(|check| check.found.clone()),
        )?)
    }
}

impl fmt::Display for State {
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
