//! Reading a directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::place::place;
use super::router;
use super::text::{Task, TextSettings};
use crate::loss::Similarity;
use crate::model::bi_encoder::{DOC, QUERY};
use crate::model::{BiEncoder, BiEncoderConfig, Pooling};
use crate::nn::{DenseActivation, Encoder, VectorModule, VectorModules, check_config};
use crate::{Error, Result, folder};

pub(in crate::model) fn read(path: &Path) -> Result<BiEncoder> {
    let dir =
        &*place(path, &|dir| settings(dir).and_then(|(modules, ..)| check_config(&modules.transformer).map(|_| ())))?;
    let (modules, config, text) = settings(dir)?;
    modules.load(config, &text)
}

/// What a directory says without its weights.
fn settings(dir: &Path) -> Result<(Modules, BiEncoderConfig, TextSettings)> {
    let (modules, mut config) = (Modules::read(dir)?, BiEncoderConfig::default());
    let text = modules.read_settings(&mut config)?;
    read_settings(dir, &mut config)?;
    Ok((modules, config, text))
}

/// A module after pooling. Its sizes are those of its weights.
pub(super) fn read_module(kind: &str, dir: &Path) -> Result<VectorModule> {
    const VECTOR: &str = "sentence_embedding";
    if kind == "Normalize" && !folder::file(dir, "config.json")?.exists() {
        return Ok(VectorModule::Normalize);
    }
    let path = folder::file(dir, "config.json")?;
    let stored: Value = folder::read_json(dir, "config.json")?;
    let of = |key: &str, expected: &str| unusable(&path, format!("`{key}` is {}", stored[key]), expected);
    let known: &[&str] = match kind {
        "Dense" => &["in_features", "out_features", "bias", "activation_function", "use_residual"],
        "LayerNorm" => &["dimension"],
        _ => &[],
    };
    for key in stored.as_object().into_iter().flatten().map(|(key, _)| key.as_str()) {
        match key {
            "module_input_name" | "module_output_name" if stored[key] == VECTOR || stored[key].is_null() => {}
            "module_input_name" | "module_output_name" => return Err(of(key, "`sentence_embedding`")),
            "use_residual" if !stored[key].is_boolean() => return Err(of(key, "true or false")),
            other if !known.contains(&other) => return Err(of(key, "no other settings of the module")),
            _ => {}
        }
    }
    Ok(match kind {
        "Dense" => {
            let dim = stored["out_features"].as_u64().and_then(|dim| usize::try_from(dim).ok());
            let class = stored["activation_function"].as_str().unwrap_or(DenseActivation::Tanh.class());
            let name = |class: &str| class.rsplit('.').next().unwrap_or_default().to_owned();
            let activation = DenseActivation::ALL.into_iter().find(|known| name(known.class()) == name(class));
            VectorModule::Dense {
                dim: dim.filter(|dim| *dim > 0).ok_or_else(|| of("out_features", "a number of at least 1"))?,
                bias: stored["bias"].as_bool().unwrap_or(true),
                activation: activation
                    .filter(|_| class.starts_with("torch.nn."))
                    .ok_or_else(|| of("activation_function", "Tanh, Identity, ReLU, GELU or Sigmoid of torch.nn"))?,
                residual: stored["use_residual"] == true,
            }
        }
        "LayerNorm" => VectorModule::LayerNorm,
        _ => VectorModule::Normalize,
    })
}

