//! Adapters on disk, as PEFT has them: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{A, Lora};
use crate::nn::Encoder;
use crate::nn::checkpoint::Tensors;
use crate::{Error, Result, files, folder};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// What stands before every name in PEFT's files.
const PREFIX: &str = "base_model.model.";

/// The class of transformers that the adapters are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefixed {
    /// The encoder alone.
    No,
    /// An encoder with a head for labels, and one for words: its names have the family's prefix.
    Labels,
    Words,
}

/// Values of keys that change nothing. Another value would be ignored, and so it is refused.
const PLAIN: [(&str, &[&str]); 13] = [
    ("bias", &["\"none\""]),
    ("use_dora", &["false"]),
    ("use_rslora", &["false"]),
    ("use_qalora", &["false"]),
    ("use_bdlora", &["null", "false"]),
    ("fan_in_fan_out", &["false"]),
    ("lora_bias", &["false"]),
    ("rank_pattern", &["{}", "null"]),
    ("alpha_pattern", &["{}", "null"]),
    ("alora_invocation_tokens", &["null"]),
    ("target_parameters", &["null", "[]"]),
    ("trainable_token_indices", &["null"]),
    ("layer_replication", &["null"]),
];

impl Encoder {
    /// Writes the adapters into a folder, which is made, and a head that is trained with them.
    pub(crate) fn save_lora(&self, dir: &Path, class: Prefixed) -> Result<()> {
        let Some(adapters) = &self.lora else { return Err(without(dir)) };
        fs::create_dir_all(dir).map_err(Error::io(dir))?;
        let prefix = if class == Prefixed::No { "" } else { self.spec.names.prefix };
        let of_encoder = |name: &str| name.contains(".lora_") || self.owns(name);
        let rename = |name: &str| format!("{PREFIX}{}{name}", if of_encoder(name) { prefix } else { "" });
        let entries = self.parameters.entries();
        let tensors = entries
            .iter()
            .map(|entry| (rename(&entry.name), &entry.shape[..], &self.parameters.values[entry.range.clone()]));
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        files::write_tensors(&dir.join(WEIGHTS), tensors, Some(metadata))?;
        let Lora { rank, alpha, dropout, .. } = &adapters.settings;
        let targets: Vec<&str> = entries.iter().filter_map(|entry| entry.name.strip_suffix(A)).collect();
        // The head's modules by their first names: `pooler`, `classifier`, `linear`.
        let mut head: Vec<&str> = entries
            .iter()
            .take_while(|entry| !entry.name.ends_with(A))
            .filter_map(|entry| entry.name.split('.').next())
            .collect();
        head.dedup();
        let task = match class {
            Prefixed::No => json!("FEATURE_EXTRACTION"),
            Prefixed::Labels => json!("SEQ_CLS"),
            Prefixed::Words => Value::Null,
        };
        // By way of text, in which an f32 of 0.1 stays 0.1.
        let number = |value: &f32| serde_json::from_str::<Value>(&value.to_string()).unwrap_or_default();
        let config = json!({
            "peft_type": "LORA",
            "task_type": task,
            "base_model_name_or_path": null,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "lora_alpha": number(alpha),
            "lora_dropout": number(dropout),
            "modules_to_save": if head.is_empty() { Value::Null } else { json!(head) },
            "r": rank,
            "target_modules": targets,
        });
        files::write_json(&dir.join(CONFIG), &config)
    }

    /// Puts the adapters of a folder on an encoder.
    pub(crate) fn read_lora(&mut self, dir: &Path, freezes_head: bool) -> Result<()> {
        let (settings, tensors) = (read_settings(dir)?, Tensors::open_file(&folder::file(dir, WEIGHTS)?)?);
        let modules: Vec<String> = tensors
            .names()
            .filter_map(|(name, _)| name.strip_suffix(A))
            .map(|module| format!("^{}\\.weight$", regex::escape(module)))
            .collect();
        if modules.is_empty() {
            let path = folder::file(dir, WEIGHTS)?;
            return Err(unusable(&path, "it holds no adapter", "tensors such as `..query.lora_A.weight`"));
        }
        let settings = Lora { targets: modules.join("|"), ..settings };
        self.add_lora(&settings, freezes_head)?;
        self.fill_lora(dir)
    }

    /// Reads the values of adapters, and of a head if there is one, in the place of its own.
    pub(crate) fn fill_lora(&mut self, dir: &Path) -> Result<()> {
        if self.lora.is_none() {
            return Err(without(dir));
        }
        let path = folder::file(dir, WEIGHTS)?;
        let tensors = Tensors::open_file(&path)?;
        let entries = self.parameters.entries().to_vec();
        if let Some((name, stored)) = tensors.names().find(|(name, _)| entries.iter().all(|entry| entry.name != *name))
        {
            let problem = format!("there is a tensor `{stored}`");
            let expected = format!("adapters of this model's linear maps; it has none called `{name}`");
            return Err(unusable(&path, problem, expected));
        }
        for entry in entries {
            if tensors.holds(&entry.name, &entry.shape)? {
                tensors.read(&entry.name, &mut self.parameters.values[entry.range])?;
            } else if entry.name.contains(".lora_") {
                return Err(tensors.missing(&entry.name, &entry.shape));
            }
        }
        Ok(())
    }

    /// What a checkpoint records of the adapters, and of the weights that it does not hold.
    pub(crate) fn lora_mark(&self) -> Option<Value> {
        let adapters = self.lora.as_ref()?;
        let settings = serde_json::to_string(&adapters.settings).and_then(|text| serde_json::from_str(&text));
        let mut mark: Value = settings.unwrap_or_default();
        mark["weights"] = format!("{:016x}", adapters.base_hash).into();
        Some(mark)
    }
}

fn read_settings(dir: &Path) -> Result<Lora> {
    let path = folder::file(dir, CONFIG)?;
    if !path.exists() {
        let expected = "a folder of adapters, as `save_lora` and PEFT write it";
        return Err(unusable(dir, format!("there is no {CONFIG} here"), expected));
    }
    let stored: Value = folder::read_json(dir, CONFIG)?;
    if stored["peft_type"] != "LORA" {
        return Err(unusable(&path, format!("peft_type is {}", stored["peft_type"]), "`LORA`"));
    }
    for (key, plain) in PLAIN {
        let value = stored.get(key).map(Value::to_string);
        if let Some(value) = value.filter(|value| !plain.contains(&value.as_str())) {
            return Err(unusable(&path, format!("{key} is {value}"), plain.join(" or ")));
        }
    }
    let number = |key: &str| {
        stored[key].as_f64().ok_or_else(|| unusable(&path, format!("{key} is {}", stored[key]), "a number"))
    };
    let rank =
        stored["r"].as_u64().ok_or_else(|| unusable(&path, format!("r is {}", stored["r"]), "a whole number"))?;
    let (alpha, dropout) = (number("lora_alpha")? as f32, number("lora_dropout")? as f32);
    let settings = Lora { rank: rank as usize, alpha, dropout, ..Lora::default() };
    settings.check().map_err(|error| error.of_file(&path))?;
    Ok(settings)
}

fn without(dir: &Path) -> Error {
    unusable(dir, "the model has no adapters", "`with_lora` before")
}

fn unusable(path: &Path, problem: impl Into<String>, expected: impl Into<String>) -> Error {
    Error::Model { path: path.to_owned(), problem: problem.into(), expected: expected.into() }
}
