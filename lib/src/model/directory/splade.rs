//! Directories of SPLADE models: the root is a masked language model of transformers.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::place::place;
use super::read::{StoredPrompts, disordered, read_modules, read_own_config, unusable};
use super::replace::replace;
use super::text::{Task, TextSettings};
use super::write::{check_weights, list_modules, own_config, prompt_facts, write_texts};
use crate::loss::Similarity;
use crate::model::card::{Kind, ModelCard, architecture, transformer};
use crate::model::{Splade, SpladeConfig};
use crate::nn::{MaskedLm, WordPooling, check_config};
use crate::{Error, Result, files, folder};

pub(in crate::model) fn read(path: &Path) -> Result<Splade> {
    let dir = &*place(path, &|dir| settings(dir).and_then(|(home, ..)| check_config(&home).map(|_| ())))?;
    let (home, mut config, text) = settings(dir)?;
    let head = MaskedLm::load(&home)?;
    let tokenizer = text.tokenizer(&home)?;
    let longest = head.encoder().config().longest();
    config.max_length = text.max_length.unwrap_or(longest).min(longest);
    Splade::from_parts(head, tokenizer, config).map_err(|error| error.of_file(&text.path))
}

/// The folder of the encoder, and what a directory says without its weights.
fn settings(dir: &Path) -> Result<(PathBuf, SpladeConfig, TextSettings)> {
    const EXPECTED: &str = "MLMTransformer (or Transformer) and SpladePooling, in this order";
    let mut config = SpladeConfig::default();
    let home = match read_modules(dir, &["MLMTransformer", "Transformer", "SpladePooling"], EXPECTED)? {
        // A bare masked language model: pooled by its maxima, as sentence-transformers does.
        None => dir.to_owned(),
        Some(found) => match &found[..] {
            [(first, home), (second, pooling)] if first != "SpladePooling" && second == "SpladePooling" => {
                read_pooling(pooling, &mut config)?;
                home.clone()
            }
            _ => return Err(disordered(dir, &found, EXPECTED)),
        },
    };
    read_settings(dir, &mut config)?;
    let text = TextSettings::read(&home, Task::WORDS)?;
    Ok((home, config, text))
}

fn read_pooling(dir: &Path, config: &mut SpladeConfig) -> Result<()> {
    let path = folder::file(dir, "config.json")?;
    let stored: Value = folder::read_json(dir, "config.json")?;
    let one_of = |key: &str, found: &Value, known: &str| Err(unusable(&path, format!("`{key}` is {found}"), known));
    config.pooling = match &stored["pooling_strategy"] {
        Value::Null => WordPooling::Max,
        Value::String(max) if max == "max" => WordPooling::Max,
        Value::String(sum) if sum == "sum" => WordPooling::Sum,
        other => return one_of("pooling_strategy", other, "`max` or `sum`"),
    };
    config.log1p_twice = match &stored["activation_function"] {
        Value::Null => false,
        Value::String(relu) if relu == "relu" => false,
        Value::String(twice) if twice == "log1p_relu" => true,
        other => return one_of("activation_function", other, "`relu` or `log1p_relu`"),
    };
    // The width of vectors, if it is there, says nothing new, and `chunk_size` changes nothing.
    let known =
        ["pooling_strategy", "activation_function", "word_embedding_dimension", "embedding_dimension", "chunk_size"];
    let mut keys = stored.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    match keys.find(|key| !known.contains(key)) {
        Some(key) => Err(unusable(&path, format!("`{key}` is {}", stored[key]), "no other settings of the pooling")),
        None => Ok(()),
    }
}

fn read_settings(dir: &Path, config: &mut SpladeConfig) -> Result<()> {
    let (path, stored) = read_own_config(dir, "SparseEncoder")?;
    let prompts = StoredPrompts::read(&path, &stored)?;
    config.query_prompt = prompts.query;
    config.doc_prompt = prompts.doc;
    config.prompts = prompts.others;
    config.default_prompt = prompts.default;
    config.named_prompts().check().map_err(|error| error.of_file(&path))?;
    config.max_active_dims = match &stored["max_active_dims"] {
        Value::Null => None,
        most => match most.as_u64().and_then(|most| usize::try_from(most).ok()).filter(|most| *most > 0) {
            Some(most) => Some(most),
            None => return Err(unusable(&path, format!("max_active_dims is {most}"), "a number of words, or null")),
        },
    };
    match &stored["similarity_fn_name"] {
        Value::Null => Ok(()),
        Value::String(dot) if dot == "dot" => Ok(()),
        other => Err(unusable(&path, format!("similarity {other}"), "`dot`, as an inverted index compares")),
    }
}

