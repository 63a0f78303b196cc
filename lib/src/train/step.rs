//! One step of the training.

use std::fmt;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::autograd::{
    check_reached, check_variables, gradients, loss_batch, loss_value, named, not_finite, prior_variables, tensors,
    variables,
};
use super::card::Past;
use super::fit::check_scores;
use super::grad_cache::{Gradient, embed, parts};
use super::trainer::Training;
use super::{Evaluation, TokenBatch, Trainer};
use crate::error::expect;
use crate::loss::{Batch, Loss, Term, total};
use crate::model::Model;
use crate::nn::Dropout;
use crate::random::Philox;
use crate::{Error, Result, interrupt};

/// What one step did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// From 1.
    pub step: usize,
    /// The number of the last step, if it is known.
    pub total: Option<usize>,
    pub loss: f64,
    /// The terms of the loss by their names, without their weights, if there are several.
    #[serde(default)]
    pub terms: Vec<(String, f64)>,
    pub learning_rate: f64,
    /// The norm of the gradient over all parameters, before clipping.
    pub grad_norm: f64,
    /// Tokens of the batch; none is padding.
    pub tokens: usize,
    /// Of the step, from its token ids to the new weights.
    pub seconds: f64,
    /// The seconds before, in which it waited for its token ids.
    #[serde(default)]
    pub waited: f64,
    /// The sets that its batches are of, if there are several ([`MultiSet`](super::MultiSet)).
    #[serde(default)]
    pub sets: Vec<String>,
    /// The validation after this step, if one was due.
    #[serde(default)]
    pub evaluation: Option<Evaluation>,
}

impl Step {
    /// The share of its time, from 0 to 1, in which it waited for its token ids: what a faster loader would save.
    pub fn waiting(&self) -> f64 {
        match self.waited + self.seconds {
            0.0 => 0.0,
            whole => self.waited / whole,
        }
    }
}

impl<M: Model> Trainer<M> {
    /// One step: encode, loss, backward, update. This is all there is to it:
    ///
    /// 1. all texts of the batch are packed into one forward pass of the encoder;
    /// 2. their vectors become candle variables, and the loss is whatever candle computes of them;
    /// 3. candle's gradient of the vectors goes back through the encoder by hand-written code;
    /// 4. the optimiser applies the gradients, clipped, at the schedule's rate.
    ///
    /// With [`micro_batch`](super::TrainConfig::micro_batch) 1 and 3 take the batch part by part.
    pub fn step(&mut self, batch: &TokenBatch) -> Result<Step> {
        self.accumulated_step(std::slice::from_ref(batch))
    }

    /// One step of several batches, whose gradients are added, weighted by their numbers of examples.
    ///
    /// Manual steps belong to no round: [`Trainer::steps`] continues where it was.
    pub fn accumulated_step(&mut self, batches: &[TokenBatch]) -> Result<Step> {
        let training = &mut self.training;
        let step = training.update(batches, false)?;
        training.checkpoint_if_due(training.config.total_steps == Some(training.done))?;
        Ok(step)
    }
}

