//! Reading a directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::foreign;
use crate::loss::Similarity;
use crate::model::bi_encoder::{DOC, QUERY};
use crate::model::{BiEncoder, BiEncoderConfig, Pooling};
use crate::nn::Encoder;
use crate::text::Tokenizer;
use crate::{Error, Result, folder};

pub(in crate::model) fn read(dir: &Path) -> Result<BiEncoder> {
    check_folder(dir)?;
    let modules = Modules::read(dir)?;
    let mut config = BiEncoderConfig { normalize: modules.normalize, ..Default::default() };
    if let Some(pooling) = &modules.pooling {
        read_pooling(pooling, &mut config)?;
    }
    read_prompts(dir, &mut config)?;
    let transformer = Transformer::read(&modules.transformer)?;
    let encoder = Encoder::load(&modules.transformer)?;
    let mut tokenizer = Tokenizer::load(&modules.transformer)?;
    foreign::refuse_of_tokenizer(&modules.transformer, &tokenizer)?;
    if transformer.lowercase {
        // As sentence-transformers 6 does it: the tokenizer that is saved lower-cases by itself.
        tokenizer = tokenizer.lowercased()?;
    }
    let longest = encoder.config().longest();
    config.max_length = transformer.max_length.unwrap_or(longest).min(longest);
    BiEncoder::from_parts(encoder, tokenizer, config).map_err(|error| error.of_file(&transformer.path))
}

/// An error for what is no folder.
pub(super) fn check_folder(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let problem = if dir.exists() { "a file, not a folder" } else { "no such folder (nothing is downloaded)" };
    Err(unusable(dir, problem, "a sentence-transformers or Hugging Face directory"))
}

/// The folders of the modules.
struct Modules {
    transformer: PathBuf,
    pooling: Option<PathBuf>,
    normalize: bool,
}

