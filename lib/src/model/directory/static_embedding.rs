//! Directories of static embeddings: sentence-transformers' `StaticEmbedding`, and model2vec's.

use std::path::Path;

use serde_json::{Value, json};

use super::place::place;
use super::read::{StoredPrompts, disordered, read_modules, read_own_config, read_similarity, unusable};
use super::replace::replace_model;
use super::write::{list_modules, own_config, prompt_facts, similarity_name};
use crate::model::card::{Kind, ModelCard, architecture};
use crate::model::static_embedding::{TABLE, new_table};
use crate::model::{StaticEmbedding, StaticEmbeddingConfig};
use crate::nn::{Parameters, Tensors};
use crate::text::Tokenizer;
use crate::{Error, Result, files, folder};

/// The table in directories of model2vec.
const MODEL2VEC: &str = "embeddings";

pub(in crate::model) fn read(path: &Path) -> Result<StaticEmbedding> {
    const EXPECTED: &str = "StaticEmbedding and optionally Normalize, in this order";
    let dir = &*place(path, &|dir| read_modules(dir, &["StaticEmbedding", "Normalize"], EXPECTED).map(|_| ()))?;
    let mut config = StaticEmbeddingConfig { normalize: false, ..Default::default() };
    let home = match read_modules(dir, &["StaticEmbedding", "Normalize"], EXPECTED)? {
        // One of model2vec, without the file for sentence-transformers.
        None => {
            config.normalize = read_model2vec(dir)?;
            dir.to_owned()
        }
        Some(found) => match &found[..] {
            [(first, home), rest @ ..]
                if first == "StaticEmbedding" && rest.iter().all(|(kind, _)| kind == "Normalize") =>
            {
                config.normalize = !rest.is_empty();
                home.clone()
            }
            _ => return Err(disordered(dir, &found, EXPECTED)),
        },
    };
    read_settings(dir, &mut config)?;
    config.max_length = read_length(&home)?;
    let tokenizer = Tokenizer::load(&home)?;
    let (table, dim, of_model2vec) = read_table(&home)?;
    config.skip_unknown = of_model2vec;
    StaticEmbedding::from_parts(table, dim, tokenizer, config).map_err(|error| match error {
        Error::Shape { found, expected, .. } => {
            unusable(&home.join("model.safetensors"), format!("the table has the shape {found}"), expected)
        }
        other => other.of_file(&home.join("tokenizer.json")),
    })
}

/// Whether a model of model2vec normalises.
fn read_model2vec(dir: &Path) -> Result<bool> {
    let path = folder::file(dir, "config.json")?;
    let stored: Value = folder::optional_json(dir, "config.json")?;
    if stored["model_type"] != "model2vec" {
        let problem = match &stored["model_type"] {
            Value::Null => "no modules.json, and no model_type".to_owned(),
            other => format!("no modules.json, and model_type is {other}"),
        };
        return Err(unusable(&path, problem, "`model2vec`, or a directory of sentence-transformers"));
    }
    match &stored["normalize"] {
        Value::Null => Ok(false),
        Value::Bool(normalize) => Ok(*normalize),
        other => Err(unusable(&path, format!("`normalize` is {other}"), "true or false")),
    }
}

fn read_settings(dir: &Path, config: &mut StaticEmbeddingConfig) -> Result<()> {
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
    config.similarity = read_similarity(&path, &stored)?;
    Ok(())
}

/// The length at which the tokenizer cuts: here, Python obeys it.
fn read_length(dir: &Path) -> Result<Option<usize>> {
    let path = folder::file(dir, "tokenizer.json")?;
    let stored: Value = folder::read_json(dir, "tokenizer.json")?;
    let cut = &stored["truncation"];
    if cut.is_null() {
        return Ok(None);
    }
    if !(cut["direction"].is_null() || cut["direction"] == "Right") {
        return Err(unusable(&path, format!("it cuts texts on the side {}", cut["direction"]), "\"Right\""));
    }
    match cut["max_length"].as_u64().and_then(|length| usize::try_from(length).ok()) {
        Some(length) => Ok(Some(length)),
        None => Err(unusable(&path, format!("it cuts texts to {}", cut["max_length"]), "a number of tokens")),
    }
}

