//! Training as an iterator of steps.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

use super::loader::Loader;
use super::plan::Plan;
use super::round::DataMark;
use super::trainer::Training;
use super::validation::due;
use super::{MultiSet, Step, Trainer};
use crate::data::TrainingSet;
use crate::model::{BiEncoder, Model, as_type};
use crate::show::{self, Message, Places};
use crate::{Error, Result, interrupt};

/// The iterator of [`Trainer::steps`].
pub struct Steps<'a, M = BiEncoder> {
    rest: Rest<'a>,
    model: PhantomData<fn() -> M>,
}

/// The rest of a round, for any model.
pub(super) struct Rest<'a> {
    trainer: &'a mut Training,
    plan: Plan,
    loader: Loader,
    /// The progress bars of each validation replace those of the previous one.
    places: Places,
    stopped: bool,
}

/// A step that was not yielded yet.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    step: Step,
    /// Whether its validation and its checkpoint are done.
    finished: bool,
}

impl<M: Model> Trainer<M> {
    /// The remaining steps of all epochs over a training set, as an iterator: each `next` is one step, and the
    /// validation after it where one is due ([`ValidationConfig`](super::ValidationConfig)). `data` is a
    /// [`&TrainingSet`](TrainingSet), several as a [`&MultiSet`](MultiSet), or a
    /// [`&TrainingStream`](crate::data::TrainingStream) of files larger than memory.
    ///
    /// After an interrupt (or a `break`) call it again with the same training set: it continues after the last step that
    /// it yielded. A step that was running at the interrupt is yielded first.
    ///
    /// Another training set than that of the last call begins a new round, such as one with negatives mined by the
    /// half-trained model: all its `epochs`, with a new schedule and warm-up, unless `total_steps` makes one schedule span
    /// everything. The moments of the optimiser are kept. Step numbers continue, and so do the epochs and steps that seed
    /// order and dropout. The remaining steps of the previous round are dropped. [`Trainer::begin_round`] changes the
    /// settings between two rounds, or begins one with the same training set.
    ///
    /// # Errors
    /// If all steps are done or validation has ended the training: [`Trainer::begin_round`] starts again. (Directly after
    /// [`Trainer::resume`] the iterator is empty instead, so that a finished script can run again.) If texts or labels do
    /// not fit the loss.
    pub fn steps(&mut self, data: impl Into<MultiSet>) -> Result<Steps<'_, M>> {
        Ok(Steps { rest: self.training.steps(&data.into())?, model: PhantomData })
    }

    /// Runs all remaining steps of [`Trainer::steps`] with a progress bar, and returns the last one.
    ///
    /// ```no_run
    /// # use kensaku::prelude::*;
    /// # fn main() -> Result<()> {
    /// # let (model, data) = (BiEncoder::load("all-MiniLM-L6-v2")?, rustdoc()?.pairs("train")?);
    /// let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), TrainConfig::default())?;
    /// println!("{}", trainer.train(&data)?);
    /// trainer.into_model().save("my-model")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Trainer::steps`], and of any step. If there is no step left, also directly after [`Trainer::resume`]: a
    /// script that may run again loops over `steps`.
    pub fn train(&mut self, data: impl Into<MultiSet>) -> Result<Step> {
        self.training.train(&data.into())
    }
}

