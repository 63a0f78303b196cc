//! The file of a checkpoint that holds what the optimiser remembers.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, View, serialize_to_file};
use safetensors::{SafeTensorError, SafeTensors};

use crate::nn::Parameters;
use crate::train::Optimizer;
use crate::{Error, Result};

pub(super) const NAME: &str = "optimizer.safetensors";

/// One tensor per moment and trained parameter, converted as it is written: memory does not hold a second copy.
pub(super) fn write(path: &Path, optimizer: &Optimizer, parameters: &Parameters) -> Result<()> {
    let mut tensors = Vec::new();
    for (moment, values) in optimizer.moments() {
        for (entry, range) in optimizer.slots(parameters) {
            let values = &values[range];
            tensors.push((format!("{moment}.{}", entry.name), Numbers { shape: &entry.shape, values }));
        }
    }
    serialize_to_file(tensors, None, path).map_err(|source| match source {
        SafeTensorError::IoError(source) => Error::Io { path: path.to_owned(), source },
        source => Error::Safetensors { path: path.to_owned(), source },
    })
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

/// Numbers on their way to a file.
struct Numbers<'a> {
    shape: &'a [usize],
    values: &'a [f32],
}

impl View for Numbers<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        size_of_val(self.values)
    }
}