impl Modules {
    fn read(dir: &Path) -> Result<Self> {
        let path = folder::file(dir, "modules.json")?;
        if !path.exists() {
            // A bare Hugging Face directory: mean pooling, as sentence-transformers does.
            return Ok(Self { transformer: dir.to_owned(), pooling: None, normalize: false });
        }
        let stored: Value = folder::read_json(dir, "modules.json")?;
        let expected = "Transformer, Pooling and optionally Normalize, in this order";
        let Some(modules) = stored.as_array() else {
            return Err(unusable(&path, "it is not a list of modules", expected));
        };
        let mut found = Vec::new();
        for module in modules {
            let (kind, place) = (module["type"].as_str().unwrap_or_default(), module["path"].as_str());
            let kind = kind.rsplit('.').next().unwrap_or_default();
            if !["Transformer", "Pooling", "Normalize"].contains(&kind) {
                let name = module["type"].as_str().unwrap_or("without a type");
                return Err(unusable(&path, format!("module `{name}`"), expected));
            }
            found.push((kind, folder::file(dir, place.unwrap_or_default())?));
        }
        match &found[..] {
            [("Transformer", transformer), ("Pooling", pooling), rest @ ..]
                if rest.iter().all(|(kind, _)| *kind == "Normalize") =>
            {
                let (transformer, pooling) = (transformer.clone(), Some(pooling.clone()));
                Ok(Self { transformer, pooling, normalize: !rest.is_empty() })
            }
            _ => {
                let kinds: Vec<&str> = found.iter().map(|(kind, _)| *kind).collect();
                let problem = if kinds.is_empty() { "no module".to_owned() } else { kinds.join(", ") };
                Err(unusable(&path, problem, expected))
            }
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
    const NAME: &str = "config_sentence_transformers.json";
    let path = folder::file(dir, NAME)?;
    let stored = folder::optional_json(dir, NAME)?;
    if let Some(kind) = stored["model_type"].as_str().filter(|kind| *kind != "SentenceTransformer") {
        return Err(unusable(&path, format!("model_type is `{kind}`"), "`SentenceTransformer`"));
    }
    if !stored["truncate_dim"].is_null() {
        return Err(unusable(&path, format!("truncate_dim is {}", stored["truncate_dim"]), "null"));
    }
    let mut prompts = BTreeMap::new();
    for (name, prompt) in stored["prompts"].as_object().into_iter().flatten() {
        match prompt {
            Value::String(prompt) => _ = prompts.insert(name.clone(), prompt.clone()),
            // As there: no prompt.
            Value::Null => {}
            _ => return Err(unusable(&path, format!("the prompt `{name}` is not a text"), "a text or null")),
        }
    }
    config.query_prompt = prompts.remove(QUERY).unwrap_or_default();
    // No other name counts, such as `passage`: there, a prompt for documents is always set, if only to nothing.
    config.doc_prompt = prompts.remove(DOC).unwrap_or_default();
    let other = ["passage", "corpus"].into_iter().find(|name| prompts.contains_key(*name));
    if let Some(name) = other.filter(|_| config.doc_prompt.is_empty()) {
        log::warn!("the prompt `{name}` is not put before documents, as in Python; `with_prompts` sets one that is");
    }
    config.prompts = prompts;
    config.default_prompt = stored["default_prompt_name"].as_str().map(str::to_owned);
    config.check_prompts().map_err(|error| error.of_file(&path))?;
    config.similarity = match stored["similarity_fn_name"].as_str() {
        None | Some("cosine") => Similarity::Cosine,
        Some("dot") => Similarity::Dot,
        Some(other) => return Err(unusable(&path, format!("similarity `{other}`"), "`cosine` or `dot`")),
    };
    Ok(())
}

/// Older versions name a file after the family: `sentence_bert_config.json`.
pub(super) const FAMILIES: [&str; 7] = ["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"];

/// What the module of the encoder says about texts.
pub(super) struct Transformer {
    /// The file that names the maximum length.
    path: PathBuf,
    pub(super) max_length: Option<usize>,
    pub(super) lowercase: bool,
}

impl Transformer {
    /// Older versions store the maximum length in a separate file, once named after the family; newer ones in that of the
    /// tokenizer.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let mut path = folder::file(dir, "tokenizer_config.json")?;
        let tokenizer = folder::optional_json(dir, "tokenizer_config.json")?;
        let mut stored = Value::Null;
        for family in FAMILIES {
            let name = format!("sentence_{family}_config.json");
            let own = folder::file(dir, &name)?;
            if own.exists() {
                stored = folder::read_json(dir, &name)?;
                check_task(&own, &stored)?;
                path = own;
                break;
            }
        }
        foreign::refuse(dir, &path, &stored)?;
        // Tokenizers without a limit store 1e30, which is no u64.
        let length = stored["max_seq_length"].as_u64().or(tokenizer["model_max_length"].as_u64());
        let max_length = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        Ok(Self { path, max_length, lowercase: stored["do_lower_case"].as_bool().unwrap_or(false) })
    }
}

/// The newer schema can name other outputs than the hidden states of all tokens.
fn check_task(path: &Path, stored: &Value) -> Result<()> {
    let text = &stored["modality_config"]["text"];
    for (name, value, expected) in [
        ("transformer_task", &stored["transformer_task"], "feature-extraction"),
        ("method", &text["method"], "forward"),
        ("method_output_name", &text["method_output_name"], "last_hidden_state"),
        ("module_output_name", &stored["module_output_name"], "token_embeddings"),
    ] {
        if !(value.is_null() || value == expected) {
            return Err(unusable(path, format!("`{name}` is {value}"), format!("`{expected}`")));
        }
    }
    Ok(())
}

pub(super) fn unusable(path: &Path, problem: impl Into<String>, expected: impl Into<String>) -> Error {
    Error::Model { path: path.to_owned(), problem: problem.into(), expected: expected.into() }
}
