//! The ordered parameter table.

use std::fmt;
use std::ops::Range;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::huge_pages::{prefer_large, zeros};
use crate::{Error, Result};

/// One named tensor of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// The name in the checkpoint, such as `encoder.layer.0.attention.self.query.weight`.
    pub name: String,
    pub shape: Vec<usize>,
    /// Whether weight decay applies: not for biases and norms.
    pub decay: bool,
    pub(crate) range: Range<usize>,
}

/// All parameters of a model in a fixed order, their values in one f32 buffer and their gradients in
/// another, so that the optimiser and the gradient norm are each one pass over memory.
#[derive(Clone, Default)]
pub struct Parameters {
    entries: Vec<Parameter>,
    /// Numbers of a model that are frozen, and in another table before this one.
    frozen: usize,
    pub(crate) values: Vec<f32>,
    /// Empty until the first backward pass: a model that only encodes needs no gradients.
    pub(crate) grads: Vec<f32>,
}

impl Parameters {
    /// The parameters in order.
    pub fn entries(&self) -> &[Parameter] {
        &self.entries
    }

    /// The number of scalars.
    pub fn len(&self) -> usize {
        self.entries.last().map_or(0, |entry| entry.range.end)
    }

    /// The number of scalars of the model that are not in the table: the weights that adapters ([`Lora`](super::Lora))
    /// stand beside.
    pub fn frozen(&self) -> usize {
        self.frozen
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values of a parameter, row-major.
    pub fn values(&self, name: &str) -> Result<&[f32]> {
        Ok(&self.values[self.entry(name)?.range.clone()])
    }

    /// The values of a parameter, to change them.
    pub fn values_mut(&mut self, name: &str) -> Result<&mut [f32]> {
        let range = self.entry(name)?.range.clone();
        Ok(&mut self.values[range])
    }

    /// The gradient of a parameter from the last backward pass, row-major; zeros before the first one.
    pub fn grad(&self, name: &str) -> Result<Vec<f32>> {
        let range = self.entry(name)?.range.clone();
        Ok(if self.grads.is_empty() { vec![0.0; range.len()] } else { self.grads[range].to_vec() })
    }

    /// The gradient of a parameter, to change it.
    pub fn grad_mut(&mut self, name: &str) -> Result<&mut [f32]> {
        let range = self.entry(name)?.range.clone();
        Ok(&mut self.values_and_grads().1[range])
    }

    /// A parameter as a candle tensor (a copy).
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let entry = self.entry(name)?;
        Ok(Tensor::from_slice(&self.values[entry.range.clone()], entry.shape.as_slice(), &Device::Cpu)?)
    }

    /// The first parameter that holds NaN or infinity, with that number.
    pub(crate) fn not_finite(&self) -> Option<(&str, f32)> {
        self.entries.iter().find_map(|entry| {
            let value = self.values[entry.range.clone()].iter().find(|value| !value.is_finite())?;
            Some((entry.name.as_str(), *value))
        })
    }

    /// Sets every gradient to zero, and makes room for them the first time.
    pub fn zero_grads(&mut self) {
        /// Numbers that one task fills.
        const TASK: usize = 1 << 18;
        if self.grads.len() == self.values.len() {
            self.grads.par_chunks_mut(TASK).for_each(|grads| grads.fill(0.0));
        } else {
            self.grads = zeros(self.values.len());
        }
    }

    /// Appends a parameter of zeros.
    ///
    /// # Errors
    /// If memory does not hold it.
    pub fn push(&mut self, name: impl Into<String>, shape: &[usize], decay: bool) -> Result<()> {
        self.outline(name, shape, decay);
        self.allocate()
    }

    /// Appends a parameter and returns where its values will lie. [`Parameters::allocate`] makes room.
    pub(crate) fn outline(&mut self, name: impl Into<String>, shape: &[usize], decay: bool) -> Range<usize> {
        let start = self.len();
        // Saturated, a size that no memory holds is an error of `allocate`.
        let size = shape.iter().fold(1_usize, |size, side| size.saturating_mul(*side));
        let range = start..start.saturating_add(size);
        self.entries.push(Parameter { name: name.into(), shape: shape.to_vec(), decay, range: range.clone() });
        range
    }