impl Training {
    /// A step without its checkpoint, of the round's plan or by hand.
    pub(super) fn update(&mut self, batches: &[TokenBatch], planned: bool) -> Result<Step> {
        let start = Instant::now();
        if batches.is_empty() {
            let problem = "a step of no batches".to_owned();
            return Err(Error::NothingToTrain { problem, expected: "at least one batch".to_owned() });
        }
        for batch in batches {
            batch.check()?;
            check_scores(self.loss_of(batch.set.as_deref())?, batch.labels.as_ref(), Some(&batch.rows))?;
        }
        let learning_rate = self.learning_rate()?;
        self.claim_folder()?;
        let step = self.done + 1;
        let rows = || batches.iter().flat_map(|batch| batch.rows.clone()).collect::<Vec<_>>();
        let examples: usize = batches.iter().map(TokenBatch::examples).sum();
        self.optimizer.zero_grads(self.model.parameters_mut());
        self.own.zero_grads();
        let (mut loss, mut terms, mut tokens) = (0.0, Vec::new(), 0);
        for batch in batches {
            let share = batch.examples() as f64 / examples.max(1) as f64;
            let (value, parts) = self.add_gradient(batch, share, tokens)?;
            if !value.is_finite() {
                let what = batch.set.as_ref().map_or("loss".to_owned(), |set| format!("loss of set `{set}`"));
                return Err(Error::NotFinite { step, what, value, rows: batch.rows.clone() });
            }
            loss += share * value;
            add_terms(&mut terms, share, parts);
            tokens += batch.tokens();
        }
        let grad_norm = self.optimizer.step(self.model.parameters_mut(), learning_rate)?;
        if !grad_norm.is_finite() {
            return Err(not_finite(self.model.parameters(), step, grad_norm, rows()));
        }
        let own_norm = self.own.step(learning_rate)?;
        if !own_norm.is_finite() {
            return Err(not_finite(&self.own.table, step, own_norm, rows()));
        }
        if step == 1 && grad_norm == 0.0 && own_norm == 0.0 {
            log::warn!(
                "step 1: the gradient is 0: this batch trains nothing (`trainer.preflight(&data)?` looks for the reason)"
            );
        }
        self.done = step;
        if let Some(round) = self.round.as_mut().filter(|_| planned) {
            round.done += 1;
        }
        self.warn_once(batches);
        let total = if planned { self.end() } else { self.config.total_steps };
        let seconds = start.elapsed().as_secs_f64();
        self.past.push(Past { step, loss, seconds });
        let sets = batches.iter().filter_map(|batch| batch.set.as_deref().map(str::to_owned)).collect();
        let waited = 0.0;
        Ok(Step { step, total, loss, terms, learning_rate, grad_norm, tokens, seconds, waited, sets, evaluation: None })
    }

    /// The number of the round's last step.
    pub(super) fn end(&self) -> Option<usize> {
        self.round.map(|round| self.done + round.steps.saturating_sub(round.done))
    }

    /// Adds the gradient of `share * loss(batch)` to the table and returns the loss with its terms; a loss that is not
    /// finite has no gradient. `first_token` tells the masks of this batch from those of others in the step.
    fn add_gradient(&mut self, batch: &TokenBatch, share: f64, first_token: usize) -> Result<(f64, Terms)> {
        let dropout = Dropout { seed: self.config.seed, step: self.done as u32, first_token: first_token as u32 };
        let dropout = self.config.dropout.then_some(dropout);
        let parts = parts(batch, self.config.micro_batch);
        let prior = self.prior_layers(parts.len())?;
        self.activations.set_prior(&prior);
        // A batch of one part is not encoded twice.
        let outputs = match parts.as_slice() {
            [whole] => whole.forward(&*self.model, dropout, &mut self.activations)?,
            parts => embed(&*self.model, parts, dropout, &mut self.inference)?,
        };

        let (value, terms, gradient, own_gradient, state) = {
            let mut variables = variables(batch, &outputs, self.model.width(), candle_core::DType::F32)?;
            let layers = prior_variables(batch, &outputs, self.model.width(), &prior)?;
            let own = self.own.variables()?;
            let seen = loss_batch(&*self.model, batch, &outputs, &tensors(&variables), &named(&own))?;
            let layers_seen = layers.iter().map(|(layer, columns)| (*layer, tensors(columns))).collect();
            let seen = Batch { progress: self.progress(), layers: layers_seen, ..seen };
            if self.done == 0 {
                check_variables(&*self.loss, &seen)?;
            }
            let own_loss = self.loss_of(batch.set.as_deref())?;
            let terms = self.loss.terms(&seen)?;
            let values_by_name = term_values(own_loss, &terms)?;
            let loss = total(&terms)?;
            let value = loss_value(own_loss, &loss)?;
            if !value.is_finite() {
                return Ok((value, values_by_name));
            }
            variables.extend(layers.into_iter().flat_map(|(_, columns)| columns));
            let state = self.loss.observe(&seen)?;
            let (values, own) = gradients(&(loss * share)?, &variables, &own)?;
            (value, values_by_name, Gradient { values, bounds: outputs.bounds.clone() }, own, state)
        };

        if let [whole] = parts.as_slice() {
            whole.backward_whole(&mut *self.model, &mut self.activations, &outputs, &gradient)?;
        } else {
            for part in &parts {
                // A step of many parts takes minutes; one that is broken off changes nothing.
                interrupt::check("training")?;
                let outputs = part.forward(&*self.model, dropout, &mut self.activations)?;
                part.backward(&mut *self.model, &mut self.activations, &outputs, &gradient)?;
            }
        }
        self.own.add_gradient(&own_gradient, self.loss.per_set().and(batch.set.as_deref()))?;
        self.own.observe(state)?;
        if self.done == 0 {
            check_reached(&*self.model, &self.optimizer, &gradient.values)?;
        }
        Ok((value, terms))
    }

