//! Writing a directory.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::read::MODES;
use super::replace::replace;
use crate::model::bi_encoder::{DOC, QUERY};
use crate::model::{BiEncoder, BiEncoderConfig, Pooling};
use crate::nn::Encoder;
use crate::text::Tokenizer;
use crate::{Error, Result, files};

pub(in crate::model) fn write(dir: &Path, model: &BiEncoder) -> Result<()> {
    replace(dir, |dir| create(dir, model))
}

/// Writes a model into an empty folder.
fn create(dir: &Path, model: &BiEncoder) -> Result<()> {
    check_finite(dir, model.encoder())?;
    let config = model.config();
    let folder = |name: &str| fs::create_dir_all(dir.join(name)).map_err(Error::io(dir.join(name)));
    let json = |name: &str, value: &Value| files::write_json(&dir.join(name), value);
    folder("1_Pooling")?;
    model.encoder().save(dir)?;
    model.tokenizer().save(dir.join("tokenizer.json"))?;
    json("tokenizer_config.json", &tokenizer_config(model.encoder(), model.tokenizer(), config.max_length))?;
    json("special_tokens_map.json", &Value::Object(special_tokens(model.tokenizer())))?;
    // A tokenizer that lower-cases does so by itself.
    json("sentence_bert_config.json", &json!({ "max_seq_length": config.max_length, "do_lower_case": false }))?;
    json("1_Pooling/config.json", &pooling(model))?;
    json("config_sentence_transformers.json", &prompts(config))?;
    files::write(&dir.join("README.md"), MODEL_CARD.as_bytes())?;
    let mut modules = vec![("", "Transformer"), ("1_Pooling", "Pooling")];
    if config.normalize {
        folder("2_Normalize")?;
        modules.push(("2_Normalize", "Normalize"));
    }
    let module = |(index, (path, kind)): (usize, (&str, &str))| {
        let kind = format!("sentence_transformers.models.{kind}");
        json!({ "idx": index, "name": index.to_string(), "path": path, "type": kind })
    };
    json("modules.json", &modules.into_iter().enumerate().map(module).collect())
}

/// An error for weights that are NaN or infinite.
pub(super) fn check_finite(dir: &Path, encoder: &Encoder) -> Result<()> {
    match encoder.parameters().not_finite() {
        None => Ok(()),
        Some((name, value)) => {
            let expected = "finite weights: the training has diverged".to_owned();
            Err(Error::Model { path: dir.to_owned(), problem: format!("`{name}` holds {value}"), expected })
        }
    }
}

const MODEL_CARD: &str = "---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, sentence-similarity, feature-extraction]
---

# A bi-encoder

Trained with kensaku. Loads with `SentenceTransformer(path)` in Python and `BiEncoder::load(path)` in Rust.
";

fn pooling(model: &BiEncoder) -> Value {
    let config = model.config();
    let names: Vec<&str> = config.pooling.parts().iter().map(Pooling::name).collect();
    let width = model.encoder().config().hidden_size();
    let older = MODES.into_iter().filter(|(_, name)| names.contains(name)).map(|(_, name)| name);
    if !older.eq(names.iter().copied()) {
        // Another order than the older schema's: only the newer one has it.
        let include = config.include_prompt;
        return json!({ "embedding_dimension": width, "pooling_mode": names, "include_prompt": include });
    }
    let mut stored = json!({ "word_embedding_dimension": width, "include_prompt": config.include_prompt });
    for (key, name) in MODES {
        stored[key] = names.contains(&name).into();
    }
    stored
}

fn prompts(config: &BiEncoderConfig) -> Value {
    let mut prompts = config.prompts.clone();
    prompts.insert(QUERY.to_owned(), config.query_prompt.clone());
    prompts.insert(DOC.to_owned(), config.doc_prompt.clone());
    json!({
        "model_type": "SentenceTransformer",
        // A version above the reader's own makes Python warn.
        "__version__": { "sentence_transformers": "3.0.0", "transformers": "4.41.0", "pytorch": "2.3.0" },
        "prompts": prompts,
        "default_prompt_name": config.default_prompt,
        "similarity_fn_name": config.similarity,
    })
}

pub(super) fn tokenizer_config(encoder: &Encoder, tokenizer: &Tokenizer, max_length: usize) -> Value {
    // What the encoder takes: transformers 4 passes on all that a tokenizer gives, and knows no family here.
    let mut inputs = vec!["input_ids", "attention_mask"];
    if encoder.spec().segments > 1 {
        inputs.insert(1, "token_type_ids");
    }
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": inputs,
        "clean_up_tokenization_spaces": true,
    });
    let Value::Object(mut config) = config else { return config };
    config.extend(special_tokens(tokenizer));
    Value::Object(config)
}

/// The special tokens that the vocabulary has, BERT's or RoBERTa's: Python would append others to it.
pub(super) fn special_tokens(tokenizer: &Tokenizer) -> Map<String, Value> {
    let names = [
        ("unk_token", ["[UNK]", "<unk>"]),
        ("sep_token", ["[SEP]", "</s>"]),
        ("pad_token", ["[PAD]", "<pad>"]),
        ("cls_token", ["[CLS]", "<s>"]),
        ("mask_token", ["[MASK]", "<mask>"]),
    ];
    let known = |(key, tokens): (&str, [&str; 2])| {
        let token = tokens.into_iter().find(|token| tokenizer.id(token).is_some())?;
        Some((key.to_owned(), json!(token)))
    };
    names.into_iter().filter_map(known).collect()
}