impl Training {
    pub(super) fn steps(&mut self, data: &MultiSet) -> Result<Rest<'_>> {
        self.check_sets(data)?;
        self.check_losses(data)?;
        self.check_validation()?;
        let known = data.sets.iter().enumerate().map(|(number, (_, set))| set.known(&self.config, number));
        let (marks, samplers): (Vec<_>, Vec<_>) = known.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let mark = DataMark::of_sets(data, &marks);
        self.check_resumed(mark)?;
        let mut round = self.round_of(mark);
        let plan = Plan::new(data, samplers, &self.config, round.first_epoch)?;
        self.check_plan(data, &plan)?;
        round.steps = plan.steps();
        self.last_rate(&round)?;
        let resumed = self.log.expected.take().is_some();
        if self.round.is_none_or(|before| before.data != round.data) {
            if self.round.is_some_and(|before| before.done < before.steps && before.data.is_some()) {
                say(format!("step {}: another training set, of {} steps", self.done, round.steps));
            }
            self.pending = None;
        }
        self.round = Some(round);
        if self.pending.is_none() && (round.done >= round.steps || self.out_of_patience()) {
            let problem = match self.out_of_patience() {
                true => self.stop_message(),
                false => format!("all {} steps on this training set are done", round.steps),
            };
            if !resumed {
                let expected = "another training set, or another round with `begin_round`".to_owned();
                return Err(Error::NothingToTrain { problem, expected });
            }
            say(problem);
        }
        let readers = data.sets.iter().enumerate();
        let readers = readers.map(|(number, (name, set))| (name.clone(), set.reader(&self.config, number))).collect();
        // A guide takes longer than all tokens.
        let front = if self.guide.is_none() { self.model.front() } else { None };
        let loader = Loader::new(Arc::new(readers), front, self.config.prefetch);
        Ok(Rest { trainer: self, plan, loader, places: Places::default(), stopped: false })
    }

    pub(super) fn train(&mut self, data: &MultiSet) -> Result<Step> {
        let steps = self.steps(data)?;
        let bar = show::progress("train", Some(steps.size_hint().1.unwrap_or(0)));
        let mut last = None;
        for step in steps {
            last = Some(step?);
            bar.inc(1);
        }
        last.ok_or_else(|| Error::NothingToTrain {
            problem: "all steps are done".to_owned(),
            expected: "another round with `begin_round`".to_owned(),
        })
    }

    /// After [`Trainer::resume`] the training set must be the one of the checkpoint.
    fn check_resumed(&self, found: DataMark) -> Result<()> {
        match &self.log.expected {
            Some((path, Some(expected))) if *expected != found => {
                let (theirs, ours) = (expected.examples, found.examples);
                let how = match theirs == ours {
                    true => "texts, labels or their order differ".to_owned(),
                    false => format!("{theirs} examples; this one has {ours}"),
                };
                let problem = format!("its training set is another one ({how})");
                Err(Error::Checkpoint { path: path.clone(), problem, before: None })
            }
            _ => Ok(()),
        }
    }

    /// An error for a plan that cannot train anything.
    fn check_plan(&self, data: &MultiSet, plan: &Plan) -> Result<()> {
        for (index, (name, set)) in data.sets.iter().enumerate() {
            let set_of = |what: &str| name.as_ref().map_or_else(|| what.to_owned(), |name| format!("{what} `{name}`"));
            if set.len() == 0 {
                let problem = format!("{} has no rows", set_of("the training set"));
                return Err(Error::NothingToTrain { problem, expected: "at least one example".to_owned() });
            }
            let columns = set.sample().columns().len();
            if !self.in_batch(self.loss_of(name.as_deref())?) || columns > 2 || !plan.lone(index) {
                continue;
            }
            if self.config.batch_size == 1 {
                let expected = "at least 2: a pair's only negatives are the other examples of its batch".to_owned();
                return Err(Error::Setting { field: "batch_size", value: "1".to_owned(), expected });
            }
            if set.len() == 1 {
                let problem = format!("{} has one row, whose document has no negatives", set_of("the training set"));
                return Err(Error::NothingToTrain {
                    problem,
                    expected: "more rows, or negatives of its own".to_owned(),
                });
            }
            let of = name.as_ref().map_or_else(String::new, |name| format!(" of `{name}`"));
            return Err(Error::NothingToTrain {
                problem: format!("no two of its {} rows{of} can share a batch, because they share a text", set.len()),
                expected: "different texts, negatives of their own, or no_duplicates = false".to_owned(),
            });
        }
        Ok(())
    }

    /// Why validation has ended the training, and which step is the best.
    fn stop_message(&self) -> String {
        let best = self.best().map_or_else(String::new, |best| {
            let (name, value) = self.deciding(best).unwrap_or(("loss", f64::NAN));
            format!("; the best is step {}: {name} {value:.4}", best.step)
        });
        let patience = self.config.validation.patience.unwrap_or(0);
        let validations = if patience == 1 { "1 validation".to_owned() } else { format!("{patience} validations") };
        let by = match self.config.validation.min_delta {
            0.0 => String::new(),
            delta => format!(" by more than {delta}"),
        };
        format!("stopped early after step {}: {validations} without improvement{by}{best}", self.done)
    }
}

impl<M: Model> Steps<'_, M> {
    /// The number of the last step, finished ones and those of earlier training sets included.
    pub fn total(&self) -> usize {
        self.rest.trainer.end().unwrap_or(self.rest.trainer.done)
    }

    /// The model between two steps, to evaluate it.
    pub fn model(&self) -> &M {
        as_type(&*self.rest.trainer.model)
    }
}

