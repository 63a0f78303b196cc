//! Directories of cross-encoders: a Hugging Face directory of a model for sequence classification, with the activation in
//! `config.json` (the older schema, which is written) or in `config_sentence_transformers.json`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Activation, CrossEncoder, CrossEncoderConfig};
use crate::model::card::{Kind, ModelCard, architecture, transformer};
use crate::model::directory::{Task, TextSettings, place, replace_model, unusable, write_tokenizer};
use crate::nn::{Classifier, check_config};
use crate::{Result, files, folder};

const SIGMOID: &str = "torch.nn.modules.activation.Sigmoid";
const SOFTMAX: &str = "torch.nn.modules.activation.Softmax";
const IDENTITY: &str = "torch.nn.modules.linear.Identity";

const SETTINGS: &str = "config_sentence_transformers.json";

pub(super) fn read(path: &Path) -> Result<CrossEncoder> {
    let dir = &*place(path, &|dir| settings(dir).and_then(|_| check_config(dir)).map(|_| ()))?;
    let (config, stored) = settings(dir)?;
    let classifier = Classifier::load(dir)?;
    let activation = activation(dir, &config, &stored, classifier.labels().len())?;
    with_tokenizer(dir, Task::LABELS, classifier, activation)
}

/// The two files of settings, which decide without weights whether it is a cross-encoder.
fn settings(dir: &Path) -> Result<(Value, Value)> {
    const EXPECTED: &str = "a directory of a cross-encoder, or of a Hugging Face model for sequence classification";
    let config: Value = folder::read_json(dir, "config.json")?;
    let architecture = config["architectures"][0].as_str().unwrap_or_default();
    if !architecture.ends_with("ForSequenceClassification") {
        let problem = format!("the architecture is `{architecture}`");
        let expected = format!("{EXPECTED}; `CrossEncoder::from_encoder` puts a new head on another one");
        return Err(unusable(&folder::file(dir, "config.json")?, problem, expected));
    }
    check_modules(dir)?;
    let stored = folder::optional_json(dir, SETTINGS)?;
    check_settings(&folder::file(dir, SETTINGS)?, &stored)?;
    Ok((config, stored))
}

pub(super) fn read_encoder(path: &Path, labels: usize, seed: u64) -> Result<CrossEncoder> {
    let dir = &*place(path, &|dir| check_config(dir).map(|_| ()))?;
    let activation = if labels == 1 { Activation::Sigmoid } else { Activation::Identity };
    with_tokenizer(dir, Task::HIDDEN_STATES, Classifier::load_for(dir, labels, seed)?, activation)
}

fn with_tokenizer(dir: &Path, task: Task, classifier: Classifier, activation: Activation) -> Result<CrossEncoder> {
    let text = TextSettings::read(dir, task)?;
    let tokenizer = text.tokenizer(dir)?;
    let longest = classifier.encoder().config().longest();
    let max_length = text.max_length.unwrap_or(longest).min(longest);
    let config = CrossEncoderConfig { max_length, activation, ..Default::default() };
    CrossEncoder::from_parts(classifier, tokenizer, config).map_err(|error| error.of_file(&text.path))
}

/// The newer schema lists modules: the model must be the only one.
fn check_modules(dir: &Path) -> Result<()> {
    let path = folder::file(dir, "modules.json")?;
    if !path.exists() {
        return Ok(());
    }
    let modules: Value = folder::read_json(dir, "modules.json")?;
    let kinds = modules.as_array().map(|modules| {
        let kind = |module: &Value| module["type"].as_str().unwrap_or_default().rsplit('.').next().map(str::to_owned);
        modules.iter().filter_map(kind).collect::<Vec<_>>()
    });
    match kinds {
        Some(kinds) if kinds == ["Transformer"] && modules[0]["path"].as_str().unwrap_or_default().is_empty() => Ok(()),
        kinds => {
            let problem = kinds.map_or("it is not a list of modules".to_owned(), |kinds| kinds.join(", "));
            Err(unusable(&path, problem, "Transformer alone, in the folder of the model"))
        }
    }
}

