//! The files of a checkpoint that hold what an optimiser remembers, and the parameters of the loss.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use crate::nn::Parameters;
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
    write_all(path, optimizer, parameters, &optimizer.moments())
}

/// The same of the loss's parameters, and one tensor per trained parameter itself.
pub(super) fn write_own(path: &Path, own: &Own) -> Result<()> {
    let values = own.trained();
    let mut all = own.optimizer.moments();
    all.push((VALUE, &values));
    write_all(path, &own.optimizer, &own.table, &all)
}

fn write_all(path: &Path, optimizer: &Optimizer, parameters: &Parameters, moments: &[(&str, &[f32])]) -> Result<()> {
    let tensors = moments.iter().flat_map(|(moment, values)| {
        let slots = optimizer.slots(parameters);
        slots.map(move |(entry, range)| (format!("{moment}.{}", entry.name), &entry.shape[..], &values[range]))
    });
    files::write_tensors(path, tensors, None)
}

/// The moments in the order of the optimiser's own. The error says what is wrong.
pub(super) fn read(folder: &Path, optimizer: &Optimizer, parameters: &Parameters) -> Result<Vec<Vec<f32>>, String> {
    let names: Vec<&str> = optimizer.moments().into_iter().map(|(name, _)| name).collect();
    read_all(folder, NAME, optimizer, parameters, &names)
}

/// The moments of the loss's parameters and, last, those that are trained.
pub(super) fn read_own(folder: &Path, own: &Own) -> Result<Vec<Vec<f32>>, String> {
    let moments = own.optimizer.moments();
    let names: Vec<&str> = moments.into_iter().map(|(name, _)| name).chain([VALUE]).collect();
    read_all(folder, OWN, &own.optimizer, &own.table, &names)
}

fn read_all(
    folder: &Path,
    file: &str,
    optimizer: &Optimizer,
    parameters: &Parameters,
    names: &[&str],
) -> Result<Vec<Vec<f32>>, String> {
    // The whole file, whose length the list of files has told: what its header claims allocates nothing.
    let bytes = fs::read(folder.join(file)).map_err(|error| format!("{file}: {error}"))?;
    let stored = SafeTensors::deserialize(&bytes).map_err(|error| format!("{file}: {error}"))?;
    let moment = |moment: &str| {
        let mut values = Vec::with_capacity(optimizer.trained());
        for (entry, _) in optimizer.slots(parameters) {
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
    names.iter().map(|name| moment(name)).collect()
}