    /// The layers before the last that the loss wants to see in this step.
    fn prior_layers(&self, parts: usize) -> Result<Vec<usize>> {
        let mut rng = Philox::stream(self.config.seed, self.done as u64);
        let prior = self.loss.prior_layers(self.model.layers(), &mut rng)?;
        let whole = parts == 1 || prior.is_empty();
        let expected = "None: a loss of several layers sees those of whole batches";
        expect("micro_batch", format!("{:?}", self.config.micro_batch), expected, whole)?;
        Ok(prior)
    }

    /// Says once what is not wrong, but hardly meant.
    fn warn_once(&mut self, batches: &[TokenBatch]) {
        let (step, cut) = (self.done, batches.iter().map(|batch| batch.truncated).sum::<usize>());
        if self.truncated == 0 && cut > 0 {
            let texts: usize = batches.iter().map(TokenBatch::sequences).sum();
            let limits = self.model.limits();
            log::warn!(
                "step {step}: {cut} of {texts} texts are longer than {limits} and lost their end \
                 (said once; `trainer.truncated()` counts on)"
            );
        }
        self.truncated += cut;
        let in_batch = |batch: &TokenBatch| self.loss_of(batch.set.as_deref()).is_ok_and(|loss| self.in_batch(loss));
        let lone = |batch: &TokenBatch| batch.examples() == 1 && batch.columns.len() == 2 && in_batch(batch);
        if batches.iter().any(lone) {
            if self.lone_pairs == 0 {
                log::warn!(
                    "step {step}: a batch of one pair has no negatives: its loss is 0 and trains nothing (said once)"
                );
            }
            self.lone_pairs += 1;
        }
    }
}

/// The least share of waiting that a step shows.
const SHOWN: f64 = 0.01;

/// The terms of a loss by their names.
type Terms = Vec<(String, f64)>;

/// The values of several terms; none of a single one, which is the loss.
fn term_values(loss: &dyn Loss, terms: &[Term]) -> Result<Terms> {
    if terms.len() < 2 {
        return Ok(Terms::new());
    }
    terms.iter().map(|term| Ok((term.name.clone(), loss_value(loss, &term.value)?))).collect()
}

/// Adds the terms of one batch of several, with its share.
fn add_terms(sums: &mut Terms, share: f64, terms: Terms) {
    if sums.len() != terms.len() {
        *sums = terms.iter().map(|(name, _)| (name.clone(), 0.0)).collect();
    }
    sums.iter_mut().zip(terms).for_each(|((_, sum), (_, value))| *sum += share * value);
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, loss, learning_rate, grad_norm, tokens, seconds, .. } = self;
        let of = self.total.map(|total| format!("/{total}")).unwrap_or_default();
        write!(f, "step {step}{of}  loss {loss:.4}  lr {learning_rate:.2e}  grad norm {grad_norm:.3}  ")?;
        write!(f, "{tokens} tokens  {seconds:.3} s")?;
        if self.waiting() >= SHOWN {
            write!(f, "  {:.0} % waiting", 100.0 * self.waiting())?;
        }
        if !self.sets.is_empty() {
            write!(f, "  {}", self.sets.join(", "))?;
        }
        for (name, value) in &self.terms {
            write!(f, "  {} {value:.4}", if name.is_empty() { "closure" } else { name })?;
        }
        match &self.evaluation {
            Some(evaluation) => write!(f, "\n{evaluation}"),
            None => Ok(()),
        }
    }
}
