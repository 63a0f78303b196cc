//! Directories of SPLADE models: the root is a masked language model of transformers.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::place::place;
use super::read::{StoredPrompts, disordered, read_modules, read_own_config, unusable};
use super::replace::replace_model;
use super::router::{self, Router};
use super::text::{Task, TextSettings};
use super::write::{list_modules, own_config, prompt_facts, write_texts, write_tokenizer};
use crate::loss::Similarity;
use crate::model::card::{Kind, ModelCard, architecture, transformer};
use crate::model::{QueryWeights, Splade, SpladeConfig};
use crate::nn::{MaskedLm, Tensors, WordPooling, check_config};
use crate::{Error, Result, files, folder};

const KINDS: [&str; 4] = ["MLMTransformer", "Transformer", "SpladePooling", "Router"];
const EXPECTED: &str = "MLMTransformer (or Transformer) and SpladePooling, in this order, or a Router alone; `TwoTowers::load` \
                        reads a router of dense vectors";

/// The folder of the encoder.
fn home(dir: &Path) -> Result<PathBuf> {
    match read_modules(dir, &KINDS, EXPECTED)?.unwrap_or_default().first() {
        None => Ok(dir.to_owned()),
        Some((kind, _)) if kind == "Router" => Ok(Routes::read(dir)?.docs),
        Some((_, home)) => Ok(home.clone()),
    }
}

pub(in crate::model) fn read(path: &Path) -> Result<Splade> {
    let dir = &*place(path, &|dir| check_config(&home(dir)?).map(|_| ()))?;
    let mut config = SpladeConfig::default();
    let mut queries = None;
    let home = match read_modules(dir, &KINDS, EXPECTED)? {
        // A bare masked language model: pooled by its maxima, as sentence-transformers does.
        None => dir.to_owned(),
        Some(found) => match &found[..] {
            [(first, home), (second, pooling)]
                if ["MLMTransformer", "Transformer"].contains(&first.as_str()) && second == "SpladePooling" =>
            {
                read_pooling(pooling, &mut config)?;
                home.clone()
            }
            [(router, place)] if router == "Router" => {
                let routes = Routes::read(place)?;
                read_pooling(&routes.pooling, &mut config)?;
                queries = Some(routes.queries);
                routes.docs
            }
            _ => return Err(disordered(dir, &found, EXPECTED)),
        },
    };
    read_settings(dir, &mut config)?;
    let text = TextSettings::read(&home, Task::WORDS)?;
    let head = MaskedLm::load(&home)?;
    let tokenizer = text.tokenizer(&home)?;
    let longest = head.encoder().config().longest();
    config.max_length = text.max_length.unwrap_or(longest).min(longest);
    let Some(queries) = queries else {
        return Splade::from_parts(head, tokenizer, config).map_err(|error| error.of_file(&text.path));
    };
    // The prompt before queries takes no room in the encoder, but a model without a table does not know that yet.
    let plain = SpladeConfig { query_prompt: String::new(), default_prompt: None, ..config.clone() };
    let model = Splade::from_parts(head, tokenizer, plain).map_err(|error| error.of_file(&text.path))?;
    let text = TextSettings::read(&queries, Task::WORDS)?;
    config.query_length = text.max_length;
    config.query_weights = read_query_weights(&queries)?;
    let tensors = Tensors::open(&queries)?;
    let mut weights = vec![0.0; model.dim()];
    if !tensors.holds("weight", &[weights.len()])? {
        return Err(tensors.missing("weight", &[weights.len()]));
    }
    tensors.read("weight", &mut weights)?;
    let model = model.with_query_weights(text.tokenizer(&queries)?, &weights);
    model.and_then(|model| model.with_config(config)).map_err(|error| error.of_file(&text.path))
}

/// The folders of a model whose queries are looked up.
struct Routes {
    queries: PathBuf,
    docs: PathBuf,
    pooling: PathBuf,
}

