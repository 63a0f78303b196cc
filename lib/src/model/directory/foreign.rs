//! Settings of others that change vectors, and that are not computed here: refused by name.

use std::path::Path;

use serde_json::{Value, json};

use super::read::unusable;
use crate::text::Tokenizer;
use crate::{Result, folder};

/// What is passed on to transformers and changes no vector.
const HARMLESS: [&str; 8] = [
    "attn_implementation",
    "cache_dir",
    "force_download",
    "local_files_only",
    "revision",
    "token",
    "trust_remote_code",
    "use_fast",
];

/// An error for the first setting in the folder of an encoder that this library would ignore. `stored` is the file of the
/// module, at `path`.
pub(super) fn refuse(dir: &Path, path: &Path, stored: &Value) -> Result<()> {
    let adapter = folder::file(dir, "adapter_config.json")?;
    if adapter.exists() {
        return Err(unusable(
            &adapter,
            "the weights of a PEFT adapter are not read",
            "a model with its adapter merged",
        ));
    }
    for part in ["config_args", "model_args", "tokenizer_args", "processing_kwargs", "model_kwargs", "config_kwargs"] {
        let keys = stored[part].as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        if let Some(key) = keys.into_iter().find(|key| !HARMLESS.contains(key)) {
            return Err(unusable(path, format!("`{part}` has `{key}`"), "no other settings of transformers"));
        }
    }
    if let Some(length) = Some(&stored["max_seq_length"]).filter(|length| !length.is_null() && !length.is_u64()) {
        return Err(unusable(path, format!("`max_seq_length` is {length}"), "a number of tokens"));
    }
    Ok(())
}

/// The same for what older versions change in a tokenizer by these keys, and newer ones do not.
pub(super) fn refuse_of_tokenizer(dir: &Path, tokenizer: &Tokenizer) -> Result<()> {
    const NAME: &str = "tokenizer_config.json";
    let (path, config) = (folder::file(dir, NAME)?, folder::optional_json(dir, NAME)?);
    if config["truncation_side"] == "left" {
        return Err(unusable(&path, "`truncation_side` is \"left\"", "\"right\": long texts lose their end"));
    }
    if config["split_special_tokens"] == true {
        let expected = "false: the names of special tokens in a text are read as these tokens";
        return Err(unusable(&path, "`split_special_tokens` is true", expected));
    }
    let Some(bert) = tokenizer.bert_normalizer() else { return Ok(()) };
    for (key, is) in [
        ("do_lower_case", json!(bert.lowercase)),
        ("strip_accents", json!(bert.strip_accents)),
        ("tokenize_chinese_chars", json!(bert.handle_chinese_chars)),
    ] {
        if let Some(asked) = config.get(key).filter(|asked| **asked != is) {
            return Err(unusable(&path, format!("`{key}` is {asked}"), format!("{is}, as in tokenizer.json")));
        }
    }
    Ok(())
}
