//! Where the engine's vectors become candle variables, and candle's gradients go back to the engine.

use candle_core::{Device, Tensor, Var};

use super::{Optimizer, TokenBatch};
use crate::loss::Batch;
use crate::model::BiEncoder;
use crate::{Error, Result};

/// One candle variable `(B, dim)` a column.
pub(super) fn variables(batch: &TokenBatch, vectors: &[f32], dim: usize) -> Result<Vec<Var>> {
    let mut rest = vectors;
    let mut variables = Vec::with_capacity(batch.columns.len());
    for column in &batch.columns {
        let (own, others) = rest.split_at(column.len() * dim);
        variables.push(Var::from_slice(own, (column.len(), dim), &Device::Cpu)?);
        rest = others;
    }
    Ok(variables)
}

pub(super) fn loss_batch(batch: &TokenBatch, vectors: &[Var]) -> Result<Batch> {
    let [queries, positives, negatives @ ..] = vectors else {
        return Err(Error::Shape {
            what: "columns of a batch".to_owned(),
            found: vectors.len().to_string(),
            expected: "queries, positives and any number of negatives".to_owned(),
        });
    };
    let scores = batch.scores.as_ref().map(|scores| Tensor::new(scores.as_slice(), &Device::Cpu)).transpose()?;
    let tensor = |variable: &Var| variable.as_tensor().clone();
    let negatives = negatives.iter().map(tensor).collect();
    Ok(Batch { queries: tensor(queries), positives: tensor(positives), negatives, scores })
}

/// `dLoss/dE` of all columns, one behind the other. A column that the loss leaves out has gradient 0.
pub(super) fn gradients(loss: &Tensor, vectors: &[Var]) -> Result<Vec<f32>> {
    let grads = loss.backward()?;
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
    let parameter = || "embeddings of queries and documents".to_owned();
    if reached { Ok(d_vectors) } else { Err(Error::MissingGradient { parameter: parameter() }) }
}

/// An error if the gradient of the vectors is not zero, but that of a parameter is: it would never train. One that
/// is frozen need not.
pub(super) fn check_reached(model: &BiEncoder, optimizer: &Optimizer, d_vectors: &[f32]) -> Result<()> {
    if d_vectors.iter().all(|d| *d == 0.0) {
        return Ok(());
    }
    let parameters = model.encoder().parameters();
    for (index, entry) in parameters.entries().iter().enumerate() {
        // A constant added to all keys of a row cancels in the softmax: the gradient is zero by nature.
        let exempt = entry.name.ends_with("key.bias") || optimizer.is_frozen(index);
        if !exempt && parameters.grads[entry.range.clone()].iter().all(|grad| *grad == 0.0) {
            return Err(Error::MissingGradient { parameter: entry.name.clone() });
        }
    }
    Ok(())
}