/// The last part of each module's type with its folder, in their order; `None` for a bare Hugging Face directory. An error
/// for a module that is not `known`.
pub(super) fn read_modules(dir: &Path, known: &[&str], expected: &str) -> Result<Option<Vec<(String, PathBuf)>>> {
    let path = folder::file(dir, "modules.json")?;
    if !path.exists() {
        return Ok(None);
    }
    let stored: Value = folder::read_json(dir, "modules.json")?;
    let Some(modules) = stored.as_array() else {
        return Err(unusable(&path, "it is not a list of modules", expected));
    };
    let mut found = Vec::new();
    for module in modules {
        let (kind, place) = (module["type"].as_str().unwrap_or_default(), module["path"].as_str());
        let kind = kind.rsplit('.').next().unwrap_or_default();
        if !known.contains(&kind) {
            let name = module["type"].as_str().unwrap_or("without a type");
            let expected =
                reader(kind).map_or(expected.to_owned(), |load| format!("{expected}; `{load}` reads this one"));
            return Err(unusable(&path, format!("module `{name}`"), expected));
        }
        found.push((kind.to_owned(), folder::file(dir, place.unwrap_or_default())?));
    }
    Ok(Some(found))
}

/// What reads models with a module of this kind, where no other does.
fn reader(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "MLMTransformer" | "SpladePooling" | "SparseStaticEmbedding" | "IDF" => "Splade::load",
        "StaticEmbedding" => "StaticEmbedding::load",
        "SparseAutoEncoder" => "SparseAutoEncoder::load",
        "MultiVectorMask" => "ColBert::load",
        "Router" | "Asym" => "TwoTowers::load",
        _ => return None,
    })
}

/// The error for modules in another order.
pub(super) fn disordered(dir: &Path, found: &[(String, PathBuf)], expected: &str) -> Error {
    let kinds: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    let problem = if kinds.is_empty() { "no module".to_owned() } else { kinds.join(", ") };
    let vectors_of_tokens = kinds.starts_with(&["Transformer", "Dense"]);
    let read =
        if vectors_of_tokens { format!("{expected}; `ColBert::load` reads this one") } else { expected.to_owned() };
    unusable(&dir.join("modules.json"), problem, read)
}

/// The folders of the modules.
pub(super) struct Modules {
    pub(super) transformer: PathBuf,
    pooling: Option<PathBuf>,
    /// The kind of each that follows, and its folder, but for a last Normalize.
    after: Vec<(String, PathBuf)>,
    pub(super) normalize: bool,
}

/// Modules after pooling.
const AFTER: [&str; 3] = ["Dense", "LayerNorm", "Normalize"];

impl Modules {
    fn read(dir: &Path) -> Result<Self> {
        const EXPECTED: &str = "Transformer and Pooling, in this order, then any of Dense, LayerNorm, Normalize";
        router::refuse(dir)?;
        let Some(found) = read_modules(dir, &["Transformer", "Pooling", "Dense", "LayerNorm", "Normalize"], EXPECTED)?
        else {
            check_bare(dir)?;
            return Ok(Self { transformer: dir.to_owned(), pooling: None, after: Vec::new(), normalize: false });
        };
        Self::of(&found)?.ok_or_else(|| disordered(dir, &found, EXPECTED))
    }

    /// Those of a bi-encoder, by their kinds and folders; `None` for others.
    pub(super) fn of(found: &[(String, PathBuf)]) -> Result<Option<Self>> {
        match found {
            [(first, transformer), (second, pooling), rest @ ..]
                if first == "Transformer"
                    && second == "Pooling"
                    && rest.iter().all(|(kind, _)| AFTER.contains(&kind.as_str())) =>
            {
                let (transformer, pooling) = (transformer.clone(), Some(pooling.clone()));
                let mut after = rest.to_vec();
                let normalize = after.pop_if(|(kind, _)| kind == "Normalize");
                if let Some((kind, dir)) = &normalize {
                    read_module(kind, dir)?;
                }
                Ok(Some(Self { transformer, pooling, after, normalize: normalize.is_some() }))
            }
            _ => Ok(None),
        }
    }

    /// What they say of vectors, and how texts become tokens.
    pub(super) fn read_settings(&self, config: &mut BiEncoderConfig) -> Result<TextSettings> {
        config.normalize = self.normalize;
        config.modules = self.after.iter().map(|(kind, dir)| read_module(kind, dir)).collect::<Result<_>>()?;
        if let Some(pooling) = &self.pooling {
            read_pooling(pooling, config)?;
        }
        TextSettings::read(&self.transformer, Task::HIDDEN_STATES)
    }

