//! sentence-transformers directories: both schemas are read, the older one is written, which every
//! version since 2 and the servers (text-embeddings-inference, vLLM, llama.cpp) load.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::bi_encoder::{BiEncoder, BiEncoderConfig};
use super::pooling::Pooling;
use crate::files;
use crate::loss::Similarity;
use crate::nn::Encoder;
use crate::text::Tokenizer;
use crate::{Error, Result};

pub(super) fn read(dir: &Path) -> Result<BiEncoder> {
    if !dir.is_dir() {
        return Err(Error::Model {
            path: dir.to_owned(),
            problem: "no such folder".to_owned(),
            expected: "a sentence-transformers or Hugging Face directory".to_owned(),
        });
    }
    let mut config = BiEncoderConfig { normalize: false, ..Default::default() };
    let mut encoder_dir = dir.to_owned();
    // A bare Hugging Face directory has no modules: mean pooling, as sentence-transformers does.
    for module in optional(&dir.join("modules.json"))?.as_array().into_iter().flatten() {
        let path = dir.join(module["path"].as_str().unwrap_or_default());
        let kind = module["type"].as_str().unwrap_or_default();
        match kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => encoder_dir = path,
            "Pooling" => read_pooling(&path.join("config.json"), &mut config)?,
            "Normalize" => config.normalize = true,
            _ => {
                return Err(Error::Model {
                    path: dir.join("modules.json"),
                    problem: format!("module `{kind}`"),
                    expected: "Transformer, Pooling and Normalize".to_owned(),
                });
            }
        }
    }
    read_prompts(&dir.join("config_sentence_transformers.json"), &mut config)?;
    let encoder = Encoder::load(&encoder_dir)?;
    let tokenizer = Tokenizer::load(encoder_dir.join("tokenizer.json"))?;
    config.max_length = max_length(&encoder_dir, encoder.config().longest())?;
    BiEncoder::from_parts(encoder, tokenizer, config)
}

pub(super) fn write(dir: &Path, model: &BiEncoder) -> Result<()> {
    let config = model.config();
    let folder = |name: &str| fs::create_dir_all(dir.join(name)).map_err(Error::io(dir.join(name)));
    folder("1_Pooling")?;
    model.encoder().save(dir)?;
    model.tokenizer().save(dir.join("tokenizer.json"))?;
    files::write_json(&dir.join("tokenizer_config.json"), &tokenizer_config(config.max_length, model.tokenizer()))?;
    files::write_json(&dir.join("special_tokens_map.json"), &special_tokens(model.tokenizer()))?;
    let lengths = json!({ "max_seq_length": config.max_length, "do_lower_case": false });
    files::write_json(&dir.join("sentence_bert_config.json"), &lengths)?;
    let pooling = json!({
        "word_embedding_dimension": model.dim(),
        "pooling_mode_cls_token": config.pooling == Pooling::Cls,
        "pooling_mode_mean_tokens": config.pooling == Pooling::Mean,
        "pooling_mode_max_tokens": false,
        "pooling_mode_mean_sqrt_len_tokens": false,
        "pooling_mode_weightedmean_tokens": false,
        "pooling_mode_lasttoken": false,
        "include_prompt": config.include_prompt,
    });
    files::write_json(&dir.join("1_Pooling").join("config.json"), &pooling)?;
    let versions = json!({ "sentence_transformers": "3.0.0", "transformers": "4.41.0", "pytorch": "2.3.0" });
    let prompts = json!({
        "model_type": "SentenceTransformer",
        // A version above the reader's own makes Python warn.
        "__version__": versions,
        "prompts": { "query": config.query_prompt, "document": config.doc_prompt },
        "default_prompt_name": null,
        "similarity_fn_name": config.similarity,
    });
    files::write_json(&dir.join("config_sentence_transformers.json"), &prompts)?;
    files::write(&dir.join("README.md"), MODEL_CARD.as_bytes())?;
    let mut modules = vec![("", "Transformer"), ("1_Pooling", "Pooling")];
    if config.normalize {
        folder("2_Normalize")?;
        modules.push(("2_Normalize", "Normalize"));
    }
    let modules: Vec<Value> = modules
        .iter()
        .enumerate()
        .map(|(index, (path, kind))| {
            let kind = format!("sentence_transformers.models.{kind}");
            json!({ "idx": index, "name": index.to_string(), "path": path, "type": kind })
        })
        .collect();
    // Last: a directory with modules.json is complete.
    files::write_json(&dir.join("modules.json"), &modules)
}

