//! Where the engine's vectors become candle variables, and candle's gradients go back to the engine.

use candle_core::{DType, Device, Tensor, Var};

use super::{Optimizer, TokenBatch};
pub(super) use crate::loss::scalar;
use crate::loss::{Batch, Loss};
use crate::model::{Model, Outputs};
use crate::nn::{PackedBatch, Parameters};
use crate::{Error, Result};

/// What rounding leaves of a gradient that is zero.
const ROUNDING: f32 = 1e-6;

/// One candle variable `(rows, width)` per column.
pub(super) fn variables(batch: &TokenBatch, outputs: &Outputs, width: usize, dtype: DType) -> Result<Vec<Var>> {
    let mut rest = outputs.values.as_slice();
    let mut first = 0;
    let mut variables = Vec::with_capacity(batch.columns.len());
    for column in &batch.columns {
        let last = first + column.sequences();
        let rows = match outputs.bounds.as_slice() {
            [] => last - first,
            bounds => bounds[last] - bounds[first],
        };
        let (own, others) = rest.split_at(rows * width);
        variables.push(Var::from_tensor(&Tensor::from_slice(own, (rows, width), &Device::Cpu)?.to_dtype(dtype)?)?);
        (rest, first) = (others, last);
    }
    Ok(variables)
}

/// The same of the layers before the last, whose rows follow those of all columns.
pub(super) fn prior_variables(
    batch: &TokenBatch,
    outputs: &Outputs,
    width: usize,
    layers: &[usize],
) -> Result<Vec<(usize, Vec<Var>)>> {
    let size = batch.sequences() * width;
    let of_layer = |(number, layer): (usize, &usize)| {
        let values = outputs.values[(number + 1) * size..][..size].to_vec();
        Ok((*layer, variables(batch, &Outputs { values, ..Outputs::default() }, width, DType::F32)?))
    };
    layers.iter().enumerate().map(of_layer).collect()
}

/// What a loss sees: the outputs by columns, its own parameters, and the labels in their type.
pub(super) fn loss_batch(
    model: &dyn Model,
    batch: &TokenBatch,
    outputs: &Outputs,
    vectors: &[Tensor],
    own: &[(String, Tensor)],
) -> Result<Batch> {
    let dtype = vectors.first().map_or(DType::F32, |vectors| vectors.dtype());
    let labels = batch.labels.as_ref().map(|labels| Ok::<_, Error>(labels.tensor()?.to_dtype(dtype)?)).transpose()?;
    let guide = |column: &Vec<Vec<f32>>| Ok(Tensor::new(column.clone(), &Device::Cpu)?.to_dtype(dtype)?);
    Ok(Batch {
        columns: vectors.to_vec(),
        bounds: column_bounds(batch, &outputs.bounds),
        labels,
        guide: batch.guide.iter().map(guide).collect::<Result<_>>()?,
        scoring: model.scoring(),
        layers: Vec::new(),
        parameters: own.to_vec(),
        lists: batch.lists.clone(),
        progress: None,
        set: batch.set.clone(),
    })
}

/// What a loss sees of variables.
pub(super) fn tensors(variables: &[Var]) -> Vec<Tensor> {
    variables.iter().map(|variable| variable.as_tensor().clone()).collect()
}

/// The same of those with names.
pub(super) fn named(variables: &[(String, Var)]) -> Vec<(String, Tensor)> {
    variables.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect()
}

/// Of each column where the rows of its sequences begin; nothing if each has one.
fn column_bounds(batch: &TokenBatch, bounds: &[usize]) -> Vec<Vec<usize>> {
    if bounds.is_empty() {
        return Vec::new();
    }
    let mut first = 0;
    let own = |column: &PackedBatch| {
        let last = first + column.sequences();
        let own = bounds[first..=last].iter().map(|bound| bound - bounds[first]).collect();
        first = last;
        own
    };
    batch.columns.iter().map(own).collect()
}

/// The value of what a loss has returned; an error that names the loss if it is no scalar.
pub(super) fn loss_value(loss: &dyn Loss, value: &Tensor) -> Result<f64> {
    if value.rank() == 0 {
        return scalar(value);
    }
    Err(Error::Shape {
        what: match loss.needs().name {
            "" => "the value of the loss (a closure)".to_owned(),
            name => format!("the value of the loss {name}"),
        },
        found: format!("{:?}", value.dims()),
        expected: "a scalar, such as `.mean_all()?` returns".to_owned(),
    })
}

/// `dLoss/dE` of all columns, one after the other, and the gradients of the loss's own parameters. A column that the loss
/// leaves out has gradient 0.
pub(super) fn gradients(
    loss: &Tensor,
    vectors: &[Var],
    own: &[(String, Var)],
) -> Result<(Vec<f32>, Vec<Option<Tensor>>)> {
    let grads = loss.backward()?;
    let parameters = own.iter().map(|(_, variable)| grads.get(variable).cloned()).collect();
    let mut d_vectors = Vec::new();
    let mut reached = false;
    for variable in vectors {
        match grads.get(variable) {
            Some(grad) => {
                reached = true;
                d_vectors.extend(grad.flatten_all()?.to_vec1::<f32>()?);
            }
            None => d_vectors.resize(d_vectors.len() + variable.elem_count(), 0.0),
        }
    }
    if reached { Ok((d_vectors, parameters)) } else { Err(nothing_reached()) }
}

/// An error if the loss holds variables that nothing trains: of constants alone its value has no gradient.
pub(super) fn check_variables(loss: &dyn Loss, batch: &Batch) -> Result<()> {
    let constants = |tensors: &[Tensor]| tensors.iter().map(Tensor::detach).collect();
    let parameters = batch.parameters.iter().map(|(name, value)| (name.clone(), value.detach())).collect();
    let constant = Batch { columns: constants(&batch.columns), parameters, layers: Vec::new(), ..batch.clone() };
    match loss.loss(&constant)?.track_op() {
        true => Err(Error::UntrainedVariable),
        false => Ok(()),
    }
}

/// The error for a loss of which no output of the model is a part.
pub(super) fn nothing_reached() -> Error {
    Error::DetachedLoss
}

/// An error if the gradient of the vectors is not zero, but that of a parameter is: it would never train. One that
/// is frozen need not.
pub(super) fn check_reached(model: &dyn Model, optimizer: &Optimizer, d_vectors: &[f32]) -> Result<()> {
    if d_vectors.iter().all(|d| d.abs() < ROUNDING) {
        return Ok(());
    }
    let parameters = model.parameters();
    for (index, entry) in parameters.entries().iter().enumerate() {
        let exempt = model.cancels(&entry.name) || optimizer.is_frozen(index);
        if !exempt && parameters.grads[entry.range.clone()].iter().all(|grad| *grad == 0.0) {
            return Err(model.unreached(&entry.name));
        }
    }
    Ok(())
}

/// The error for gradients whose norm is not finite: the first parameter that has such a one.
pub(super) fn not_finite(parameters: &Parameters, step: usize, norm: f64, rows: Vec<usize>) -> Error {
    let first = parameters.entries().iter().find_map(|entry| {
        let grads = &parameters.grads[entry.range.clone()];
        grads.iter().find(|grad| !grad.is_finite()).map(|grad| (&entry.name, f64::from(*grad)))
    });
    let (what, value) = match first {
        Some((name, value)) => (format!("gradient of `{name}`"), value),
        None => ("norm of the gradient".to_owned(), norm),
    };
    Error::NotFinite { step, what, value, rows }
}
