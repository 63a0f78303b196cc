//! Losses side by side: one start, the same batches, one measure.

use std::fmt;
use std::time::Instant;

use polars::prelude::*;

use super::autograd::{loss_batch, tensors, variables};
use super::grad_cache::{embed, parts};
use super::plan::sampler;
use super::{MicroBatch, TokenBatch, TrainConfig, Trainer};
use crate::data::{LabelKind, Labels, TextHashes, TrainingSet};
use crate::error::expect;
use crate::loss::{Batch, Loss, Scoring};
use crate::model::Model;
use crate::nn::Activations;
use crate::show::LossCurve;
use crate::{Error, Result, interrupt};

/// How losses are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct CompareConfig {
    /// Steps of each training. Default 100.
    pub steps: usize,
    /// The share of the examples that is held out for the measure. Default 0.1.
    pub held_out: f64,
    /// How often it is measured, besides before the first step and after the last. Default 10.
    pub measurements: usize,
    /// How each model is trained; `epochs`, `total_steps`, `checkpoint` and `validation` follow from the rest.
    pub train: TrainConfig,
}

impl Default for CompareConfig {
    fn default() -> Self {
        Self { steps: 100, held_out: 0.1, measurements: 10, train: TrainConfig::default() }
    }
}

/// What [`compare`] found. Printed, it is a table with one line per loss.
#[derive(Clone, PartialEq)]
pub struct Comparison {
    /// One row per loss and step from 0: `name`, `step`, `loss` (null at step 0) and `measure` (null where it was not
    /// measured).
    pub frame: DataFrame,
    /// What the measure is: `MRR` of the positive among the held-out documents, or `Spearman` correlation of scores and
    /// labels.
    pub measure: &'static str,
    /// Losses that ended in an error, with that error: the others are compared all the same.
    pub failed: Vec<(String, String)>,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq)]
struct Line {
    name: String,
    losses: Vec<f64>,
    /// Step and value.
    measured: Vec<(usize, f64)>,
    seconds: f64,
}

/// Trains copies of a model with several losses for as many steps, from the same weights on the same batches with the same
/// dropout, and measures each on held-out examples. The values of the losses themselves do not compare: they have scales
/// of their own. A live chart shows the measure.
///
/// The measure is the mean reciprocal rank of each positive among the held-out documents of its batch, as the model scores
/// them, or of labelled pairs the Spearman correlation of scores and labels.
///
/// ```no_run
/// use kensaku::prelude::*;
/// # fn main() -> Result<()> {
/// # let (model, data) = (BiEncoder::load("all-MiniLM-L6-v2")?, rustdoc()?.pairs("train")?);
/// let mine = loss::custom(|batch| loss::cross_entropy(&(batch.scores()? * 10.0)?, &batch.own()?));
/// let ranking = MultipleNegativesRanking::default().boxed();
/// println!("{}", loss::compare(&model, &data, [("mnr", ranking), ("mine", mine)], 50)?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If no loss can be trained, on interrupts, or if there are not enough examples to hold some out.
pub fn compare<M, N, L>(
    model: &M,
    data: &TrainingSet,
    losses: impl IntoIterator<Item = (N, L)>,
    steps: usize,
) -> Result<Comparison>
where
    M: Model + Clone,
    N: Into<String>,
    L: Loss + 'static,
{
    compare_with(model, data, losses, &CompareConfig { steps, ..CompareConfig::default() })
}

/// The same with other settings, such as the rate or the batch size.
pub fn compare_with<M, N, L>(
    model: &M,
    data: &TrainingSet,
    losses: impl IntoIterator<Item = (N, L)>,
    config: &CompareConfig,
) -> Result<Comparison>
where
    M: Model + Clone,
    N: Into<String>,
    L: Loss + 'static,
{
    let mut course = Course::new(model, data, config)?;
    let mut failed = Vec::new();
    for (name, loss) in losses {
        let name = name.into();
        let trained = Trainer::new(model.clone(), loss, course.train.clone());
        match trained.and_then(|trainer| course.run(name.clone(), trainer)) {
            Ok(()) => {}
            Err(error @ Error::Interrupted { .. }) => return Err(error),
            Err(error) => failed.push((name, error)),
        }
    }
    course.comparison(failed)
}

/// What all trainings have in common.
struct Course {
    train: TrainConfig,
    data: TrainingSet,
    /// The rows of the batches of each step.
    plan: Vec<Vec<Vec<usize>>>,
    held_out: Vec<TokenBatch>,
    measure: &'static str,
    every: usize,
    lines: Vec<Line>,
    curve: LossCurve,
}