/// An error for settings that this library would ignore.
fn check_settings(path: &Path, stored: &Value) -> Result<()> {
    if let Some(kind) = stored["model_type"].as_str().filter(|kind| *kind != "CrossEncoder") {
        return Err(unusable(path, format!("model_type is `{kind}`"), "`CrossEncoder`"));
    }
    let prompt = stored["prompts"].as_object().into_iter().flatten().find(|(_, prompt)| !is_empty(prompt));
    match prompt {
        Some((name, _)) => Err(unusable(path, format!("there is a prompt `{name}`"), "no prompts")),
        None => Ok(()),
    }
}

fn is_empty(prompt: &Value) -> bool {
    prompt.is_null() || prompt == ""
}

/// As either schema stores it, or an old one: for one label a sigmoid if nothing is said.
fn activation(dir: &Path, config: &Value, stored: &Value, labels: usize) -> Result<Activation> {
    let (in_config, in_settings) = (folder::file(dir, "config.json")?, folder::file(dir, SETTINGS)?);
    let places: [(&PathBuf, &Value); 3] = [
        (&in_settings, &stored["activation_fn"]),
        (&in_config, &config["sentence_transformers"]["activation_fn"]),
        (&in_config, &config["sbert_ce_default_activation_function"]),
    ];
    let Some((path, name)) = places.into_iter().find(|(_, name)| !name.is_null()) else {
        return Ok(if labels == 1 { Activation::Sigmoid } else { Activation::Identity });
    };
    match name.as_str() {
        Some(SIGMOID) => Ok(Activation::Sigmoid),
        Some(IDENTITY) => Ok(Activation::Identity),
        Some(SOFTMAX) => Ok(Activation::Softmax),
        _ => Err(unusable(path, format!("the activation is {name}"), format!("{SIGMOID}, {SOFTMAX} or {IDENTITY}"))),
    }
}

pub(super) fn write(dir: &Path, model: &CrossEncoder, card: &ModelCard) -> Result<()> {
    replace_model(dir, model.encoder().parameters(), |dir| create(dir, model, card))
}

fn create(dir: &Path, model: &CrossEncoder, card: &ModelCard) -> Result<()> {
    let activation = match model.config.activation {
        Activation::Sigmoid => SIGMOID,
        Activation::Softmax => SOFTMAX,
        Activation::Identity => IDENTITY,
    };
    // A version above the reader's own makes Python warn.
    let keys = json!({ "sentence_transformers": { "activation_fn": activation, "version": "4.0.1" } });
    model.classifier.save_with(dir, keys)?;
    write_tokenizer(dir, model.encoder(), &model.tokenizer, Some(model.config.max_length))?;
    files::write(&dir.join("README.md"), card.render(&kind(model)).as_bytes())
}

/// What the card says.
fn kind(model: &CrossEncoder) -> Kind<'static> {
    let (labels, length) = (model.labels().len(), model.config.max_length);
    let class = format!("{}ForSequenceClassification", model.encoder().config().class());
    let mut settings = transformer(model.encoder(), length);
    settings["architecture"] = class.into();
    Kind {
        class: "CrossEncoder",
        noun: "[cross-encoder](https://www.sbert.net/docs/cross_encoder/usage/usage.html) model",
        purpose: "It computes scores for pairs of texts, which can be used for reranking and for classifying pairs."
            .to_owned(),
        tags: &["sentence-transformers", "cross-encoder", "reranker"],
        pipeline_tag: "text-ranking",
        library: "sentence-transformers",
        facts: vec![
            ("Maximum Sequence Length", format!("{length} tokens")),
            ("Number of Output Labels", format!("{labels} label{}", if labels == 1 { "" } else { "s" })),
        ],
        architecture: architecture(&[("Transformer", settings)]),
        python: (
            "sentence-transformers",
            "from sentence_transformers import CrossEncoder

# The folder of the model, or its name on the hub
model = CrossEncoder(\"org/name\")
print(model.predict([(\"how is a frame filtered?\", \"filter keeps rows\")]))
print(model.rank(\"how is a frame filtered?\", [\"filter keeps rows\", \"join adds columns\"]))",
        ),
        rust: "use kensaku::prelude::*;

let model = CrossEncoder::load(\"org/name\")?;
for hit in model.rank(\"how is a frame filtered?\", &[\"filter keeps rows\", \"join adds columns\"])? {
    println!(\"{:.3}  document {}\", hit.score, hit.index);
}",
        written_for: "sentence-transformers 4.0 and later",
        citations: &["Sentence-BERT"],
    }
}
