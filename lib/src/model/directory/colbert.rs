//! Directories of late-interaction models: PyLate's are read and written, which sentence-transformers reads, too; those of
//! sentence-transformers' own are read.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::place::place;
use super::read::unusable;
use super::replace::replace_model;
use super::text::{Task, TextSettings};
use super::write::write_texts;
use crate::loss::Interaction;
use crate::model::bi_encoder::{DOC, QUERY};
use crate::model::card::{Kind, ModelCard, architecture, transformer};
use crate::model::{ColBert, ColBertConfig, TokenPooling};
use crate::nn::{Encoder, Projection, check_config};
use crate::text::Tokenizer;
use crate::{Error, Result, files, folder};

const SETTINGS: &str = "config_sentence_transformers.json";

pub(in crate::model) fn read(path: &Path) -> Result<ColBert> {
    let dir = &*place(path, &|dir| {
        let modules = modules(dir)?;
        check_config(&parts(dir, &modules)?.0.path).map(|_| ())
    })?;
    let modules = modules(dir)?;
    let (transformer, dense, mask, pooling) = parts(dir, &modules)?;
    let (mut encoder, tokenizer, stored) = read_transformer(&transformer.path)?;
    check_dense(&dense.path)?;
    let projection = Projection::load(&mut encoder, &dense.path)?;
    let longest = encoder.config().longest();
    let mut config = match mask {
        None => read_pylate(dir, &tokenizer)?,
        Some(mask) => read_multi_vector(dir, &transformer.path, &mask.path, &tokenizer, stored.max_length)?,
    };
    if let Some(pooling) = pooling {
        config.token_pooling = read_token_pooling(&pooling.path)?;
    }
    config.dim = projection.dim();
    config.query_length = config.query_length.min(longest);
    config.doc_length = config.doc_length.min(longest);
    ColBert::from_parts(encoder, projection, tokenizer, config).map_err(|error| error.of_file(&dir.join(SETTINGS)))
}

/// Transformer, Dense, mask and token pooling.
type Parts<'a> = (&'a Module, &'a Module, Option<&'a Module>, Option<&'a Module>);

/// The modules of PyLate, or those of sentence-transformers, which have a mask.
fn parts<'a>(dir: &Path, modules: &'a [Module]) -> Result<Parts<'a>> {
    let kinds: Vec<&str> = modules.iter().map(|module| module.kind.as_str()).collect();
    match modules {
        [transformer, dense] if kinds == ["Transformer", "Dense"] => Ok((transformer, dense, None, None)),
        [transformer, dense, mask, _, pooling @ ..]
            if kinds[..4] == ["Transformer", "Dense", "MultiVectorMask", "Normalize"]
                && matches!(kinds[4..], [] | ["HierarchicalTokenPooling"]) =>
        {
            Ok((transformer, dense, Some(mask), pooling.first()))
        }
        _ => {
            let problem = if kinds.is_empty() { "no modules".to_owned() } else { kinds.join(", ") };
            let expected = "Transformer, Dense of PyLate, or Transformer, Dense, MultiVectorMask, Normalize (and \
                            HierarchicalTokenPooling) of sentence-transformers; `ColBert::from_encoder` makes a new model of another's encoder";
            Err(unusable(&folder::file(dir, "modules.json")?, problem, expected))
        }
    }
}

/// The encoder and the tokenizer of a directory of any kind.
pub(in crate::model) fn read_encoder(path: &Path) -> Result<(Encoder, Tokenizer)> {
    let dir = &*place(path, &|dir| check_config(&encoder_folder(dir)?).map(|_| ()))?;
    let (encoder, tokenizer, _) = read_transformer(&encoder_folder(dir)?)?;
    Ok((encoder, tokenizer))
}

/// The folder of the first module.
fn encoder_folder(dir: &Path) -> Result<PathBuf> {
    match modules(dir)?.first() {
        None => Ok(dir.to_owned()),
        Some(first) if first.kind == "Transformer" => Ok(first.path.clone()),
        Some(first) => {
            let problem = format!("its first module is `{}`", first.kind);
            Err(unusable(&folder::file(dir, "modules.json")?, problem, "`Transformer`"))
        }
    }
}

fn read_transformer(dir: &Path) -> Result<(Encoder, Tokenizer, TextSettings)> {
    let text = TextSettings::read(dir, Task::HIDDEN_STATES)?;
    let encoder = Encoder::load(dir)?;
    let tokenizer = text.tokenizer(dir)?;
    Ok((encoder, tokenizer, text))
}

