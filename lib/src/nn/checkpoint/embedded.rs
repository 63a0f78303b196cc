//! Weights that lie in memory, such as those that the library brings along.

use half::f16;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use crate::nn::Parameters;
use crate::{Error, Result};

/// Makes room for the table and fills it from the bytes of a safetensors file in f16, which holds each parameter under
/// its own name.
pub(crate) fn fill_embedded(parameters: &mut Parameters, bytes: &[u8]) -> Result<()> {
    let unusable = |what: String, found: String, expected: String| Error::Shape { what, found, expected };
    let file = SafeTensors::deserialize(bytes).map_err(|source| {
        unusable("embedded weights".to_owned(), source.to_string(), "a safetensors file".to_owned())
    })?;
    parameters.allocate()?;
    for entry in parameters.entries().to_vec() {
        let what = format!("embedded parameter `{}`", entry.name);
        let expected = format!("f16 of shape {:?}", entry.shape);
        let tensor = match file.tensor(&entry.name) {
            Ok(tensor) if tensor.dtype() == Dtype::F16 && tensor.shape() == entry.shape => tensor,
            Ok(tensor) => return Err(unusable(what, format!("{:?} {:?}", tensor.dtype(), tensor.shape()), expected)),
            Err(_) => return Err(unusable(what, "none".to_owned(), expected)),
        };
        let values = parameters.values[entry.range].iter_mut();
        for (value, bytes) in values.zip(tensor.data().chunks_exact(2)) {
            *value = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        }
    }
    Ok(())
}