impl Rest<'_> {
    fn step(&mut self) -> Result<Option<Step>> {
        let done = self.trainer.round.map_or(0, |round| round.done);
        interrupt::check("training")?;
        let start = Instant::now();
        let make = |set: &TrainingSet, rows: &[usize]| self.trainer.tokens(set, rows);
        let Some(batches) = self.loader.next(&mut self.plan, done, make)? else { return Ok(None) };
        let waited = start.elapsed().as_secs_f64();
        batches.iter().try_for_each(|batch| self.trainer.check_batch(batch))?;
        let step = self.trainer.update(&batches, true)?;
        Ok(Some(Step { waited, ..step }))
    }

    /// Validates the model and writes a checkpoint, which holds what was found, if that is due after `step`.
    fn finish(&mut self, mut step: Step) -> Result<Step> {
        let trainer = &mut *self.trainer;
        let done = trainer.round.map_or(0, |round| round.done);
        let (ends_epoch, last) = (self.plan.ends_epoch(done.saturating_sub(1)), done == self.plan.steps());
        if trainer.validation.asked() && due(trainer.config.validation.every, step.step, ends_epoch, last) {
            // An interrupted validation is made up for by the next call.
            trainer.pending = Some(Pending { step: step.clone(), finished: false });
            step.evaluation = Some(self.places.reuse(|| trainer.evaluate())?);
            trainer.pending = None;
        }
        let stops = step.evaluation.is_some() && trainer.out_of_patience();
        trainer.checkpoint_if_due(last || stops)?;
        if stops && !last {
            say(trainer.stop_message());
        }
        Ok(step)
    }

    /// The step, unless the user has stopped while it ran: the cell would end before it saw it.
    fn hand_out(&mut self, step: Step) -> Result<Step> {
        let asked = interrupt::check("training");
        if asked.is_err() {
            self.trainer.pending = Some(Pending { step: step.clone(), finished: true });
        }
        asked.map(|()| step)
    }
}

impl<M> Iterator for Steps<'_, M> {
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rest.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rest.size_hint()
    }
}

impl Iterator for Rest<'_> {
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stopped {
            return None;
        }
        let step = match self.trainer.pending.take() {
            Some(Pending { step, finished: true }) => Ok(step),
            Some(Pending { step, finished: false }) => self.finish(step),
            None if self.trainer.out_of_patience() => return None,
            None => self.step().transpose()?.and_then(|step| self.finish(step)),
        };
        let step = step.and_then(|step| self.hand_out(step));
        self.stopped = step.is_err();
        Some(step)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.plan.steps() - self.trainer.round.map_or(0, |round| round.done).min(self.plan.steps());
        (0, Some(left + usize::from(self.trainer.pending.is_some())))
    }
}

/// A quiet line.
fn say(line: String) {
    show::display(&Message::text(line));
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use polars::prelude::df;

    use super::*;
    use crate::loss::MultipleNegativesRanking;
    use crate::model::BiEncoderConfig;
    use crate::nn::BertConfig;
    use crate::show::recorder::{record, texts};
    use crate::text::{Tokenizer, WordPieceConfig};
    use crate::train::{Every, TrainConfig, ValidationConfig};

    #[test]
    fn an_early_stop_says_so_with_the_best_step() {
        let texts_of = |what: &str| (0..8).map(|n| format!("{what} {n}")).collect::<Vec<_>>();
        let data =
            TrainingSet::new(df!("query" => texts_of("where"), "positive" => texts_of("there")).unwrap()).unwrap();
        let tokenizer = Tokenizer::train_wordpiece(&texts_of("where there"), &WordPieceConfig::default()).unwrap();
        let encoder = BertConfig { hidden_size: 8, intermediate_size: 16, ..Default::default() };
        let model = BiEncoder::new(encoder, tokenizer, BiEncoderConfig::default(), 1).unwrap();
        let validation = ValidationConfig { every: Every::Steps(1), patience: Some(2), ..Default::default() };
        let config = TrainConfig { batch_size: 2, epochs: 3, validation, ..Default::default() };
        let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), config).unwrap();
        let calls = Cell::new(0);
        trainer
            .validate_with("nDCG@10", move |_| {
                calls.set(calls.get() + 1);
                Ok(if calls.get() == 3 { 0.75 } else { 0.5 })
            })
            .unwrap();
        let (steps, messages) = record("stopped early", || trainer.steps(&data).unwrap().count());
        assert_eq!(steps, 5);
        let said = "stopped early after step 5: 2 validations without improvement; the best is step 3: nDCG@10 0.7500";
        assert_eq!(texts(&messages), [said]);
    }
}