struct Module {
    /// The last part of its type.
    kind: String,
    path: PathBuf,
}

/// Those of `modules.json`; none without the file.
fn modules(dir: &Path) -> Result<Vec<Module>> {
    let stored = folder::optional_json(dir, "modules.json")?;
    let module = |module: &Value| {
        let kind = module["type"].as_str().unwrap_or("without a type");
        let path = folder::file(dir, module["path"].as_str().unwrap_or_default())?;
        Ok(Module { kind: kind.rsplit('.').next().unwrap_or_default().to_owned(), path })
    };
    match &stored {
        Value::Null => Ok(Vec::new()),
        Value::Array(modules) => modules.iter().map(module).collect(),
        _ => Err(unusable(&folder::file(dir, "modules.json")?, "it is not a list", "a list of modules")),
    }
}

/// An error for a Dense module that is more than a linear map.
fn check_dense(dir: &Path) -> Result<()> {
    let path = folder::file(dir, "config.json")?;
    let stored: Value = folder::read_json(dir, "config.json")?;
    let identity = |kind: &Value| kind.as_str().is_none_or(|kind| kind.rsplit('.').next() == Some("Identity"));
    let is = |key: &str, value: bool| stored[key].is_null() || stored[key] == value;
    for (key, fits, expected) in [
        ("bias", stored["bias"] == false, "false"),
        ("activation_function", identity(&stored["activation_function"]), "Identity"),
        ("use_residual", is("use_residual", false), "false"),
    ] {
        if !fits {
            return Err(unusable(&path, format!("`{key}` is {}", stored[key]), expected));
        }
    }
    Ok(())
}

fn read_token_pooling(dir: &Path) -> Result<TokenPooling> {
    let path = folder::file(dir, "config.json")?;
    let stored: Value = folder::read_json(dir, "config.json")?;
    let tasks = &stored["tasks"];
    if !(tasks.is_null() || *tasks == json!(["document"])) {
        return Err(unusable(&path, format!("`tasks` is {tasks}"), "[\"document\"]"));
    }
    let default = TokenPooling::default();
    Ok(TokenPooling {
        pool_factor: setting(&path, &stored, "pool_factor")?.unwrap_or(default.pool_factor),
        protected_tokens: setting(&path, &stored, "num_protected_tokens")?.unwrap_or(default.protected_tokens),
        // As there: a file that does not have the setting is from before it.
        normalize: setting(&path, &stored, "normalize_embeddings")?.unwrap_or(false),
    })
}

/// An error for what both kinds of directories have, if it changes vectors.
fn check_settings(path: &Path, stored: &Value, kind: &str) -> Result<Interaction> {
    if stored["model_type"].as_str().is_some_and(|found| found != kind) {
        return Err(unusable(path, format!("model_type is {}", stored["model_type"]), format!("`{kind}`")));
    }
    for key in ["truncate_dim", "default_prompt_name"] {
        if !stored[key].is_null() {
            return Err(unusable(path, format!("{key} is {}", stored[key]), "null"));
        }
    }
    match stored["similarity_fn_name"].as_str() {
        None | Some("MaxSim" | "maxsim") => Ok(Interaction::Sum),
        Some("meanmaxsim") => Ok(Interaction::Mean),
        Some(other) => Err(unusable(path, format!("similarity `{other}`"), "`MaxSim` or `meanmaxsim`")),
    }
}

/// The prompts of queries and documents, if they are tokens of their own, as sentence-transformers stores PyLate's markers;
/// an error for any other.
fn markers(path: &Path, stored: &Value, tokenizer: &Tokenizer) -> Result<[String; 2]> {
    for (name, prompt) in stored["prompts"].as_object().into_iter().flatten() {
        let none = prompt.is_null() || *prompt == "";
        let marker = [QUERY, DOC].contains(&name.as_str())
            && prompt.as_str().is_some_and(|prompt| tokenizer.id(prompt).is_some());
        if !(none || marker) {
            let problem = format!("the prompt `{name}` is {prompt}");
            return Err(unusable(path, problem, "a marker that is one token, of queries or of documents"));
        }
    }
    Ok([QUERY, DOC].map(|name| stored["prompts"][name].as_str().unwrap_or_default().to_owned()))
}

