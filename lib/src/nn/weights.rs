//! Checkpoints: `config.json` and `model.safetensors` of Hugging Face directories.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, TensorView};

use super::{EncoderConfig, Parameters, UnusableConfig};
use crate::files;
use crate::{Error, Result};

/// Prefixes that checkpoints put before the names of the encoder.
const PREFIXES: [&str; 4] = ["bert.", "model.", "0.auto_model.", "auto_model."];

pub(crate) fn read_config(path: &Path) -> Result<EncoderConfig> {
    let value: serde_json::Value = files::read_json(path)?;
    EncoderConfig::try_from(value).map_err(|UnusableConfig { problem, expected }| Error::Model {
        path: path.to_owned(),
        problem,
        expected,
    })
}

/// Adds the keys by which Python picks the class.
pub(crate) fn write_config(path: &Path, config: &EncoderConfig) -> Result<()> {
    let mut value = serde_json::to_value(config).map_err(|source| Error::Json { path: path.to_owned(), source })?;
    value["architectures"] = serde_json::json!([format!("{}Model", config.class())]);
    value["position_embedding_type"] = serde_json::json!("absolute");
    files::write_json(path, &value)
}

/// Fills the table. Tensors that the table does not name (a pooler, a head) are passed over; one that
/// is missing or of another shape is an error.
pub(crate) fn read(path: &Path, parameters: &mut Parameters) -> Result<()> {
    // Opened first, for an error that names the path.
    std::fs::File::open(path).map_err(Error::io(path))?;
    let stored: HashMap<String, Tensor> = candle_core::safetensors::load(path, &Device::Cpu)?
        .into_iter()
        .map(|(name, tensor)| (plain_name(&name), tensor))
        .collect();
    for entry in parameters.entries().to_vec() {
        let problem = |problem: String| Error::Model {
            path: path.to_owned(),
            problem,
            expected: format!("`{}` with shape {:?}", entry.name, entry.shape),
        };
        let tensor = stored.get(&entry.name).ok_or_else(|| problem(format!("no tensor `{}`", entry.name)))?;
        if tensor.dims() != entry.shape {
            return Err(problem(format!("its shape is {:?}", tensor.dims())));
        }
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        parameters.values_mut(&entry.name)?.copy_from_slice(&values);
    }
    Ok(())
}

/// Writes the table as f32, with the metadata by which Python's loaders know the format.
pub(crate) fn write(path: &Path, parameters: &Parameters) -> Result<()> {
    let failed = |source| Error::Safetensors { path: path.to_owned(), source };
    let mut views = Vec::with_capacity(parameters.entries().len());
    let bytes: Vec<Vec<u8>> = parameters
        .entries()
        .iter()
        .map(|entry| parameters.values[entry.range.clone()].iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    for (entry, bytes) in parameters.entries().iter().zip(&bytes) {
        views.push((&entry.name, TensorView::new(Dtype::F32, entry.shape.clone(), bytes).map_err(failed)?));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    files::write(path, &safetensors::serialize(views, Some(metadata)).map_err(failed)?)
}

/// A name without its prefix, and with the norm's names of today.
fn plain_name(name: &str) -> String {
    let stripped = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    stripped.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
}
