//! The parameters of the loss, which train beside those of the model.

use std::collections::HashSet;

use candle_core::{DType, Device, Tensor, Var};

use super::{Optimizer, TrainConfig};
use crate::loss::Loss;
use crate::nn::Parameters;
use crate::{Error, Result};

/// What the table calls them: `loss.` and the name that the loss knows.
const PREFIX: &str = "loss.";

/// A table of its own, moved by an optimiser of its own at the rates of the model's.
pub(super) struct Own {
    pub(super) table: Parameters,
    pub(super) optimizer: Optimizer,
}

impl Own {
    /// The loss's parameters with their first values; `model` are those whose names the patterns of the settings may
    /// mean as well.
    pub(super) fn new(config: &TrainConfig, loss: &dyn Loss, width: usize, model: &Parameters) -> Result<Self> {
        let table = table(loss, width, config.seed)?;
        let config = TrainConfig { max_grad_norm: None, ..config.clone() };
        Ok(Self { optimizer: Optimizer::beside(&config, &table, model)?, table })
    }

    /// Other rates.
    pub(super) fn set(&mut self, config: &TrainConfig, model: &Parameters) -> Result<()> {
        let config = TrainConfig { max_grad_norm: None, ..config.clone() };
        self.optimizer.set(&config, &self.table, model)
    }

    /// Adds the gradients of [`variables`]; an error names a parameter that the loss does not depend on.
    pub(super) fn add_gradient(&mut self, gradients: &[Option<Tensor>]) -> Result<()> {
        let entries = self.table.entries().to_vec();
        for (entry, gradient) in entries.into_iter().zip(gradients) {
            let Some(gradient) = gradient else {
                return Err(Error::MissingGradient { parameter: entry.name });
            };
            let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
            let sums = &mut self.table.values_and_grads().1[entry.range];
            sums.iter_mut().zip(gradient).for_each(|(sum, part)| *sum += part);
        }
        Ok(())
    }

    /// The values of those that are trained, in the order of the optimiser's own.
    pub(super) fn trained(&self) -> Vec<f32> {
        let slots = self.optimizer.slots(&self.table);
        slots.flat_map(|(entry, _)| self.table.values[entry.range.clone()].iter().copied()).collect()
    }

    /// Goes on from the moments of another training and, last, its [`trained`](Self::trained).
    pub(super) fn restore(&mut self, updates: u64, mut moments: Vec<Vec<f32>>) {
        let values = moments.pop().unwrap_or_default();
        let slots = self.optimizer.slots(&self.table);
        let places: Vec<_> = slots.map(|(entry, place)| (entry.range.clone(), place)).collect();
        for (range, place) in places {
            self.table.values[range].copy_from_slice(&values[place]);
        }
        self.optimizer.restore(updates, moments);
    }

    pub(super) fn zero_grads(&mut self) {
        self.optimizer.zero_grads(&mut self.table);
    }

    /// Moves them; the norm of their gradient.
    pub(super) fn step(&mut self, rate: f64) -> Result<f64> {
        self.optimizer.step(&mut self.table, rate)
    }
}

/// The parameters of a loss for vectors of `width` numbers.
pub(super) fn table(loss: &dyn Loss, width: usize, seed: u64) -> Result<Parameters> {
    let mut table = Parameters::default();
    let mut names = HashSet::new();
    for parameter in loss.parameters(width, seed)? {
        if !names.insert(parameter.name.clone()) {
            return Err(Error::Setting {
                field: "loss",
                value: format!("two parameters `{}`", parameter.name),
                expected: "names that differ".to_owned(),
            });
        }
        let name = format!("{PREFIX}{}", parameter.name);
        table.push(&name, parameter.value.dims(), parameter.decay)?;
        let value = parameter.value.flatten_all()?.to_vec1::<f32>()?;
        table.values_mut(&name)?.copy_from_slice(&value);
    }
    Ok(table)
}

/// The name of a parameter of the table as the loss knows it.
pub(super) fn short(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// A candle variable for each parameter, by the name that the loss knows.
pub(super) fn variables(table: &Parameters, dtype: DType) -> Result<Vec<(String, Var)>> {
    let variable = |entry: &crate::nn::Parameter| {
        let values = Tensor::from_slice(&table.values[entry.range.clone()], entry.shape.as_slice(), &Device::Cpu)?;
        Ok((short(&entry.name).to_owned(), Var::from_tensor(&values.to_dtype(dtype)?)?))
    };
    table.entries().iter().map(variable).collect()
}