fn read_pylate(dir: &Path, tokenizer: &Tokenizer) -> Result<ColBertConfig> {
    let path = folder::file(dir, SETTINGS)?;
    let stored: Value = folder::optional_json(dir, SETTINGS)?;
    let interaction = check_settings(&path, &stored, "ColBERT")?;
    if markers(&path, &stored, tokenizer)?.iter().any(|prompt| !prompt.is_empty()) {
        return Err(unusable(&path, "there are prompts", "none: `query_prefix` and `document_prefix` are the markers"));
    }
    let default = ColBertConfig::default();
    Ok(ColBertConfig {
        query_length: setting(&path, &stored, "query_length")?.unwrap_or(default.query_length),
        doc_length: setting(&path, &stored, "document_length")?.unwrap_or(default.doc_length),
        query_marker: setting(&path, &stored, "query_prefix")?.unwrap_or(default.query_marker),
        doc_marker: setting(&path, &stored, "document_prefix")?.unwrap_or(default.doc_marker),
        expand_queries: setting(&path, &stored, "do_query_expansion")?.unwrap_or(true),
        attend_to_expansion: setting(&path, &stored, "attend_to_expansion_tokens")?.unwrap_or(false),
        skip_words: setting(&path, &stored, "skiplist_words")?.unwrap_or(default.skip_words),
        interaction,
        token_pooling: setting(&path, &stored, "token_pooling")?.unwrap_or_default(),
        ..ColBertConfig::default()
    })
}

/// A setting of a file, if it has it.
fn setting<T: serde::de::DeserializeOwned>(path: &Path, stored: &Value, key: &str) -> Result<Option<T>> {
    match &stored[key] {
        Value::Null => Ok(None),
        value => serde_json::from_value(value.clone())
            .map(Some)
            .map_err(|error| unusable(path, format!("`{key}` is {value}"), format!("another value ({error})"))),
    }
}

/// The settings of sentence-transformers' `MultiVectorEncoder`.
fn read_multi_vector(
    dir: &Path,
    transformer: &Path,
    mask: &Path,
    tokenizer: &Tokenizer,
    max_length: Option<usize>,
) -> Result<ColBertConfig> {
    const NAME: &str = "sentence_bert_config.json";
    let path = folder::file(dir, SETTINGS)?;
    let stored = folder::optional_json(dir, SETTINGS)?;
    let interaction = check_settings(&path, &stored, "MultiVectorEncoder")?;
    let [query_marker, doc_marker] = markers(&path, &stored, tokenizer)?;
    let (path, stored) = (folder::file(transformer, NAME)?, folder::optional_json(transformer, NAME)?);
    let most = max_length.unwrap_or(usize::MAX);
    let doc_length = setting(&path, &stored, "document_length")?.unwrap_or(most);
    let expansion = &stored["query_expansion"];
    let expand_queries = !expansion.is_null();
    // The length that queries are filled up to may be the only one.
    let filled = setting(&path, expansion, "length")?.unwrap_or(most);
    let query_length = setting(&path, &stored, "query_length")?.unwrap_or(filled);
    if expand_queries {
        for (key, expected) in [("strategy", json!("fixed")), ("token", Value::Null), ("length", json!(query_length))] {
            if expansion[key] != expected {
                let problem = format!("`{key}` of `query_expansion` is {}", expansion[key]);
                return Err(unusable(&path, problem, expected.to_string()));
            }
        }
    }
    let (mask_path, mask) = (folder::file(mask, "config.json")?, folder::read_json::<Value>(mask, "config.json")?);
    if !mask["keep_only_token_ids"].is_null() {
        return Err(unusable(&mask_path, "`keep_only_token_ids` is set", "null"));
    }
    let words: Vec<String> = setting(&mask_path, &mask, "skiplist_words")?.unwrap_or_default();
    let tasks = &mask["skiplist_tasks"];
    if !(words.is_empty() || tasks.is_null() || *tasks == json!(["document"])) {
        return Err(unusable(&mask_path, format!("`skiplist_tasks` is {tasks}"), "[\"document\"]"));
    }
    Ok(ColBertConfig {
        query_length,
        doc_length,
        query_marker,
        doc_marker,
        expand_queries,
        attend_to_expansion: expansion["attend"] == true,
        // sentence-transformers ignores words that are not in the vocabulary; here they would mean `[UNK]`.
        skip_words: words.into_iter().filter(|word| tokenizer.id(word).is_some()).collect(),
        interaction,
        ..ColBertConfig::default()
    })
}

pub(in crate::model) fn write(dir: &Path, model: &ColBert, card: &ModelCard) -> Result<()> {
    replace_model(dir, model.encoder().parameters(), |dir| create(dir, model, card))
}

