//! Whether the gradient of a loss is the slope of its value.

use std::fmt;

use candle_core::{DType, Tensor, Var};

use super::autograd::{check_variables, loss_batch, loss_value, nothing_reached, scalar, tensors, variables};
use super::grad_cache::{embed, parts};
use super::{TokenBatch, TrainConfig, own};
use crate::data::text_column;
use crate::loss::{Loss, Scoring};
use crate::model::{HeadInputs, Model};
use crate::nn::Activations;
use crate::random::Philox;
use crate::{Error, Result};

/// What [`grad_check`] found. Printed, it is a table.
#[derive(Clone, PartialEq)]
pub struct GradCheck {
    pub loss: f64,
    pub columns: Vec<ColumnCheck>,
    /// `F64`, or `F32` for a loss that takes nothing else.
    pub precision: DType,
}

/// One column of the batch, or a parameter of the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnCheck {
    /// `query`, `positive`, `negative`, `negative_2`, ..; `loss.name` of a parameter of the loss.
    pub name: String,
    /// The norm of its gradient.
    pub norm: f64,
    /// How far gradient and slope are apart, relative to the larger of both.
    pub deviation: f64,
}

/// Directions a column is moved in, beside that of its gradient. They are the same at every call.
const DIRECTIONS: usize = 12;

/// Compares the gradient of a loss with its slope, column by column of the batch's embeddings `(B, dim)`.
///
/// The slope along a direction `u` is `(4 D(h/2) - D(h)) / 3` with `D(h) = (loss(E + hu) - loss(E - hu)) / 2h`.
/// It is taken along the gradient itself, where a missing factor shows, and along random directions, where
/// a missing part shows: over those, `n (slope - gradient · u)²` of `n = B dim` numbers is on average the
/// squared length of what is wrong.
///
/// The embeddings are doubles, so that a right gradient is right to [`GradCheck::limit`] = 1e-5. A loss that
/// mixes in single-precision tensors of its own, or converts to single precision, is checked in single precision, where rounding hides what is
/// below 5e-2 of the gradient, or below 1e-4 or so of the loss: take a model that is not trained yet, and few
/// examples. A loss with a kink (a margin, an absolute value) may deviate if an example lies on it, and one
/// that detaches a part on purpose (weights by hardness) does deviate.
///
/// Fails with [`Error::CutGradient`] if the loss depends on a column to which no gradient comes back, and with
/// [`Error::DetachedLoss`] if it depends on none.
///
/// ```no_run
/// # use kensaku::prelude::*;
/// # use kensaku::train::grad_check;
/// # fn main() -> Result<()> {
/// # let (model, data) = (BiEncoder::load("all-MiniLM-L6-v2")?, rustdoc()?.pairs("train")?);
/// let loss = loss::custom(|batch| Ok(pairwise_cosine(batch.queries()?, batch.positives()?)?.neg()?.mean(0)?));
/// let trainer = Trainer::new(model.clone(), loss.clone(), TrainConfig::default())?;
/// let check = grad_check(&model, &loss, &trainer.batch(&data, &[0, 1, 2, 3])?)?;
/// assert!(check.passes(), "{check}");
/// # Ok(())
/// # }
/// ```
pub fn grad_check(model: &dyn Model, loss: &dyn Loss, batch: &TokenBatch) -> Result<GradCheck> {
    batch.check()?;
    let mut activations = Activations::inference();
    let outputs = embed(model, &parts(batch, None), None, &mut activations)?;
    let (table, state) = own::table(loss, model.width(), TrainConfig::default().seed)?;
    let columns = batch.columns.len();
    // State is seen, but not moved.
    let own_variables = |dtype, held: bool| {
        let all = own::variables(&table, dtype)?.into_iter().zip(&state);
        Ok::<_, Error>(all.filter_map(|(own, state)| (*state == held).then_some(own)).collect::<Vec<_>>())
    };
    let trained: Vec<_> =
        table.entries().iter().zip(&state).filter(|(_, state)| !**state).map(|(own, _)| own).collect();
    let seen = |inputs: &[Tensor]| {
        let names = trained.iter().map(|entry| own::short(&entry.name).to_owned());
        let mut own: Vec<_> = names.zip(inputs[columns..].iter().cloned()).collect();
        let held = own_variables(inputs.first().map_or(DType::F32, Tensor::dtype), true)?;
        own.extend(held.into_iter().map(|(name, value)| (name, value.as_detached_tensor())));
        loss_batch(model, batch, &outputs, &inputs[..columns], &own)
    };
    let value = |inputs: &[Tensor]| loss.loss(&seen(inputs)?);
    let inputs = |dtype| {
        let mut inputs = variables(batch, &outputs, model.width(), dtype)?;
        inputs.extend(own_variables(dtype, false)?.into_iter().map(|(_, own)| own));
        Ok::<_, Error>(inputs)
    };
    let doubles = inputs(DType::F64)?;
    let precise = is_precise(value(&tensors(&doubles)));
    let (inputs, precision) = if precise { (doubles, DType::F64) } else { (inputs(DType::F32)?, DType::F32) };

    check_variables(loss, &seen(&tensors(&inputs))?)?;
    // A cross-encoder has no column of queries alone.
    let first = usize::from(model.scoring() == Scoring::Pairs);
    let names =
        (0..columns).map(|column| (text_column(column + first), format!("column `{}`", text_column(column + first))));
    let names = names.chain(trained.iter().map(|entry| (entry.name.clone(), format!("parameter `{}`", entry.name))));
    let slopes = Slopes { inputs: names.zip(inputs).collect(), value: &value, precision };
    let base = loss_value(loss, &value(&slopes.tensors())?)?;
    if !base.is_finite() {
        return Err(Error::NotFinite { step: 0, what: "loss".to_owned(), value: base, rows: batch.rows.clone() });
    }
    let mut checks = slopes.check()?;
    if checks[..columns].iter().all(|column| column.norm == 0.0) {
        return Err(nothing_reached());
    }
    for part in parts(batch, None) {
        if let Some(head) = part.head_inputs(model, &mut activations)? {
            checks.extend(check_head(&head).map_err(|error| match error {
                Error::CutGradient { column } if column == STATES => Error::DetachedHead,
                other => other,
            })?);
        }
    }
    Ok(GradCheck { loss: base, columns: checks, precision })
}

