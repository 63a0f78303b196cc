//! The file of a checkpoint that holds what the optimiser remembers.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use crate::nn::Parameters;
use crate::train::Optimizer;
use crate::{Result, files};

pub(super) const NAME: &str = "optimizer.safetensors";

/// One tensor per moment and trained parameter.
pub(super) fn write(path: &Path, optimizer: &Optimizer, parameters: &Parameters) -> Result<()> {
    let moments = optimizer.moments();
    let tensors = moments.iter().flat_map(|(moment, values)| {
        let slots = optimizer.slots(parameters);
        slots.map(move |(entry, range)| (format!("{moment}.{}", entry.name), &entry.shape[..], &values[range]))
    });
    files::write_tensors(path, tensors, None)
}

/// The moments in the order of the optimiser's own. The error says what is wrong.
pub(super) fn read(path: &Path, optimizer: &Optimizer, parameters: &Parameters) -> Result<Vec<Vec<f32>>, String> {
    // The whole file, whose length the list of files has told: what its header claims allocates nothing.
    let bytes = fs::read(path).map_err(|error| format!("{NAME}: {error}"))?;
    let stored = SafeTensors::deserialize(&bytes).map_err(|error| format!("{NAME}: {error}"))?;
    let moment = |moment: &str| {
        let mut values = Vec::with_capacity(optimizer.trained());
        for (entry, _) in optimizer.slots(parameters) {
            let name = format!("{moment}.{}", entry.name);
            let tensor = stored.tensor(&name).map_err(|error| format!("{NAME}: {error}"))?;
            if tensor.dtype() != Dtype::F32 || tensor.shape() != entry.shape {
                let (dtype, shape) = (tensor.dtype(), tensor.shape());
                return Err(format!("{NAME}: `{name}` is {dtype} {shape:?}; expected F32 {:?}", entry.shape));
            }
            let numbers = tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            let start = values.len();
            values.extend(numbers);
            // The root of a second moment is taken.
            let usable = |value: &f32| value.is_finite() && (moment != "second" || *value >= 0.0);
            if let Some(value) = values[start..].iter().find(|value| !usable(value)) {
                return Err(format!("{NAME}: `{name}` holds {value}"));
            }
        }
        Ok(values)
    };
    optimizer.moments().into_iter().map(|(name, _)| moment(name)).collect()
}
