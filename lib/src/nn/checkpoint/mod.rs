//! Hugging Face directories: `config.json` and `model.safetensors`.

mod embedded;
mod tensors;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde_json::{Value, json};

use super::family::foreign;
use super::{EncoderConfig, Parameter, Parameters, UnusableConfig};
use crate::{Error, Result};
use crate::{files, folder};

pub(crate) use embedded::fill_embedded;
pub(crate) use tensors::Tensors;

/// What a checkpoint holds beyond what the model takes, and what it lacks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadReport {
    /// Tensors of the checkpoint that the model does not take (a pooler, another head), in order of name.
    pub unused: Vec<String>,
    /// Parameters that the checkpoint lacks and that were drawn anew (those of a new head), in the order
    /// of the table.
    pub missing: Vec<String>,
}

/// Reads `config.json`, and what else of it a head wants to know.
pub(crate) fn read_config(dir: &Path) -> Result<(EncoderConfig, Value)> {
    let (config, value) = check_config(dir)?;
    let unknown = foreign::unknown(&value, &config);
    if !unknown.is_empty() {
        log::warn!("{}: ignored: {}", folder::file(dir, "config.json")?.display(), unknown.join(", "));
    }
    Ok((config, value))
}

/// An error for a `config.json` of an encoder that there is not here.
pub(crate) fn check_config(dir: &Path) -> Result<(EncoderConfig, Value)> {
    let path = folder::file(dir, "config.json")?;
    let value: Value = folder::read_json(dir, "config.json")?;
    let config = EncoderConfig::try_from(value.clone())
        .map_err(|UnusableConfig { problem, expected }| Error::Model { path: path.clone(), problem, expected })?;
    config.check().map_err(|error| error.of_file(&path))?;
    Ok((config, value))
}

/// Writes `config.json` with the keys by which Python picks the class `family` + `class`, and those that
/// its head adds.
pub(crate) fn write_config(dir: &Path, config: &EncoderConfig, class: &str, head: Value) -> Result<()> {
    let path = dir.join("config.json");
    let mut value = config.to_json().map_err(|source| Error::Json { path: path.clone(), source })?;
    value["architectures"] = json!([format!("{}{class}", config.class())]);
    value["tie_word_embeddings"] = json!(true);
    if let (Value::Object(value), Value::Object(head)) = (&mut value, head) {
        value.extend(head);
    }
    files::write_json(&path, &value)
}

/// Makes room for the table and fills it. A parameter that the checkpoint lacks is an error, unless it is
/// `optional`: then it stays zero. `aliases` are other names that a parameter may have in a checkpoint.
pub(crate) fn fill(
    parameters: &mut Parameters,
    tensors: &Tensors,
    aliases: &[(&str, &str)],
    optional: impl Fn(&Parameter) -> bool,
) -> Result<LoadReport> {
    let mut loaded = LoadReport::default();
    let mut sources = Vec::new();
    let mut used = BTreeSet::new();
    // Every name and shape is looked at before there is memory for any.
    for entry in parameters.entries() {
        let others = aliases.iter().filter(|(name, _)| *name == entry.name).map(|(_, alias)| *alias);
        let mut source = None;
        for name in std::iter::once(entry.name.as_str()).chain(others) {
            if tensors.holds(name, &entry.shape)? {
                used.insert(name.to_owned());
                source = source.or(Some(name.to_owned()));
            }
        }
        match source {
            Some(source) => sources.push((source, entry.range.clone())),
            None if optional(entry) => loaded.missing.push(entry.name.clone()),
            None => return Err(tensors.missing(&entry.name, &entry.shape)),
        }
    }
    parameters.allocate()?;
    for (source, range) in sources {
        tensors.read(&source, &mut parameters.values[range])?;
    }
    loaded.unused =
        tensors.names().filter(|(plain, _)| !used.contains(*plain)).map(|(_, name)| name.to_owned()).collect();
    Ok(loaded)
}

/// Says in the log what a checkpoint held beyond the model, and what it lacked.
pub(crate) fn report(dir: &Path, loaded: &LoadReport) {
    let LoadReport { unused, missing } = loaded;
    if !unused.is_empty() {
        log::info!("{}: not used: {}", dir.display(), unused.join(", "));
    }
    if !missing.is_empty() {
        log::warn!("{}: drawn anew: {}", dir.display(), missing.join(", "));
    }
}

/// Writes parameters as f32, each under the name that `rename` gives it, with the metadata by which
/// Python's loaders know the format.
pub(crate) fn write(
    dir: &Path,
    parameters: &Parameters,
    entries: &[Parameter],
    rename: impl Fn(&str) -> String,
) -> Result<()> {
    let tensors =
        entries.iter().map(|entry| (rename(&entry.name), &entry.shape[..], &parameters.values[entry.range.clone()]));
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    files::write_tensors(&dir.join("model.safetensors"), tensors, Some(metadata))
}