/// What a message calls the input of a head.
const STATES: &str = "hidden states";

/// Whether a function of doubles gives one.
fn is_precise(value: Result<Tensor>) -> bool {
    value.is_ok_and(|value| value.dtype() == DType::F64)
}

/// The gradient of a head that is a closure, of its outputs times random numbers.
fn check_head(head: &HeadInputs) -> Result<Vec<ColumnCheck>> {
    let HeadInputs { head, states, bounds, parameters } = head;
    let value = |inputs: &[Tensor]| {
        let own: Vec<_> = parameters.iter().map(|(name, _)| name.clone()).zip(inputs[1..].iter().cloned()).collect();
        let outputs = head.apply(&inputs[0], bounds, &own)?;
        let mut rng = Philox::new(7);
        let numbers: Vec<f64> = (0..outputs.elem_count()).map(|_| rng.normal()).collect();
        let numbers = Tensor::from_vec(numbers, outputs.shape(), outputs.device())?.to_dtype(outputs.dtype())?;
        Ok((outputs * numbers)?.sum_all()?)
    };
    let inputs = |dtype| {
        let all = std::iter::once(states).chain(parameters.iter().map(|(_, value)| value));
        all.map(|value| Ok(Var::from_tensor(&value.to_dtype(dtype)?)?)).collect::<Result<Vec<Var>>>()
    };
    let doubles = inputs(DType::F64)?;
    let precise = is_precise(value(&tensors(&doubles)));
    let (inputs, precision) = if precise { (doubles, DType::F64) } else { (inputs(DType::F32)?, DType::F32) };
    let names = std::iter::once((STATES.to_owned(), STATES.to_owned()))
        .chain(parameters.iter().map(|(name, _)| (format!("head.{name}"), format!("parameter `head.{name}`"))));
    Slopes { inputs: names.zip(inputs).collect(), value: &value, precision }.check()
}

impl GradCheck {
    /// The deviation up to which a gradient counts as right.
    pub fn limit(&self) -> f64 {
        if self.precision == DType::F64 { 1e-5 } else { 5e-2 }
    }

    /// The largest relative deviation of all columns.
    pub fn largest(&self) -> f64 {
        // Unlike the larger of two numbers, NaN is not passed over.
        let larger = |a: f64, b: f64| if a.is_nan() || a > b { a } else { b };
        self.columns.iter().map(|column| column.deviation).fold(0.0, larger)
    }

    /// Whether no column deviates by more than the limit.
    pub fn passes(&self) -> bool {
        self.largest() <= self.limit()
    }
}

/// A function of named tensors, with a scalar as its value.
struct Slopes<'a> {
    /// What a table calls an input, what a message calls it, and its value.
    inputs: Vec<((String, String), Var)>,
    value: &'a dyn Fn(&[Tensor]) -> Result<Tensor>,
    precision: DType,
}