impl Course {
    fn new<M: Model + Clone>(model: &M, data: &TrainingSet, config: &CompareConfig) -> Result<Self> {
        expect("steps", config.steps, "at least 1", config.steps > 0)?;
        expect("measurements", config.measurements, "at least 1", config.measurements > 0)?;
        let one = data.columns().len() == 1;
        expect("data", "a single column of texts", "pairs: nothing measures single texts", !one)?;
        let lists = data.labels().map(Labels::kind) == Some(LabelKind::Ragged);
        expect("data", "lists of documents", "pairs or negatives: nothing measures lists", !lists)?;
        let least = (0.5 / config.held_out).ceil();
        let expected = format!("a share that leaves some of the {} examples on both sides", data.len());
        let some = config.held_out > 0.0 && config.held_out < 1.0 && data.len() as f64 >= least.max(2.0);
        expect("held_out", config.held_out, &expected, some)?;
        let (data, held_out) = data.split(config.held_out, config.train.seed)?;
        let measure = match held_out.labels().map(Labels::kind) {
            Some(LabelKind::Binary | LabelKind::Score | LabelKind::Class) => "Spearman",
            Some(LabelKind::List(_) | LabelKind::Ragged) | None => "MRR",
        };
        let size = config.train.batch_size;
        let lone = model.scoring() == Scoring::Pairs && data.columns().len() == 2 && measure == "MRR";
        expect("data", "pairs without labels", "negatives: a cross-encoder reads each pair alone", !lone)?;
        let rows: Vec<usize> = (0..held_out.len()).collect();
        let tokens = |rows: &[usize]| TokenBatch::new(|texts| model.tokenize(texts), &held_out, rows);
        let batches = rows.chunks(size.max(2)).map(tokens).collect::<Result<_>>()?;
        let plan = plan(&data, config)?;
        let train = TrainConfig {
            total_steps: Some(config.steps),
            checkpoint: None,
            validation: Default::default(),
            ..config.train.clone()
        };
        Ok(Self {
            train,
            data,
            plan,
            held_out: batches,
            measure,
            every: config.steps.div_ceil(config.measurements),
            lines: Vec::new(),
            curve: LossCurve::new(format!("{measure} on held-out examples")),
        })
    }

    fn run<M: Model>(&mut self, name: String, mut trainer: Trainer<M>) -> Result<()> {
        let taken = self.lines.iter().any(|line| line.name == name);
        expect("name", &name, "names that differ", !taken)?;
        trainer.training.check_sets(&(&self.data).into())?;
        let lone = self.train.batch_size == 1 && self.data.columns().len() < 3;
        let expected = "at least 2: a pair's only negatives are the other examples of its batch";
        expect("batch_size", 1, expected, !lone || !trainer.training.in_batch(trainer.training.loss_of(None)?))?;
        let (start, mut losses) = (Instant::now(), Vec::new());
        let mut measured = vec![(0, self.measure(trainer.model())?)];
        self.curve.push_to(&name, 0, measured[0].1);
        for (step, batches) in (1..).zip(&self.plan) {
            interrupt::check("comparing losses")?;
            let batches = batches.iter().map(|rows| trainer.batch(&self.data, rows)).collect::<Result<Vec<_>>>()?;
            losses.push(trainer.accumulated_step(&batches)?.loss);
            if step % self.every == 0 || step == self.plan.len() {
                let value = self.measure(trainer.model())?;
                self.curve.push_to(&name, step, value);
                measured.push((step, value));
            }
        }
        self.lines.push(Line { name, losses, measured, seconds: start.elapsed().as_secs_f64() });
        Ok(())
    }