impl Routes {
    fn read(dir: &Path) -> Result<Self> {
        const EXPECTED: &str = "the routes `query` with SparseStaticEmbedding, and `document` with MLMTransformer (or \
                                Transformer) and SpladePooling; `TwoTowers::load` reads those of dense vectors";
        let router = Router::read(dir, EXPECTED)?;
        match (&router.query[..], &router.doc[..]) {
            ([(table, queries)], [(first, docs), (second, pooling)])
                if table == "SparseStaticEmbedding"
                    && ["MLMTransformer", "Transformer"].contains(&first.as_str())
                    && second == "SpladePooling" =>
            {
                Ok(Self { queries: queries.clone(), docs: docs.clone(), pooling: pooling.clone() })
            }
            _ => Err(router.other(EXPECTED)),
        }
    }
}

/// Whether the weights of query words train.
fn read_query_weights(dir: &Path) -> Result<QueryWeights> {
    let path = folder::file(dir, "config.json")?;
    let stored = folder::optional_json(dir, "config.json")?;
    for (key, value) in stored.as_object().into_iter().flatten() {
        if !(key == "frozen" && value.is_boolean() || value.is_null()) {
            return Err(unusable(&path, format!("`{key}` is {value}"), "`frozen` alone, true or false"));
        }
    }
    Ok(if stored["frozen"] == true { QueryWeights::Fixed } else { QueryWeights::Trained })
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
    replace_model(dir, model.encoder().parameters(), |dir| create(dir, model, card))
}

/// Writes a model into an empty folder.
fn create(dir: &Path, model: &Splade, card: &ModelCard) -> Result<()> {
    let (config, encoder) = (model.config(), model.masked_lm().encoder());
    let json = |name: &str, value: &Value| files::write_json(&dir.join(name), value);
    let router = model.query_weights().is_some();
    let (home, pooling) = if router { (DOCS, DOCS_POOLING) } else { ("", "1_SpladePooling") };
    for place in [home, pooling] {
        fs::create_dir_all(dir.join(place)).map_err(Error::io(dir.join(place)))?;
    }
    model.masked_lm().save(dir.join(home))?;
    write_texts(&dir.join(home), encoder, model.tokenizer(), config.max_length)?;
    let strategy = if config.pooling == WordPooling::Max { "max" } else { "sum" };
    let activation = if config.log1p_twice { "log1p_relu" } else { "relu" };
    let stored = json!({
        "pooling_strategy": strategy,
        "activation_function": activation,
        "word_embedding_dimension": null,
    });
    json(&format!("{pooling}/config.json"), &stored)?;
    let mut own = own_config("SparseEncoder", config.named_prompts(), Similarity::Dot);
    if let Some(most) = config.max_active_dims {
        own["max_active_dims"] = most.into();
    }
    json("config_sentence_transformers.json", &own)?;
    files::write(&dir.join("README.md"), card.render(&kind(model)).as_bytes())?;
    if router {
        write_queries(dir, model)?;
        return json("modules.json", &list_modules("sentence_transformers.models", &[("", "Router")]));
    }
    let modules = [("", "MLMTransformer"), ("1_SpladePooling", "SpladePooling")];
    json("modules.json", &list_modules("sentence_transformers.sparse_encoder.models", &modules))
}

/// Writes the weights of query words, and which way queries and documents go.
fn write_queries(dir: &Path, model: &Splade) -> Result<()> {
    let (config, home) = (model.config(), dir.join(QUERIES));
    fs::create_dir_all(&home).map_err(Error::io(&home))?;
    write_tokenizer(&home, model.encoder(), model.query_tokenizer(), config.query_length)?;
    files::write_json(&home.join("config.json"), &json!({ "frozen": config.query_weights == QueryWeights::Fixed }))?;
    let weights = model.query_weights().unwrap_or_default();
    let shape = [weights.len()];
    let tensor = std::iter::once(("weight".to_owned(), &shape[..], weights));
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    files::write_tensors(&home.join("model.safetensors"), tensor, Some(metadata))?;
    // The module of a class has its name.
    let module = |folder: &str| {
        let kind = folder.rsplit('_').next().unwrap_or_default();
        (folder.to_owned(), format!("sentence_transformers.sparse_encoder.models.{kind}.{kind}"))
    };
    router::write(dir, &[module(QUERIES)], &[module(DOCS), module(DOCS_POOLING)])
}

const QUERIES: &str = "query_0_SparseStaticEmbedding";
const DOCS: &str = "document_0_MLMTransformer";
const DOCS_POOLING: &str = "document_1_SpladePooling";

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