const MODEL_CARD: &str = "---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, sentence-similarity, feature-extraction]
---

# A bi-encoder

Trained with kensaku. Loads with `SentenceTransformer(path)` in Python and `BiEncoder::load(path)` in Rust.
";

fn read_pooling(path: &Path, config: &mut BiEncoderConfig) -> Result<()> {
    let stored: Value = files::read_json(path)?;
    let legacy = |name: &str| stored[format!("pooling_mode_{name}")].as_bool().unwrap_or(false);
    const OTHERS: [&str; 4] = ["max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"];
    let mode = match stored["pooling_mode"].as_str() {
        Some(mode) => mode.to_owned(),
        None if OTHERS.into_iter().any(legacy) || legacy("cls_token") == legacy("mean_tokens") => stored.to_string(),
        None => if legacy("cls_token") { "cls" } else { "mean" }.to_owned(),
    };
    config.pooling = match mode.as_str() {
        "mean" => Pooling::Mean,
        "cls" => Pooling::Cls,
        _ => {
            return Err(Error::Model {
                path: path.to_owned(),
                problem: format!("pooling {mode}"),
                expected: "`mean` or `cls`".to_owned(),
            });
        }
    };
    config.include_prompt = stored["include_prompt"].as_bool().unwrap_or(true);
    Ok(())
}

fn read_prompts(path: &Path, config: &mut BiEncoderConfig) -> Result<()> {
    let stored = optional(path)?;
    let prompt = |names: &[&str]| {
        let found = names.iter().find_map(|name| stored["prompts"][*name].as_str());
        found.unwrap_or_default().to_owned()
    };
    config.query_prompt = prompt(&["query"]);
    config.doc_prompt = prompt(&["document", "passage", "corpus"]);
    config.similarity = match stored["similarity_fn_name"].as_str() {
        None | Some("cosine") => Similarity::Cosine,
        Some("dot") => Similarity::Dot,
        Some(other) => {
            return Err(Error::Model {
                path: path.to_owned(),
                problem: format!("similarity `{other}`"),
                expected: "`cosine` or `dot`".to_owned(),
            });
        }
    };
    Ok(())
}

/// The older schema keeps the length in sentence_bert_config.json, the newer one with the tokenizer.
fn max_length(dir: &Path, positions: usize) -> Result<usize> {
    let lengths = [
        optional(&dir.join("sentence_bert_config.json"))?["max_seq_length"].as_u64(),
        // Tokenizers without a limit store 1e30, which is no u64.
        optional(&dir.join("tokenizer_config.json"))?["model_max_length"].as_u64(),
    ];
    let length = lengths.into_iter().flatten().next().and_then(|length| usize::try_from(length).ok());
    Ok(length.unwrap_or(positions).min(positions))
}

/// The JSON file, or null where there is none.
fn optional(path: &Path) -> Result<Value> {
    if path.exists() { files::read_json(path) } else { Ok(Value::Null) }
}

fn tokenizer_config(max_length: usize, tokenizer: &Tokenizer) -> Value {
    let mut config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": true,
    });
    if let (Value::Object(config), Value::Object(tokens)) = (&mut config, special_tokens(tokenizer)) {
        config.extend(tokens);
    }
    config
}

/// The special tokens that the vocabulary has, BERT's or RoBERTa's: Python would append others to it.
fn special_tokens(tokenizer: &Tokenizer) -> Value {
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
    Value::Object(names.into_iter().filter_map(known).collect())
}
