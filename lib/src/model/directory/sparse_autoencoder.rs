//! Folders of the module `SparseAutoEncoder` of sentence-transformers.

use std::path::Path;

use candle_core::{Device, Tensor};
use serde_json::Value;

use super::place::place;
use super::read::unusable;
use super::replace::replace;
use crate::model::{SparseAutoEncoder, SparseAutoEncoderConfig};
use crate::nn::Tensors;
use crate::{Error, Result, files, folder};

/// Names of the one matrix: of what encodes, and, in what Python writes, of what decodes.
const MATRIX: [&str; 2] = ["encoder.weight", "decoder.linear.weight"];

pub(in crate::model) fn read(path: &Path) -> Result<SparseAutoEncoder> {
    let dir = &*place(path, &|dir| config(dir).map(|_| ()))?;
    let config = config(dir)?;
    let SparseAutoEncoderConfig { input_dim, hidden_dim, .. } = config;
    let tensors = Tensors::open(dir)?;
    let known = ["pre_bias", "latent_bias", "stats_last_nonzero"];
    if let Some((_, other)) = tensors.names().find(|(name, _)| !(known.contains(name) || MATRIX.contains(name))) {
        let file = dir.join("model.safetensors");
        return Err(unusable(&file, format!("there is a tensor `{other}`"), "those of a SparseAutoEncoder alone"));
    }
    let read = |name: &str, shape: &[usize]| -> Result<Tensor> {
        if !tensors.holds(name, shape)? {
            return Err(tensors.missing(name, shape));
        }
        let mut values = vec![0.0; shape.iter().product()];
        tensors.read(name, &mut values)?;
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    };
    let mut matrix = MATRIX[0];
    for name in MATRIX {
        if tensors.holds(name, &[hidden_dim, input_dim])? {
            matrix = name;
            break;
        }
    }
    let silent = "stats_last_nonzero";
    // Python counts in whole numbers.
    let silent = match tensors.indices(silent, usize::MAX) {
        Ok(Some(counts)) => {
            Tensor::new(counts.into_iter().map(|count| count as f32).collect::<Vec<_>>(), &Device::Cpu)?
        }
        _ => read(silent, &[hidden_dim])?,
    };
    SparseAutoEncoder::from_parts(
        config,
        read(matrix, &[hidden_dim, input_dim])?,
        read("pre_bias", &[input_dim])?,
        read("latent_bias", &[hidden_dim])?,
        silent,
    )
    .map_err(|error| error.of_file(&dir.join("config.json")))
}

fn config(dir: &Path) -> Result<SparseAutoEncoderConfig> {
    let path = folder::file(dir, "config.json")?;
    let stored: Value = folder::read_json(dir, "config.json")?;
    if stored["input_dim"].is_null() {
        return Err(unusable(&path, "there is no `input_dim`", "the settings of a SparseAutoEncoder"));
    }
    serde_json::from_value(stored).map_err(|source| Error::Json { path, source })
}

pub(in crate::model) fn write(dir: &Path, model: &SparseAutoEncoder) -> Result<()> {
    let config = *model.config();
    // Python takes no more than there are.
    let config = SparseAutoEncoderConfig { k_aux: config.k_aux.min(config.hidden_dim), ..config };
    let mut tensors = Vec::new();
    for (name, tensor) in model.tensors() {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            let problem = format!("`{name}` holds {value}");
            return Err(unusable(dir, problem, "finite weights: the training has diverged"));
        }
        tensors.push((name.to_owned(), tensor.dims(), values));
    }
    replace(dir, |dir| {
        files::write_json(&dir.join("config.json"), &config)?;
        let tensors = tensors.iter().map(|(name, shape, values)| (name.clone(), *shape, &values[..]));
        files::write_tensors(&dir.join("model.safetensors"), tensors, Some([("format".into(), "pt".into())].into()))
    })
}
