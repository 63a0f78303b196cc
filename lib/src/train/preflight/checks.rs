//! The checks of a [`Preflight`](super::Preflight), one after the other.

use std::path::Path;
use std::time::Duration;

use super::memory::{ArenaSize, GIB, available, disk_free, training_bytes};
use super::{Check, CheckState, EXAMPLES};
use crate::data::{Labels, TrainingSet};
use crate::loss::Scoring;
use crate::nn::PackedBatch;
use crate::train::fit::columns_and_labels;
use crate::train::trainer::Training;
use crate::train::{KeepBest, MicroBatch, Step, TokenBatch, TrainConfig};
use crate::{Error, Result};

const LONG: Duration = Duration::from_secs(24 * 3600);
/// In-batch negatives below which a retriever learns slowly.
const FEW_NEGATIVES: usize = 8;
/// Copies of the similarity matrix that candle may hold between a loss and its gradient: an estimate.
const MATRIX_COPIES: f64 = 14.0;

pub(super) fn check(name: &'static str, state: CheckState, found: impl Into<String>) -> Check {
    Check { name, state, found: found.into() }
}

pub(super) fn device() -> Check {
    let threads = rayon::current_num_threads();
    let plural = if threads == 1 { "" } else { "s" };
    check("device", CheckState::Ok, format!("processor ({}), {threads} thread{plural}", std::env::consts::ARCH))
}

pub(super) fn smoke_test(steps: &[Step]) -> Check {
    let losses: Vec<String> = steps.iter().map(|step| format!("{:.4}", step.loss)).collect();
    let still = steps.iter().all(|step| step.grad_norm == 0.0);
    let found = format!("{} steps, loss {}", steps.len(), losses.join(", "));
    let rises = steps.first().zip(steps.last()).is_some_and(|(first, last)| last.loss > 1.5 * first.loss.abs());
    match () {
        () if still => check("smoke test", CheckState::Fail, format!("{found}; the gradient is 0")),
        () if rises => check("smoke test", CheckState::Warn, format!("{found}: it rises; try a lower learning_rate")),
        () => check("smoke test", CheckState::Ok, found),
    }
}

/// The median of the smoke test's seconds per token, times the tokens of all steps. What a loss takes beyond
/// the encoder is counted in proportion, too.
pub(super) fn time(steps: &[Step], sample: &TokenBatch, left: usize, config: &TrainConfig) -> Check {
    let mut speeds: Vec<f64> = steps.iter().skip(1).map(|step| step.seconds / step.tokens.max(1) as f64).collect();
    speeds.sort_by(f64::total_cmp);
    let Some(per_token) = speeds.get(speeds.len() / 2) else {
        return check("time", CheckState::Warn, "not known: the smoke test has too few steps");
    };
    let per_example = sample.tokens() as f64 / sample.examples().max(1) as f64;
    let passes = if cached_beyond(config, texts_per_example(sample), per_example) { 4.0 / 3.0 } else { 1.0 };
    let step = per_token * per_example * (config.batch_size * config.accumulate) as f64 * passes;
    let whole = Duration::try_from_secs_f64(step * left as f64).unwrap_or(Duration::MAX);
    let state = if whole > LONG { CheckState::Warn } else { CheckState::Ok };
    check("time", state, format!("{step:.2} s per step, {} for {left} steps", spoken(whole)))
}

/// Whether a batch, but not one of the smoke test, passes through the encoder in parts: it is encoded twice.
fn cached_beyond(config: &TrainConfig, texts: f64, per_example: f64) -> bool {
    let most = match config.micro_batch {
        None => return false,
        Some(MicroBatch::Texts(most)) => most as f64 / texts,
        Some(MicroBatch::Tokens(tokens)) => tokens as f64 / per_example,
    };
    config.batch_size as f64 > most && config.batch_size.min(EXAMPLES) as f64 <= most
}

