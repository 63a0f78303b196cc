//! Reading a directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::place::place;
use super::text::{Task, TextSettings};
use crate::loss::Similarity;
use crate::model::bi_encoder::{DOC, QUERY};
use crate::model::{BiEncoder, BiEncoderConfig, Pooling};
use crate::nn::{Encoder, check_config};
use crate::{Error, Result, folder};

pub(in crate::model) fn read(path: &Path) -> Result<BiEncoder> {
    let dir =
        &*place(path, &|dir| settings(dir).and_then(|(modules, ..)| check_config(&modules.transformer).map(|_| ())))?;
    let (modules, mut config, text) = settings(dir)?;
    let encoder = Encoder::load(&modules.transformer)?;
    let tokenizer = text.tokenizer(&modules.transformer)?;
    let longest = encoder.config().longest();
    config.max_length = text.max_length.unwrap_or(longest).min(longest);
    BiEncoder::from_parts(encoder, tokenizer, config).map_err(|error| error.of_file(&text.path))
}

/// What a directory says without its weights.
fn settings(dir: &Path) -> Result<(Modules, BiEncoderConfig, TextSettings)> {
    let modules = Modules::read(dir)?;
    let mut config = BiEncoderConfig { normalize: modules.normalize, ..Default::default() };
    if let Some(pooling) = &modules.pooling {
        read_pooling(pooling, &mut config)?;
    }
    read_prompts(dir, &mut config)?;
    let text = TextSettings::read(&modules.transformer, Task::HIDDEN_STATES)?;
    Ok((modules, config, text))
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
            return Err(unusable(&path, format!("module `{name}`"), expected));
        }
        found.push((kind.to_owned(), folder::file(dir, place.unwrap_or_default())?));
    }
    Ok(Some(found))
}

/// The error for modules in another order.
pub(super) fn disordered(dir: &Path, found: &[(String, PathBuf)], expected: &str) -> Error {
    let kinds: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    let problem = if kinds.is_empty() { "no module".to_owned() } else { kinds.join(", ") };
    unusable(&dir.join("modules.json"), problem, expected)
}

/// The folders of the modules.
struct Modules {
    transformer: PathBuf,
    pooling: Option<PathBuf>,
    normalize: bool,
}

impl Modules {
    fn read(dir: &Path) -> Result<Self> {
        const EXPECTED: &str = "Transformer, Pooling and optionally Normalize, in this order";
        let Some(found) = read_modules(dir, &["Transformer", "Pooling", "Normalize"], EXPECTED)? else {
            // A bare Hugging Face directory: mean pooling, as sentence-transformers does.
            return Ok(Self { transformer: dir.to_owned(), pooling: None, normalize: false });
        };
        match &found[..] {
            [(first, transformer), (second, pooling), rest @ ..]
                if first == "Transformer"
                    && second == "Pooling"
                    && rest.iter().all(|(kind, _)| kind == "Normalize") =>
            {
                let (transformer, pooling) = (transformer.clone(), Some(pooling.clone()));
                Ok(Self { transformer, pooling, normalize: !rest.is_empty() })
            }
            _ => Err(disordered(dir, &found, EXPECTED)),
        }
    }
}

fn read_pooling(dir: &Path, config: &mut BiEncoderConfig) -> Result<()> {
    let path = folder::file(dir, "config.json")?;
    let stored: Value = folder::read_json(dir, "config.json")?;
    let modes = modes(&stored);
    config.pooling = Pooling::named(&modes).ok_or_else(|| {
        let problem = if modes.is_empty() { "no pooling".to_owned() } else { format!("pooling {}", modes.join(", ")) };
        let known = "cls, max, mean, mean_sqrt_len_tokens, weightedmean, lasttoken, each at most once";
        unusable(&path, problem, known)
    })?;
    config.include_prompt = stored["include_prompt"].as_bool().unwrap_or(true);
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

fn read_prompts(dir: &Path, config: &mut BiEncoderConfig) -> Result<()> {
    let (path, stored) = read_own_config(dir, "SentenceTransformer")?;
    if !stored["truncate_dim"].is_null() {
        return Err(unusable(&path, format!("truncate_dim is {}", stored["truncate_dim"]), "null"));
    }
    let prompts = StoredPrompts::read(&path, &stored)?;
    config.query_prompt = prompts.query;
    config.doc_prompt = prompts.doc;
    config.prompts = prompts.others;
    config.default_prompt = prompts.default;
    config.named_prompts().check().map_err(|error| error.of_file(&path))?;
    config.similarity = match stored["similarity_fn_name"].as_str() {
        None | Some("cosine") => Similarity::Cosine,
        Some("dot") => Similarity::Dot,
        Some(other) => return Err(unusable(&path, format!("similarity `{other}`"), "`cosine` or `dot`")),
    };
    Ok(())
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