impl Slopes<'_> {
    fn tensors(&self) -> Vec<Tensor> {
        self.inputs.iter().map(|(_, input)| input.as_tensor().clone()).collect()
    }

    /// Compares the gradient of each input with slopes.
    fn check(&self) -> Result<Vec<ColumnCheck>> {
        let value = (self.value)(&self.tensors())?;
        let grads = value.backward()?;
        let size = scalar(&value)?.abs().max(1.0);
        let check = |(index, (_, input)): (usize, &(_, Var))| {
            let gradient = match grads.get(input) {
                Some(grad) => grad.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?,
                None => vec![0.0; input.elem_count()],
            };
            self.check_one(index, &gradient, size)
        };
        self.inputs.iter().enumerate().map(check).collect()
    }

    /// Compares the gradient of one input with slopes; `size` is that of the value.
    fn check_one(&self, index: usize, gradient: &[f64], size: f64) -> Result<ColumnCheck> {
        let (name, spoken) = &self.inputs[index].0;
        let norm = length(gradient);
        let (mut along, mut off, mut steep) = (0.0, 0.0, 0.0);
        let mut rng = Philox::new(index as u64);
        for probe in 0..=DIRECTIONS {
            let mut direction = match probe {
                0 => gradient.to_vec(),
                _ => (0..gradient.len()).map(|_| rng.normal()).collect(),
            };
            let scale = length(&direction);
            if scale == 0.0 {
                continue;
            }
            direction.iter_mut().for_each(|part| *part /= scale);
            let (slope, rounding) = self.slope(index, &direction, size)?;
            let expected: f64 = gradient.iter().zip(&direction).map(|(grad, part)| grad * part).sum();
            let difference = above_zero((slope - expected).abs() - rounding);
            match probe {
                0 => along = difference / slope.abs().max(norm),
                _ => {
                    off += difference.powi(2);
                    steep += above_zero(slope.abs() - rounding).powi(2);
                }
            }
        }
        let mean_square = |sum: f64| (sum / DIRECTIONS as f64 * gradient.len() as f64).sqrt();
        let (off, steep) = (mean_square(off), mean_square(steep));
        if norm == 0.0 && steep > 0.0 {
            return Err(Error::CutGradient { column: spoken.clone() });
        }
        let across = if off == 0.0 { 0.0 } else { off / steep.max(norm) };
        let deviation = if along > across || along.is_nan() { along } else { across };
        Ok(ColumnCheck { name: name.clone(), norm, deviation })
    }

    /// The slope along a direction of length 1, and how far rounding may have moved it.
    fn slope(&self, index: usize, direction: &[f64], size: f64) -> Result<(f64, f64)> {
        let input = self.inputs[index].1.as_detached_tensor();
        let rows = input.dims().first().copied().unwrap_or(1).max(1);
        let length = scalar(&input.sqr()?.sum_all()?)?.sqrt() / (rows as f64).sqrt();
        let (share, epsilon) = match self.precision {
            DType::F64 => (1e-4, f64::EPSILON),
            _ => (5e-2, f64::from(f32::EPSILON)),
        };
        let step = share * if length > 0.0 { length } else { 1.0 };
        let difference = |step: f64| -> Result<f64> {
            let ends = [step, -step].map(|step| self.moved(index, direction, step));
            let [ahead, behind] = ends;
            Ok((ahead? - behind?) / (2.0 * step))
        };
        let slope = (4.0 * difference(step / 2.0)? - difference(step)?) / 3.0;
        Ok((slope, 8.0 * epsilon * size / step))
    }

    /// The value with one input moved.
    fn moved(&self, index: usize, direction: &[f64], step: f64) -> Result<f64> {
        let mut inputs: Vec<Tensor> = self.tensors().iter().map(Tensor::detach).collect();
        let shift: Vec<f64> = direction.iter().map(|part| part * step).collect();
        let input = &inputs[index];
        let shift = Tensor::from_vec(shift, input.shape(), input.device())?.to_dtype(self.precision)?;
        inputs[index] = (input + shift)?;
        scalar(&(self.value)(&inputs)?)
    }
}

/// At least 0, or NaN.
fn above_zero(number: f64) -> f64 {
    if number < 0.0 { 0.0 } else { number }
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

impl fmt::Display for GradCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.columns.iter().map(|column| column.name.len()).chain([6]).max().unwrap_or(6);
        writeln!(f, "{:width$}  {:>9}  {:>9}", "column", "gradient", "deviation")?;
        for ColumnCheck { name, norm, deviation } in &self.columns {
            let state = if *deviation <= self.limit() { "ok" } else { "wrong" };
            writeln!(f, "{name:width$}  {norm:>9.2e}  {deviation:>9.1e}  {state}")?;
        }
        let precision = if self.precision == DType::F64 { "double" } else { "single" };
        write!(f, "loss {:.6}, in {precision} precision, limit {:.0e}", self.loss, self.limit())
    }
}

impl fmt::Debug for GradCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