/// Sequences of an example: as many as there are columns, or as its list has documents.
fn texts_per_example(sample: &TokenBatch) -> f64 {
    sample.sequences() as f64 / sample.examples().max(1) as f64
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

impl Training {
    pub(super) fn memory(&self, sample: &TokenBatch) -> Result<Check> {
        let arena = ArenaSize::measure(&*self.model, self.config.memory, |index| self.optimizer.is_frozen(index))?;
        let lengths = || sample.columns.iter().flat_map(PackedBatch::lengths);
        let per_text = lengths().sum::<usize>() as f64 / lengths().count().max(1) as f64;
        let longest = lengths().max().unwrap_or(0);
        // In f64: a batch may be any number.
        let (side, columns) = (self.config.batch_size as f64, texts_per_example(sample));
        let pass = |length: f64| match self.config.micro_batch {
            None => side * columns * length,
            Some(MicroBatch::Texts(texts)) => (texts as f64).min(side * columns) * length,
            Some(MicroBatch::Tokens(tokens)) => (tokens as f64).min(side * columns * length),
        };
        let docs = (columns - 1.0).max(0.0);
        // Late interaction has a row per token, and keeps the match of each row of a query in every document.
        let of_tokens = matches!(self.model.scoring(), Scoring::Tokens(_));
        let rows = |length: f64| if of_tokens { length } else { 1.0 };
        let matches = |length: f64| if of_tokens { 2.0 * length } else { 0.0 };
        let scores = if self.in_batch(&*self.loss) { side * side * docs } else { 0.0 };
        let loss = |length: f64| {
            let vectors = 8.0 * side * rows(length) * columns * self.model.width() as f64;
            scores * (MATRIX_COPIES + matches(length)) + vectors
        };
        let parameters = self.model.parameters().frozen() + self.model.parameters().len();
        let (trained, moments) = (self.optimizer.trained(), self.optimizer.moments().len());
        let fixed = training_bytes(parameters, trained, moments) as f64;
        let needed = |length: f64| (fixed + size_of::<f32>() as f64 * loss(length) + arena.bytes(pass(length))) / GIB;
        let (usual, most) = (needed(per_text), needed(longest as f64));
        let found = format!("{usual:.2} GiB, {most:.2} if all texts were as long as the longest");
        Ok(match available().map(|bytes| bytes as f64 / GIB) {
            None => check("memory", CheckState::Warn, format!("{found}; the system does not tell what is available")),
            Some(free) => {
                let state = if usual > free {
                    CheckState::Fail
                } else if most > free {
                    CheckState::Warn
                } else {
                    CheckState::Ok
                };
                let advice = if state == CheckState::Ok { "" } else { "; set micro_batch" };
                check("memory", state, format!("{found}; {free:.2} available{advice}"))
            }
        })
    }

    /// Checkpoints: those that are kept, the best one, and the one that is being written.
    pub(super) fn disk(&self) -> Check {
        let number = size_of::<f32>() as f64;
        let parameters = self.model.parameters();
        let model = number * (parameters.frozen() + parameters.len()) as f64;
        let one = model + number * (self.optimizer.trained() * self.optimizer.moments().len()) as f64;
        match (&self.config.checkpoint, &self.config.validation.keep_best) {
            (Some(config), _) => enough_disk(&config.dir, one * (config.keep as f64 + 2.0)),
            (None, KeepBest::Directory(folder)) if self.validation.asked() => enough_disk(folder, model),
            _ => check("disk", CheckState::Ok, "no checkpoints: nothing is written"),
        }
    }

    pub(super) fn data_format(&self, columns: usize, labels: Option<&Labels>) -> Check {
        let needs = self.loss.needs();
        let found = columns_and_labels(columns, labels.map(Labels::kind));
        let name = if needs.name.is_empty() { "a closure" } else { needs.name };
        match self.check_fit(&*self.loss, columns, labels) {
            Err(Error::Row { row, problem, expected, .. }) => {
                check("data format", CheckState::Fail, format!("row {row}: {problem}; expected {expected}"))
            }
            Err(error) => check("data format", CheckState::Fail, error.to_string()),
            Ok(()) => check("data format", CheckState::Ok, format!("{name}: {found}")),
        }
    }

    /// Whether the loss can learn from vectors as the model makes them.
    pub(super) fn vectors(&self) -> Check {
        let (dim, unit) = (self.model.width(), self.model.unit());
        let found = format!("{dim} dimensions{}", if unit { ", scaled to length 1" } else { "" });
        match self.loss.objection(dim, unit) {
            None => check("vectors", CheckState::Ok, found),
            Some(problem) => check("vectors", CheckState::Warn, format!("{found}; {problem}")),
        }
    }

    pub(super) fn negatives(&self, data: &TrainingSet) -> Check {
        let (needs, columns) = (self.loss.needs(), data.columns().len().saturating_sub(2));
        if let Some(bounds) = data.list_bounds() {
            let mean = bounds.last().copied().unwrap_or(0) as f64 / data.len().max(1) as f64;
            return check("negatives", CheckState::Ok, format!("lists of {mean:.1} documents on average"));
        }
        let each = match columns {
            0 => "no hard negatives".to_owned(),
            columns => format!("{columns} per example"),
        };
        match (self.in_batch(&*self.loss), columns) {
            (true, columns) => {
                let others = (self.config.batch_size - 1) * (columns + 1);
                let found = format!("in-batch, {others} of other examples; {each}");
                let few = others + columns < FEW_NEGATIVES;
                check("negatives", if few { CheckState::Warn } else { CheckState::Ok }, found)
            }
            (false, 0) if needs.name.is_empty() => {
                check("negatives", CheckState::Warn, "none but what the closure makes")
            }
            (false, 0) if *needs.columns.start() > 2 => {
                check("negatives", CheckState::Fail, "none; kensaku::mine makes them")
            }
            (false, 0) => check("negatives", CheckState::Ok, "none, and none are needed"),
            (false, _) if *needs.columns.end() > 2 => check("negatives", CheckState::Ok, each),
            (false, _) => {
                check("negatives", CheckState::Warn, format!("{each}, but {} does not look at them", needs.name))
            }
        }
    }

    pub(super) fn effective_batch(&self, rows: usize, batches: usize) -> Check {
        let TrainConfig { batch_size, accumulate, micro_batch, .. } = self.config;
        let parts = match micro_batch {
            None => String::new(),
            Some(MicroBatch::Texts(texts)) => format!(", encoded {texts} texts at a time"),
            Some(MicroBatch::Tokens(tokens)) => format!(", encoded {tokens} tokens at a time"),
        };
        let found = format!("{} examples: {accumulate} x {batch_size}{parts}", batch_size * accumulate);
        let average = rows as f64 / batches.max(1) as f64;
        if rows < batch_size {
            return check("batch", CheckState::Warn, format!("{found}; the training set has {rows}"));
        }
        if average < 0.75 * batch_size as f64 && batches > 2 {
            let found = format!(
                "{found}; {average:.1} on average, because rows that share a text are kept apart (no_duplicates)"
            );
            return check("batch", CheckState::Warn, found);
        }
        check("batch", CheckState::Ok, found)
    }

    pub(super) fn schedule(&self, steps: usize) -> Check {
        let TrainConfig { schedule, learning_rate, epochs, .. } = &self.config;
        let warmup = self.config.warmup_of(self.config.total_steps.unwrap_or(steps));
        let found = format!("{schedule:?}, {learning_rate:.1e} after {warmup} of {steps} steps; epochs: {epochs}");
        match steps {
            0 => check("schedule", CheckState::Fail, found),
            steps if warmup >= steps => {
                check("schedule", CheckState::Warn, format!("{found}; the learning rate never reaches its peak"))
            }
            _ => check("schedule", CheckState::Ok, found),
        }
    }
}

fn enough_disk(folder: &Path, needed: f64) -> Check {
    let found = format!("{:.2} GiB in {}", needed / GIB, folder.display());
    match disk_free(folder).map(|bytes| bytes as f64 / GIB) {
        None => check("disk", CheckState::Warn, format!("{found}; the system does not tell what is left")),
        Some(free) => {
            let state = if needed / GIB > free { CheckState::Fail } else { CheckState::Ok };
            check("disk", state, format!("{found}; {free:.1} left"))
        }
    }
}

/// The frame, which is already in memory, and the plan of an epoch.
pub(super) fn data_memory(data: &TrainingSet, columns: usize) -> Check {
    /// Bytes per text: its hash, that again in order with its place, its number among those that repeat.
    const PLANNED: usize = 28;
    let (frame, plan) = (data.frame().estimated_size() as f64 / GIB, (data.len() * columns * PLANNED) as f64 / GIB);
    let found = format!("{} examples, {frame:.2} GiB; {plan:.2} GiB to plan an epoch", data.len());
    let fits = available().is_none_or(|free| plan <= free as f64 / GIB);
    check("data set", if fits { CheckState::Ok } else { CheckState::Fail }, found)
}

pub(super) fn texts(sample: &TokenBatch, limits: &str) -> Check {
    let texts = sample.sequences();
    let found = format!("{} of {texts} texts of the sample are longer than {limits}", sample.truncated);
    check("text length", if sample.truncated * 10 > texts { CheckState::Warn } else { CheckState::Ok }, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(seconds: f64) -> Step {
        Step {
            step: 1,
            total: None,
            loss: 1.0,
            learning_rate: 1.0,
            grad_norm: 1.0,
            tokens: 100,
            seconds,
            waited: 0.0,
            terms: Vec::new(),
            sets: Vec::new(),
            evaluation: None,
        }
    }

    #[test]
    fn a_loss_that_rises_warns() {
        let with = |loss: f64| smoke_test(&[step(1.0), Step { loss, ..step(1.0) }]);
        assert_eq!(with(1.2).state, CheckState::Ok);
        let rising = with(1.6);
        assert_eq!(rising.state, CheckState::Warn);
        assert_eq!(rising.found, "2 steps, loss 1.0000, 1.6000: it rises; try a lower learning_rate");
    }

    #[test]
    fn a_training_of_more_than_a_day_warns() {
        // Ten examples of 20 tokens in two columns; the first step is slow, because it warms up.
        let columns = vec![PackedBatch::new(vec![vec![1; 10]; 10]); 2];
        let sample = TokenBatch { columns, ..Default::default() };
        let steps = [step(50.0), step(1.0), step(1.1)];
        let config = TrainConfig { batch_size: 50, accumulate: 2, ..Default::default() };
        let day = time(&steps, &sample, 3_600, &config);
        assert_eq!((day.state, day.found.as_str()), (CheckState::Ok, "22.00 s per step, 22.0 h for 3600 steps"));
        let longer = time(&steps, &sample, 36_000, &config);
        assert_eq!(
            (longer.state, longer.found.as_str()),
            (CheckState::Warn, "22.00 s per step, 9.2 days for 36000 steps")
        );
        // Batches of 100 texts, 40 at a time: the smoke test has passed through in parts, too.
        let parts = TrainConfig { micro_batch: Some(MicroBatch::Texts(40)), ..config.clone() };
        assert_eq!(time(&steps, &sample, 3_600, &parts), day);
        // 150 examples at a time, of which the smoke test has 100.
        let parts =
            TrainConfig { batch_size: 300, accumulate: 1, micro_batch: Some(MicroBatch::Tokens(3_000)), ..config };
        assert_eq!(time(&steps, &sample, 10, &parts).found, "88.00 s per step, 15 min for 10 steps");
        assert_eq!(time(&[], &sample, 10, &parts).state, CheckState::Warn);
    }
}
