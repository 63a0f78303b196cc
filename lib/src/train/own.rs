//! The parameters of the loss, which train along with those of the model.

use std::collections::HashSet;

use candle_core::{DType, Device, Tensor, Var};
use regex::escape;

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
    /// Which of them are state, that no gradient moves.
    state: Vec<bool>,
    /// The state after the batches of a step that is not done.
    observed: Vec<(String, Tensor)>,
}

impl Own {
    /// The loss's parameters with their first values; `model` are those whose names the patterns of the settings may
    /// mean as well.
    pub(super) fn new(config: &TrainConfig, loss: &dyn Loss, width: usize, model: &Parameters) -> Result<Self> {
        let (table, state) = table(loss, width, config.seed)?;
        let optimizer = Optimizer::beside(&settings(config, &table, &state), &table, model)?;
        Ok(Self { optimizer, table, state, observed: Vec::new() })
    }

    /// Other rates.
    pub(super) fn set(&mut self, config: &TrainConfig, model: &Parameters) -> Result<()> {
        let config = settings(config, &self.table, &self.state);
        self.optimizer.set(&config, &self.table, model)
    }

    /// A candle variable for each parameter, and for the state as the last batch has left it.
    pub(super) fn variables(&self) -> Result<Vec<(String, Var)>> {
        let mut variables = variables(&self.table, DType::F32)?;
        for (name, value) in &self.observed {
            if let Some((_, variable)) = variables.iter_mut().find(|(own, _)| own == name) {
                *variable = Var::from_tensor(value)?;
            }
        }
        Ok(variables)
    }

    /// The state after a batch, which is that of the training once the [`step`](Self::step) is done.
    pub(super) fn observe(&mut self, state: Vec<(String, Tensor)>) -> Result<()> {
        for (name, value) in state {
            let mut states = self.table.entries().iter().zip(&self.state).filter(|(_, state)| **state);
            if !states.any(|(entry, _)| short(&entry.name) == name && entry.shape == value.dims()) {
                return Err(Error::Shape {
                    what: format!("state `{name}` of the loss"),
                    found: format!("{:?}", value.dims()),
                    expected: "one of `LossParameter::state`, in its shape".to_owned(),
                });
            }
            self.observed.retain(|(own, _)| *own != name);
            self.observed.push((name, value.detach().to_device(&Device::Cpu)?.to_dtype(DType::F32)?));
        }
        Ok(())
    }

    /// Adds the gradients of [`variables`]; an error names a parameter that the loss does not depend on. Of the losses of
    /// several sets it is that of `set`, and those of others have no gradient.
    pub(super) fn add_gradient(&mut self, gradients: &[Option<Tensor>], set: Option<&str>) -> Result<()> {
        let entries: Vec<_> =
            self.table.entries().iter().zip(&self.state).map(|(entry, state)| (entry.clone(), *state)).collect();
        for ((entry, state), gradient) in entries.into_iter().zip(gradients) {
            if state {
                continue;
            }
            let Some(gradient) = gradient else {
                let own = |set: &str| short(&entry.name).strip_prefix(set).is_some_and(|name| name.starts_with('.'));
                if set.is_some_and(|set| !own(set)) {
                    continue;
                }
                return Err(Error::MissingGradient { parameter: entry.name });
            };
            let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
            let sums = &mut self.table.values_and_grads().1[entry.range];
            sums.iter_mut().zip(gradient).for_each(|(sum, part)| *sum += part);
        }
        Ok(())
    }

    /// Goes on from the moments of another training and, last, its table.
    pub(super) fn restore(&mut self, updates: u64, mut moments: Vec<Vec<f32>>) {
        if let Some(values) = moments.pop() {
            self.table.values.copy_from_slice(&values);
        }
        self.observed.clear();
        self.optimizer.restore(updates, moments);
    }

    /// Before a step: what one that was broken off has left is forgotten.
    pub(super) fn zero_grads(&mut self) {
        self.observed.clear();
        self.optimizer.zero_grads(&mut self.table);
    }

    /// Moves them; the norm of their gradient.
    pub(super) fn step(&mut self, rate: f64) -> Result<f64> {
        let norm = self.optimizer.step(&mut self.table, rate)?;
        if norm.is_finite() {
            for (name, value) in std::mem::take(&mut self.observed) {
                self.table.values_mut(&format!("{PREFIX}{name}"))?.copy_from_slice(&value.flatten_all()?.to_vec1()?);
            }
        }
        Ok(norm)
    }
}

/// Those of the optimiser: their norm is their own, and state is no matter of it.
fn settings(config: &TrainConfig, table: &Parameters, state: &[bool]) -> TrainConfig {
    let mut config = TrainConfig { max_grad_norm: None, ..config.clone() };
    let state = table.entries().iter().zip(state).filter(|(_, state)| **state);
    config.freeze.extend(state.map(|(entry, _)| format!("^{}$", escape(&entry.name))));
    config
}

/// The parameters of a loss for vectors of `width` numbers, and which of them are state.
pub(super) fn table(loss: &dyn Loss, width: usize, seed: u64) -> Result<(Parameters, Vec<bool>)> {
    let (mut table, mut state) = (Parameters::default(), Vec::new());
    let mut names = HashSet::new();
    for parameter in loss.parameters(width, seed)? {
        if !names.insert(parameter.name.clone()) {
            return Err(Error::Setting {
                field: "loss",
                value: format!("one with two parameters `{}`", parameter.name),
                expected: "another name for one of them".to_owned(),
            });
        }
        let name = format!("{PREFIX}{}", parameter.name);
        table.push(&name, parameter.value.dims(), parameter.decay)?;
        let value = parameter.value.flatten_all()?.to_vec1::<f32>()?;
        table.values_mut(&name)?.copy_from_slice(&value);
        state.push(!parameter.trained);
    }
    Ok((table, state))
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