    /// Sets whether weight decay applies to a parameter.
    pub(crate) fn set_decay(&mut self, name: &str, decay: bool) {
        self.entries.iter_mut().filter(|entry| entry.name == name).for_each(|entry| entry.decay = decay);
    }

    /// Takes away all but the first `entries` parameters.
    pub(crate) fn truncate(&mut self, entries: usize) {
        self.entries.truncate(entries);
        self.values.truncate(self.len());
        self.grads.clear();
    }

    /// Cuts off the first `entries` parameters: a table of them, and one of the others.
    pub(crate) fn split(&mut self, entries: usize) -> (Self, Self) {
        let (mut front, mut back) = (std::mem::take(self), Self::default());
        for entry in front.entries.split_off(entries) {
            back.outline(entry.name, &entry.shape, entry.decay);
        }
        back.values = front.values.split_off(front.len());
        back.frozen = front.len();
        front.grads = Vec::new();
        (front, back)
    }

    /// Appends the first `entries` parameters of another table.
    pub(crate) fn join(&mut self, other: &Self, entries: usize) {
        for entry in &other.entries[..entries] {
            self.outline(entry.name.clone(), &entry.shape, entry.decay);
            self.values.extend_from_slice(&other.values[entry.range.clone()]);
        }
    }

    /// The values, and the gradients to add to; those are zero before the first backward pass.
    pub(crate) fn values_and_grads(&mut self) -> (&mut [f32], &mut [f32]) {
        if self.grads.len() != self.values.len() {
            self.zero_grads();
        }
        (&mut self.values, &mut self.grads)
    }

    /// The gradients, to add to and to put back: those of [`Parameters::values_and_grads`] by themselves.
    pub(crate) fn take_grads(&mut self) -> Vec<f32> {
        self.values_and_grads();
        std::mem::take(&mut self.grads)
    }

    /// Appends the parameters of another table, each with a prefix before its name, and takes their numbers: what stays there
    /// is their order and their names.
    pub(crate) fn take_over(&mut self, other: &mut Self, prefix: &str) -> Result<()> {
        let start = self.len();
        for entry in &other.entries {
            self.outline(format!("{prefix}{}", entry.name), &entry.shape, entry.decay);
        }
        self.allocate()?;
        self.values[start..].copy_from_slice(&other.values);
        self.frozen += other.frozen;
        self.grads = Vec::new();
        (other.values, other.grads) = (Vec::new(), Vec::new());
        Ok(())
    }

    /// Makes room for all values; new ones are zero.
    pub(crate) fn allocate(&mut self) -> Result<()> {
        let (held, needed) = (self.values.len(), self.len());
        self.values.try_reserve_exact(needed - held).map_err(|_| Error::Shape {
            what: "the parameters of a model".to_owned(),
            found: format!("{needed} numbers"),
            expected: "as many as memory holds".to_owned(),
        })?;
        prefer_large(self.values.spare_capacity_mut());
        self.values.resize(needed, 0.0);
        Ok(())
    }

    fn entry(&self, name: &str) -> Result<&Parameter> {
        self.entries.iter().find(|entry| entry.name == name).ok_or_else(|| Error::Shape {
            what: format!("parameter `{name}`"),
            found: "none".to_owned(),
            expected: format!(
                "one of {} names, such as `{}`",
                self.entries.len(),
                self.entries.first().map_or("", |entry| &entry.name)
            ),
        })
    }
}

/// The size only: millions of numbers are no message.
impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 8;
        write!(f, "Parameters ({} numbers in {} tensors", self.len(), self.entries.len())?;
        // The few of a loss, say.
        for (index, Parameter { name, shape, range, .. }) in self.entries.iter().take(MOST).enumerate() {
            write!(f, "{}{name}", if index == 0 { ": " } else { ", " })?;
            match self.values.get(range.clone()) {
                Some([value]) if shape.is_empty() => write!(f, " = {value}")?,
                _ => write!(f, " {shape:?}")?,
            }
        }
        let more = if self.entries.len() > MOST { ", .." } else { "" };
        write!(f, "{more})")
    }
}