    /// The model with their weights.
    pub(super) fn load(&self, mut config: BiEncoderConfig, text: &TextSettings) -> Result<BiEncoder> {
        let mut encoder = Encoder::load(&self.transformer)?;
        let width = encoder.config().hidden_size() * config.pooling.width();
        let folders: Vec<_> =
            config.modules.iter().zip(&self.after).map(|(module, (_, dir))| (*module, dir.as_path())).collect();
        let own = VectorModules::load(&mut encoder, &folders, width)?;
        // As there, a number beyond the width keeps all.
        config.truncate_dim = config.truncate_dim.map(|dim| dim.min(own.output(width)));
        let tokenizer = text.tokenizer(&self.transformer)?;
        let longest = encoder.config().longest();
        config.max_length = text.max_length.unwrap_or(longest).min(longest);
        BiEncoder::from_parts(encoder, own, tokenizer, config).map_err(|error| error.of_file(&text.path))
    }
}

/// A Hugging Face directory without modules gets mean pooling, as in sentence-transformers; a head that it has is not used.
fn check_bare(dir: &Path) -> Result<()> {
    let exists = |name: &str| Ok::<_, Error>(folder::file(dir, name)?.exists());
    if exists("config_kensaku.json")? {
        return Err(unusable(dir, "its head is a closure", "`CustomModel::load(dir, head)`"));
    }
    if exists("adapter_config.json")? {
        return Err(unusable(
            dir,
            "these are adapters",
            "a model: `BiEncoder::load(base)?.load_lora(dir)?` reads both",
        ));
    }
    if !exists("config.json")? {
        let problem = "there is no model here: neither modules.json nor config.json";
        return Err(unusable(dir, problem, "a sentence-transformers or Hugging Face directory"));
    }
    let stored: Value = folder::read_json(dir, "config.json")?;
    if stored["architectures"][0].as_str().is_some_and(|name| name.ends_with("ForSequenceClassification")) {
        log::warn!(
            "{}: the classification head is not used, hidden states are averaged; `CrossEncoder::load` reads the whole model",
            dir.display()
        );
    }
    Ok(())
}

fn read_pooling(dir: &Path, config: &mut BiEncoderConfig) -> Result<()> {
    let path = folder::file(dir, "config.json")?;
    let stored: Value = folder::read_json(dir, "config.json")?;
    let switch = |key: &str, default: bool| match &stored[key] {
        // As where the key is missing.
        Value::Null if key != "include_prompt" || stored.get(key).is_none() => Ok(default),
        Value::Bool(value) => Ok(*value),
        other => Err(unusable(&path, format!("`{key}` is {other}"), "true or false")),
    };
    for (key, _) in MODES {
        switch(key, false)?;
    }
    let modes = modes(&stored);
    config.pooling = Pooling::named(&modes).ok_or_else(|| {
        let problem = if modes.is_empty() { "no pooling".to_owned() } else { format!("pooling {}", modes.join(", ")) };
        let known = "cls, max, mean, mean_sqrt_len_tokens, weightedmean, lasttoken, each at most once";
        unusable(&path, problem, known)
    })?;
    config.include_prompt = switch("include_prompt", true)?;
    Ok(())
}

/// The poolings of the older schema, in the order in which it puts them one after the other.
pub(super) const MODES: [(&str, &str); 6] = [
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
];

/// The names of the poolings that a file asks for, in either schema.
fn modes(stored: &Value) -> Vec<String> {
    match &stored["pooling_mode"] {
        Value::String(mode) => vec![mode.clone()],
        Value::Array(modes) => modes.iter().map(|mode| mode.as_str().unwrap_or_default().to_owned()).collect(),
        _ => {
            let asked = |key: &str| stored[key].as_bool().unwrap_or(false);
            MODES.into_iter().filter(|(key, _)| asked(key)).map(|(_, name)| name.to_owned()).collect()
        }
    }
}