    fn measure(&self, model: &dyn Model) -> Result<f64> {
        let (mut sum, mut count, mut pairs) = (0.0, 0, (Vec::new(), Vec::new()));
        let mut activations = Activations::inference();
        for batch in &self.held_out {
            let budget = Some(MicroBatch::Tokens(model.pass_tokens()));
            let outputs = embed(model, &parts(batch, budget), None, &mut activations)?;
            let columns = variables(batch, &outputs, model.width(), candle_core::DType::F32)?;
            let seen = loss_batch(model, batch, &outputs, &tensors(&columns), &[])?;
            if self.measure == "MRR" {
                let ranks = reciprocal_ranks(&seen)?;
                (sum, count) = (sum + ranks.iter().sum::<f64>(), count + ranks.len());
            } else {
                pairs.0.extend(seen.own_scores()?.narrow(1, 0, 1)?.flatten_all()?.to_vec1::<f32>()?);
                pairs.1.extend(seen.labels()?.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        if self.measure == "MRR" { Ok(sum / f64::from(count as u32)) } else { spearman(pairs.0, pairs.1) }
    }

    fn comparison(self, mut failed: Vec<(String, Error)>) -> Result<Comparison> {
        if self.lines.is_empty() && !failed.is_empty() {
            return Err(failed.swap_remove(0).1);
        }
        if self.lines.is_empty() {
            let expected = "at least one loss".to_owned();
            return Err(Error::NothingToTrain { problem: "a comparison of no losses".to_owned(), expected });
        }
        let (mut names, mut steps, mut losses, mut measures) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for line in &self.lines {
            for step in 0..=line.losses.len() {
                names.push(line.name.as_str());
                steps.push(step as u32);
                losses.push(step.checked_sub(1).map(|index| line.losses[index]));
                measures.push(line.measured.iter().find(|(at, _)| *at == step).map(|(_, value)| *value));
            }
        }
        let frame = df!("name" => names, "step" => steps, "loss" => losses, "measure" => measures)?;
        let failed = failed.into_iter().map(|(name, error)| (name, error.to_string())).collect();
        Ok(Comparison { frame, measure: self.measure, failed, lines: self.lines })
    }
}

/// More are no comparison of losses, but a training.
const MOST_BATCHES: usize = 1 << 20;

/// The rows of each step's batches, over as many epochs as it takes.
fn plan(data: &TrainingSet, config: &CompareConfig) -> Result<Vec<Vec<Vec<usize>>>> {
    let accumulate = config.train.accumulate;
    let count = config.steps.saturating_mul(accumulate);
    let expected = format!("at most {MOST_BATCHES} batches in all steps");
    expect("steps", config.steps, &expected, count <= MOST_BATCHES)?;
    let mut batches = Vec::new();
    let sampler = sampler(data, &TextHashes::of_set(data)?, &config.train, 0)?;
    for epoch in 0.. {
        interrupt::check("planning")?;
        let epoch = sampler.epoch(epoch)?.to_vec();
        batches.extend(epoch.into_iter().take(count - batches.len()));
        if batches.len() == count {
            break;
        }
    }
    Ok(batches.chunks(accumulate).map(<[_]>::to_vec).collect())
}

/// `1 / rank` of each query's positive among its scores; what scores alike is ranked before it.
fn reciprocal_ranks(batch: &Batch) -> Result<Vec<f64>> {
    let scores = batch.scores()?.to_vec2::<f32>()?;
    let rank = |(scores, own): (&Vec<f32>, u32)| {
        let own = scores[own as usize];
        1.0 / scores.iter().filter(|score| **score >= own).count().max(1) as f64
    };
    Ok(scores.iter().zip(batch.own()?).map(rank).collect())
}

fn spearman(scores: Vec<f32>, labels: Vec<f32>) -> Result<f64> {
    let doubles = |numbers: Vec<f32>| numbers.into_iter().map(f64::from).collect::<Vec<_>>();
    let frame = df!("scores" => doubles(scores), "labels" => doubles(labels))?;
    let found = frame.lazy().select([spearman_rank_corr(col("scores"), col("labels"), false)]).collect()?;
    // Without a correlation, as of scores that are all alike, it is none.
    Ok(found.columns()[0].f64()?.get(0).filter(|value| value.is_finite()).unwrap_or(0.0))
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.lines.iter().map(|line| line.name.chars().count()).chain([4]).max().unwrap_or(4);
        write!(f, "{:width$} {:>9} {:>9} {:>9} {:>7}", "loss", "first", "last", self.measure, "before")?;
        write!(f, " {:>9}", "s / step")?;
        for Line { name, losses, measured, seconds } in &self.lines {
            let [first, last] = [losses.first(), losses.last()].map(|loss| loss.copied().unwrap_or(f64::NAN));
            let [before, after] = [measured.first(), measured.last()].map(|at| at.map_or(f64::NAN, |at| at.1));
            let pace = seconds / losses.len().max(1) as f64;
            write!(f, "\n{name:width$} {first:>9.4} {last:>9.4} {after:>9.4} {before:>7.4} {pace:>9.3}")?;
        }
        for (name, problem) in &self.failed {
            write!(f, "\n{name:width$} failed: {problem}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
