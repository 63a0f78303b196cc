//! The files of a checkpoint that hold what an optimiser remembers, and the parameters of the loss.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use crate::nn::{Parameter, Parameters};
use crate::train::Optimizer;
use crate::train::own::Own;
use crate::{Result, files};

/// Moments of the model's parameters.
pub(super) const NAME: &str = "optimizer.safetensors";

/// The loss's parameters with their moments, if it has any.
pub(super) const OWN: &str = "loss.safetensors";

/// What the parameters themselves are called among their moments.
const VALUE: &str = "value";

/// One tensor per moment and trained parameter.
pub(super) fn write(path: &Path, optimizer: &Optimizer, parameters: &Parameters) -> Result<()> {
    files::write_tensors(path, tensors(optimizer, parameters, &optimizer.moments()), None)
}

/// The same of the loss's parameters, and one tensor per parameter itself: state is among them, which has no moments.
pub(super) fn write_own(path: &Path, own: &Own) -> Result<()> {
    let moments = own.optimizer.moments();
    let values = own
        .table
        .entries()
        .iter()
        .map(|entry| (format!("{VALUE}.{}", entry.name), &entry.shape[..], &own.table.values[entry.range.clone()]));
    files::write_tensors(path, tensors(&own.optimizer, &own.table, &moments).chain(values), None)
}

/// Moments with their names and shapes.
fn tensors<'a>(
    optimizer: &'a Optimizer,
    parameters: &'a Parameters,
    moments: &'a [(&'static str, &'a [f32])],
) -> impl Iterator<Item = (String, &'a [usize], &'a [f32])> {
    moments.iter().flat_map(|(moment, values)| {
        let slots = optimizer.slots(parameters);
        slots.map(move |(entry, range)| (format!("{moment}.{}", entry.name), &entry.shape[..], &values[range]))
    })
}

/// The moments in the order of the optimiser's own. The error says what is wrong.
pub(super) fn read(folder: &Path, optimizer: &Optimizer, parameters: &Parameters) -> Result<Vec<Vec<f32>>, String> {
    read_all(folder, NAME, &asked(optimizer, parameters))
}

/// The moments of the loss's parameters and, last, those themselves.
pub(super) fn read_own(folder: &Path, own: &Own) -> Result<Vec<Vec<f32>>, String> {
    let mut all = asked(&own.optimizer, &own.table);
    all.push((VALUE, own.table.entries().iter().collect()));
    read_all(folder, OWN, &all)
}

/// Each moment, and what it is a moment of.
fn asked<'a>(optimizer: &'a Optimizer, parameters: &'a Parameters) -> Vec<(&'static str, Vec<&'a Parameter>)> {
    let trained = || optimizer.slots(parameters).map(|(entry, _)| entry).collect();
    optimizer.moments().into_iter().map(|(name, _)| (name, trained())).collect()
}

fn read_all(folder: &Path, file: &str, asked: &[(&str, Vec<&Parameter>)]) -> Result<Vec<Vec<f32>>, String> {
    // The whole file, whose length the list of files has told: what its header claims allocates nothing.
    let bytes = fs::read(folder.join(file)).map_err(|error| format!("{file}: {error}"))?;
    let stored = SafeTensors::deserialize(&bytes).map_err(|error| format!("{file}: {error}"))?;
    let moment = |moment: &str, entries: &[&Parameter]| {
        let mut values = Vec::with_capacity(entries.iter().map(|entry| entry.range.len()).sum());
        for entry in entries {
            let name = format!("{moment}.{}", entry.name);
            let tensor = stored.tensor(&name).map_err(|error| format!("{file}: {error}"))?;
            if tensor.dtype() != Dtype::F32 || tensor.shape() != entry.shape {
                let (dtype, shape) = (tensor.dtype(), tensor.shape());
                return Err(format!("{file}: `{name}` is {dtype} {shape:?}; expected F32 {:?}", entry.shape));
            }
            let numbers = tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            let start = values.len();
            values.extend(numbers);
            // The root of a second moment is taken.
            let usable = |value: &f32| value.is_finite() && (moment != "second" || *value >= 0.0);
            if let Some(value) = values[start..].iter().find(|value| !usable(value)) {
                return Err(format!("{file}: `{name}` holds {value}"));
            }
        }
        Ok(values)
    };
    asked.iter().map(|(name, entries)| moment(name, entries)).collect()
}