/// The settings of the whole model: prompts, how vectors are cut and compared. It gives their path.
pub(super) fn read_settings(dir: &Path, config: &mut BiEncoderConfig) -> Result<PathBuf> {
    let (path, stored) = read_own_config(dir, "SentenceTransformer")?;
    config.truncate_dim = match &stored["truncate_dim"] {
        Value::Null => None,
        dim => match dim.as_u64().and_then(|dim| usize::try_from(dim).ok()).filter(|dim| *dim > 0) {
            Some(dim) => Some(dim),
            None => return Err(unusable(&path, format!("truncate_dim is {dim}"), "a number of at least 1, or null")),
        },
    };
    let prompts = StoredPrompts::read(&path, &stored)?;
    config.query_prompt = prompts.query;
    config.doc_prompt = prompts.doc;
    config.prompts = prompts.others;
    config.default_prompt = prompts.default;
    config.named_prompts().check().map_err(|error| error.of_file(&path))?;
    config.similarity = read_similarity(&path, &stored)?;
    Ok(path)
}

/// How vectors are compared: cosine where nothing is said.
pub(super) fn read_similarity(path: &Path, stored: &Value) -> Result<Similarity> {
    match &stored["similarity_fn_name"] {
        Value::Null => Ok(Similarity::Cosine),
        name => Similarity::deserialize(name)
            .map_err(|_| unusable(path, format!("similarity {name}"), "`cosine`, `dot`, `euclidean` or `manhattan`")),
    }
}

/// The settings of the whole model, and their path; `Null` without any. An error if they are of another class than `kind`.
pub(super) fn read_own_config(dir: &Path, kind: &str) -> Result<(PathBuf, Value)> {
    const NAME: &str = "config_sentence_transformers.json";
    let path = folder::file(dir, NAME)?;
    let stored = folder::optional_json(dir, NAME)?;
    match stored["model_type"].as_str().filter(|other| *other != kind) {
        Some(other) => Err(unusable(&path, format!("model_type is `{other}`"), format!("`{kind}`"))),
        None => Ok((path, stored)),
    }
}

/// The prompts that a directory keeps.
pub(super) struct StoredPrompts {
    pub(super) query: String,
    pub(super) doc: String,
    pub(super) others: BTreeMap<String, String>,
    pub(super) default: Option<String>,
}

impl StoredPrompts {
    pub(super) fn read(path: &Path, stored: &Value) -> Result<Self> {
        let mut prompts = BTreeMap::new();
        for (name, prompt) in stored["prompts"].as_object().into_iter().flatten() {
            match prompt {
                Value::String(prompt) => _ = prompts.insert(name.clone(), prompt.clone()),
                // As there: no prompt.
                Value::Null => {}
                _ => return Err(unusable(path, format!("the prompt `{name}` is not a text"), "a text or null")),
            }
        }
        let query = prompts.remove(QUERY).unwrap_or_default();
        // No other name counts, such as `passage`: there, a prompt for documents is always set, if only to nothing.
        let doc = prompts.remove(DOC).unwrap_or_default();
        let other = ["passage", "corpus"].into_iter().find(|name| prompts.contains_key(*name));
        if let Some(name) = other.filter(|_| doc.is_empty()) {
            log::warn!(
                "the prompt `{name}` is not put before documents, as in Python; `with_prompts` sets one that is"
            );
        }
        let default = stored["default_prompt_name"].as_str().map(str::to_owned);
        Ok(Self { query, doc, others: prompts, default })
    }
}

pub(in crate::model) fn unusable(path: &Path, problem: impl Into<String>, expected: impl Into<String>) -> Error {
    Error::Model { path: path.to_owned(), problem: problem.into(), expected: expected.into() }
}