/// Writes a model into an empty folder.
fn create(dir: &Path, model: &ColBert, card: &ModelCard) -> Result<()> {
    let (config, tokenizer, encoder) = (model.config(), model.tokenizer(), model.encoder());
    let json = |name: &str, value: &Value| files::write_json(&dir.join(name), value);
    let dense = dir.join("1_Dense");
    fs::create_dir_all(&dense).map_err(Error::io(&dense))?;
    encoder.save(dir)?;
    model.projection().save(encoder.merged().parameters(), &dense)?;
    write_texts(dir, encoder, tokenizer, config.query_length.max(config.doc_length))?;
    let map = json!({
        "in_features": encoder.config().hidden_size(),
        "out_features": config.dim,
        "bias": false,
        "activation_function": "torch.nn.modules.linear.Identity",
    });
    json("1_Dense/config.json", &map)?;
    json(SETTINGS, &settings(config))?;
    files::write(&dir.join("README.md"), card.render(&kind(model)).as_bytes())?;
    let module = |index: usize, path: &str, kind: &str| json!({ "idx": index, "name": index.to_string(), "path": path, "type": kind });
    let modules =
        [module(0, "", "sentence_transformers.models.Transformer"), module(1, "1_Dense", "pylate.models.Dense.Dense")];
    json("modules.json", &modules.into_iter().collect())
}

fn settings(config: &ColBertConfig) -> Value {
    let mut settings = json!({
        "model_type": "ColBERT",
        // A version above the reader's own makes Python warn.
        "__version__": { "sentence_transformers": "3.0.0", "transformers": "4.41.0", "pytorch": "2.3.0" },
        "prompts": { "query": "", "document": "" },
        "default_prompt_name": null,
        "similarity_fn_name": match config.interaction {
            // Known to sentence-transformers alone.
            Interaction::Mean => "meanmaxsim",
            // A model has no other.
            _ => "MaxSim",
        },
        "query_prefix": config.query_marker,
        "document_prefix": config.doc_marker,
        "query_length": config.query_length,
        "document_length": config.doc_length,
        "attend_to_expansion_tokens": config.attend_to_expansion,
        "skiplist_words": config.skip_words,
        "do_query_expansion": config.expand_queries,
    });
    // Python knows no such setting of a model, and passes over it.
    if config.token_pooling != TokenPooling::default() {
        settings["token_pooling"] = json!(config.token_pooling);
    }
    settings
}

/// What the card says.
fn kind(model: &ColBert) -> Kind<'static> {
    let (config, encoder) = (model.config(), model.encoder());
    let longest = config.query_length.max(config.doc_length);
    let dense = json!({ "in_features": encoder.config().hidden_size(), "out_features": config.dim, "bias": false });
    Kind {
        class: "ColBERT",
        noun: "[PyLate](https://github.com/lightonai/pylate) model",
        purpose: format!(
            "It maps texts to sequences of {}-dimensional vectors, one a token, and can be used for semantic search with \
             the MaxSim operator.",
            config.dim
        ),
        tags: &["ColBERT", "PyLate", "sentence-transformers", "sentence-similarity", "feature-extraction"],
        pipeline_tag: "sentence-similarity",
        library: "PyLate",
        facts: vec![
            ("Query Length", format!("{} tokens", config.query_length)),
            ("Document Length", format!("{} tokens", config.doc_length)),
            ("Output Dimensionality", format!("{} dimensions", config.dim)),
            ("Similarity Function", "MaxSim".to_owned()),
        ],
        architecture: architecture(&[("Transformer", transformer(encoder, longest)), ("Dense", dense)]),
        python: (
            "pylate",
            "from pylate import models, rank

# The folder of the model, or its name on the hub
model = models.ColBERT(\"org/name\")
documents = [\"filter keeps rows\", \"join adds columns\"]
queries = model.encode([\"how is a frame filtered?\"], is_query=True)
vectors = model.encode([documents], is_query=False)
print(rank.rerank(documents_ids=[[0, 1]], queries_embeddings=queries, documents_embeddings=vectors))",
        ),
        rust: "use kensaku::prelude::*;

let model = ColBert::load(\"org/name\")?;
for hit in model.rank(\"how is a frame filtered?\", &[\"filter keeps rows\", \"join adds columns\"])? {
    println!(\"{:.3}  document {}\", hit.score, hit.index);
}",
        written_for: "PyLate 1.0 and later",
        citations: &["ColBERT"],
    }
}