pub(in crate::model) fn write(dir: &Path, model: &Splade, card: &ModelCard) -> Result<()> {
    replace(dir, |dir| create(dir, model, card))
}

/// Writes a model into an empty folder.
fn create(dir: &Path, model: &Splade, card: &ModelCard) -> Result<()> {
    let (config, encoder) = (model.config(), model.masked_lm().encoder());
    check_weights(dir, encoder)?;
    let json = |name: &str, value: &Value| files::write_json(&dir.join(name), value);
    let pooling: PathBuf = dir.join("1_SpladePooling");
    fs::create_dir_all(&pooling).map_err(Error::io(&pooling))?;
    model.masked_lm().save(dir)?;
    write_texts(dir, encoder, model.tokenizer(), config.max_length)?;
    let strategy = if config.pooling == WordPooling::Max { "max" } else { "sum" };
    let activation = if config.log1p_twice { "log1p_relu" } else { "relu" };
    let stored = json!({
        "pooling_strategy": strategy,
        "activation_function": activation,
        "word_embedding_dimension": null,
    });
    json("1_SpladePooling/config.json", &stored)?;
    let mut own = own_config("SparseEncoder", config.named_prompts(), Similarity::Dot);
    if let Some(most) = config.max_active_dims {
        own["max_active_dims"] = most.into();
    }
    json("config_sentence_transformers.json", &own)?;
    files::write(&dir.join("README.md"), card.render(&kind(model)).as_bytes())?;
    let modules = [("", "MLMTransformer"), ("1_SpladePooling", "SpladePooling")];
    json("modules.json", &list_modules("sentence_transformers.sparse_encoder.models", &modules))
}

/// What the card says.
fn kind(model: &Splade) -> Kind<'static> {
    let (config, dim) = (model.config(), model.dim());
    let mut facts = vec![
        ("Maximum Sequence Length", format!("{} tokens", config.max_length)),
        ("Output Dimensionality", format!("{dim} dimensions")),
        ("Similarity Function", "Dot Product".to_owned()),
    ];
    facts.extend(config.max_active_dims.map(|most| ("Maximum Active Dimensions", most.to_string())));
    facts.extend(prompt_facts(config.named_prompts()));
    let encoder = model.masked_lm().encoder();
    let pooling = json!({ "pooling_strategy": if config.pooling == WordPooling::Max { "max" } else { "sum" } });
    Kind {
        class: "SPLADE Sparse Encoder",
        noun: "[SPLADE sparse encoder](https://www.sbert.net/docs/sparse_encoder/usage/usage.html)",
        purpose: format!(
            "It maps texts to a {dim}-dimensional sparse vector space, a weight for each word of the vocabulary, and can \
             be used for semantic search with an inverted index."
        ),
        tags: &["sentence-transformers", "sparse-encoder", "sparse", "splade"],
        pipeline_tag: "feature-extraction",
        library: "sentence-transformers",
        facts,
        architecture: architecture(&[
            ("MLMTransformer", transformer(encoder, config.max_length)),
            ("SpladePooling", pooling),
        ]),
        python: (
            "sentence-transformers",
            "from sentence_transformers import SparseEncoder

# The folder of the model, or its name on the hub
model = SparseEncoder(\"org/name\")
queries = model.encode_query([\"how is a frame filtered?\"])
documents = model.encode_document([\"filter keeps rows\", \"join adds columns\"])
print(model.similarity(queries, documents))",
        ),
        rust: "use kensaku::prelude::*;

let model = Splade::load(\"org/name\")?;
let vectors = model.encode_texts(&[\"filter keeps rows\", \"join adds columns\"])?;
println!(\"{:?}\", model.decode(&vectors, 10));",
        written_for: "sentence-transformers 5.0 and later",
        citations: &["Splade"],
    }
}