/// The table with a row for each id, its width, and whether it is one of model2vec, which may share rows between ids and
/// have a weight for each.
fn read_table(dir: &Path) -> Result<(Parameters, usize, bool)> {
    let tensors = Tensors::open(dir)?;
    let file = dir.join("model.safetensors");
    let matrix = |name: &str| tensors.shape(name).map(|shape| (name.to_owned(), *shape));
    let (name, [rows, dim]) = (matrix(TABLE).or_else(|| matrix(MODEL2VEC)))
        .ok_or_else(|| unusable(&file, "no table", format!("`{TABLE}` or `{MODEL2VEC}`, a row for each token")))?;
    if dim == 0 {
        return Err(unusable(&file, format!("the shape of `{name}` is [{rows}, {dim}]"), "rows of numbers"));
    }
    let of_model2vec = name == MODEL2VEC;
    let mapping = if of_model2vec { tensors.indices("mapping", rows)? } else { None };
    let mut table = new_table(mapping.as_ref().map_or(rows, Vec::len), dim)?;
    tensors.holds(&name, &[rows, dim])?;
    match mapping {
        None => tensors.read(&name, &mut table.values)?,
        Some(mapping) => {
            let mut shared = vec![0.0; rows * dim];
            tensors.read(&name, &mut shared)?;
            for (row, place) in table.values.chunks_exact_mut(dim).zip(mapping) {
                row.copy_from_slice(&shared[place * dim..][..dim]);
            }
        }
    }
    let ids = table.len() / dim;
    if of_model2vec && tensors.holds("weights", &[ids])? {
        let mut weights = vec![0.0; ids];
        tensors.read("weights", &mut weights)?;
        for (row, weight) in table.values.chunks_exact_mut(dim).zip(weights) {
            row.iter_mut().for_each(|value| *value *= weight);
        }
    }
    Ok((table, dim, of_model2vec))
}

pub(in crate::model) fn write(dir: &Path, model: &StaticEmbedding, card: &ModelCard) -> Result<()> {
    replace_model(dir, model.parameters(), |dir| create(dir, model, card))
}

/// Writes a model into an empty folder.
fn create(dir: &Path, model: &StaticEmbedding, card: &ModelCard) -> Result<()> {
    let config = model.config();
    let json = |name: &str, value: &Value| files::write_json(&dir.join(name), value);
    let of_model2vec = config.skip_unknown;
    if of_model2vec {
        let stored = json!({
            "model_type": "model2vec",
            "architectures": ["StaticModel"],
            "hidden_dim": model.dim(),
            "seq_length": config.max_length.unwrap_or(1_000_000),
            "normalize": config.normalize,
        });
        json("config.json", &stored)?;
    }
    let name = if of_model2vec { MODEL2VEC } else { TABLE };
    let tensors = model
        .parameters()
        .entries()
        .iter()
        .map(|entry| (name.to_owned(), entry.shape.as_slice(), &model.parameters().values[..]));
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    files::write_tensors(&dir.join("model.safetensors"), tensors, Some(metadata))?;
    let tokenizer = model.tokenizer().to_json_with(config.max_length)?;
    files::write(&dir.join("tokenizer.json"), tokenizer.as_bytes())?;
    let own = own_config("SentenceTransformer", config.named_prompts(), config.similarity);
    json("config_sentence_transformers.json", &own)?;
    files::write(&dir.join("README.md"), card.render(&kind(model)).as_bytes())?;
    let mut modules = vec![("", "StaticEmbedding")];
    if config.normalize {
        let path = dir.join("1_Normalize");
        std::fs::create_dir_all(&path).map_err(Error::io(&path))?;
        modules.push(("1_Normalize", "Normalize"));
    }
    json("modules.json", &list_modules("sentence_transformers.models", &modules))
}

/// What the card says.
fn kind(model: &StaticEmbedding) -> Kind<'static> {
    let (config, dim) = (model.config(), model.dim());
    let mut facts = vec![
        ("Output Dimensionality", format!("{dim} dimensions")),
        ("Similarity Function", similarity_name(config.similarity).to_owned()),
    ];
    facts.extend(prompt_facts(config.named_prompts()));
    let mut modules = vec![("StaticEmbedding", json!({ "tokens": model.tokenizer().vocab_size(), "dim": dim }))];
    if config.normalize {
        modules.push(("Normalize", json!({})));
    }
    Kind {
        class: "SentenceTransformer",
        noun: "[sentence-transformers](https://www.SBERT.net) model of static embeddings",
        purpose: format!(
            "It maps texts to a {dim}-dimensional dense vector space by the mean of their tokens' vectors, and can be used \
             for semantic search, semantic similarity and clustering where time is short."
        ),
        tags: &["sentence-transformers", "sentence-similarity", "feature-extraction", "dense", "static-embeddings"],
        pipeline_tag: "sentence-similarity",
        library: "sentence-transformers",
        facts,
        architecture: architecture(&modules),
        python: (
            "sentence-transformers",
            "from sentence_transformers import SentenceTransformer

# The folder of the model, or its name on the hub
model = SentenceTransformer(\"org/name\")
vectors = model.encode([\"filter keeps rows\", \"join adds columns\"])
print(model.similarity(vectors, vectors))",
        ),
        rust: "use kensaku::prelude::*;

let model = StaticEmbedding::load(\"org/name\")?;
let vectors = model.encode_texts(&[\"filter keeps rows\", \"join adds columns\"])?;
println!(\"{}\", model.similarity(&vectors, &vectors)?);",
        written_for: "sentence-transformers 3.2 and later",
        citations: &["Sentence-BERT"],
    }
}
