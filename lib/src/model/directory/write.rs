//! Writing a directory.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::read::MODES;
use super::replace::replace_model;
use crate::loss::Similarity;
use crate::model::bi_encoder::{DOC, QUERY};
use crate::model::card::{Kind, ModelCard, architecture, transformer};
use crate::model::texts::Prompts;
use crate::model::{BiEncoder, BiEncoderConfig, Pooling};
use crate::nn::{Encoder, VectorModule};
use crate::text::Tokenizer;
use crate::{Error, Result, files};

pub(in crate::model) fn write(dir: &Path, model: &BiEncoder, card: &ModelCard) -> Result<()> {
    replace_model(dir, model.encoder().parameters(), |dir| create(dir, model, card))
}

/// Writes a model into an empty folder.
fn create(dir: &Path, model: &BiEncoder, card: &ModelCard) -> Result<()> {
    let json = |name: &str, value: &Value| files::write_json(&dir.join(name), value);
    json("config_sentence_transformers.json", &settings(model.config()))?;
    files::write(&dir.join("README.md"), card.render(&kind(model)).as_bytes())?;
    let place = |number: usize, class: &str| if number == 0 { String::new() } else { format!("{number}_{class}") };
    let modules = write_modules(dir, model, place)?;
    let modules: Vec<(&str, &str)> = modules.iter().map(|(place, class)| (place.as_str(), *class)).collect();
    json("modules.json", &list_modules("sentence_transformers.models", &modules))
}

/// Writes the modules, each into the folder that `place` makes of its number and its class; those are listed.
pub(super) fn write_modules(
    dir: &Path,
    model: &BiEncoder,
    place: impl Fn(usize, &str) -> String,
) -> Result<Vec<(String, &'static str)>> {
    let config = model.config();
    let mut modules = Vec::new();
    let mut next = |class: &'static str| {
        let place = place(modules.len(), class);
        let folder = dir.join(&place);
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        modules.push((place, class));
        Ok::<_, Error>(folder)
    };
    let home = next("Transformer")?;
    model.encoder().save(&home)?;
    write_texts(&home, model.encoder(), model.tokenizer(), config.max_length)?;
    files::write_json(&next("Pooling")?.join("config.json"), &pooling(model))?;
    for (module, own, input) in model.modules().iter() {
        let folder = next(module.name())?;
        if let Some(stored) = module_config(module, input) {
            files::write_json(&folder.join("config.json"), &stored)?;
        }
        model.modules().save(model.encoder().parameters(), own, &folder)?;
    }
    if config.normalize {
        next("Normalize")?;
    }
    Ok(modules)
}

/// The settings of a whole bi-encoder.
pub(super) fn settings(config: &BiEncoderConfig) -> Value {
    let mut own = own_config("SentenceTransformer", config.named_prompts(), config.similarity);
    if let Some(dim) = config.truncate_dim {
        own["truncate_dim"] = dim.into();
    }
    own
}

/// The settings of a module after pooling that reads `input` numbers; Normalize has none.
fn module_config(module: VectorModule, input: usize) -> Option<Value> {
    match module {
        VectorModule::Dense { dim, bias, activation, residual } => {
            let mut stored = json!({
                "in_features": input,
                "out_features": dim,
                "bias": bias,
                "activation_function": activation.class(),
            });
            // Older versions do not know the key.
            if residual {
                stored["use_residual"] = true.into();
            }
            Some(stored)
        }
        VectorModule::LayerNorm => Some(json!({ "dimension": input })),
        VectorModule::Normalize => None,
    }
}

/// The list of modules: the folder and the class of each, in a Python module.
pub(super) fn list_modules(home: &str, modules: &[(&str, &str)]) -> Value {
    let module = |(index, (path, kind)): (usize, &(&str, &str))| json!({ "idx": index, "name": index.to_string(), "path": path, "type": format!("{home}.{kind}") });
    modules.iter().enumerate().map(module).collect()
}

/// Writes what says how texts become tokens.
pub(super) fn write_texts(dir: &Path, encoder: &Encoder, tokenizer: &Tokenizer, max_length: usize) -> Result<()> {
    write_tokenizer(dir, encoder, tokenizer, Some(max_length))?;
    // A tokenizer that lower-cases does so by itself.
    let settings = json!({ "max_seq_length": max_length, "do_lower_case": false });
    files::write_json(&dir.join("sentence_bert_config.json"), &settings)
}

/// The files of the tokenizer, of texts of any length if there is no maximum.
pub(in crate::model) fn write_tokenizer(
    dir: &Path,
    encoder: &Encoder,
    tokenizer: &Tokenizer,
    max_length: Option<usize>,
) -> Result<()> {
    tokenizer.save(dir.join("tokenizer.json"))?;
    files::write_json(&dir.join("tokenizer_config.json"), &tokenizer_config(encoder, tokenizer, max_length))?;
    files::write_json(&dir.join("special_tokens_map.json"), &Value::Object(special_tokens(tokenizer)))
}

/// The classes of the modules with their settings.
pub(super) fn described(model: &BiEncoder) -> Vec<(&'static str, Value)> {
    let config = model.config();
    let names: Vec<&str> = config.pooling.parts().iter().map(Pooling::name).collect();
    let mut modules = vec![
        ("Transformer", transformer(model.encoder(), config.max_length)),
        ("Pooling", json!({ "pooling_mode": names, "include_prompt": config.include_prompt })),
    ];
    for (module, _, input) in model.modules().iter() {
        modules.push((module.name(), module_config(module, input).unwrap_or_else(|| json!({}))));
    }
    if config.normalize {
        modules.push(("Normalize", json!({})));
    }
    modules
}

/// What the card says.
pub(super) fn kind(model: &BiEncoder) -> Kind<'static> {
    let (config, dim) = (model.config(), model.dim());
    let has_residual = config.modules.iter().any(|module| matches!(module, VectorModule::Dense { residual: true, .. }));
    let mut facts = vec![
        ("Maximum Sequence Length", format!("{} tokens", config.max_length)),
        ("Output Dimensionality", format!("{dim} dimensions")),
        ("Similarity Function", similarity_name(config.similarity).to_owned()),
    ];
    facts.extend(prompt_facts(config.named_prompts()));
    Kind {
        class: "SentenceTransformer",
        noun: "[sentence-transformers](https://www.SBERT.net) model",
        purpose: format!(
            "It maps texts to a {dim}-dimensional dense vector space and can be used for semantic search, semantic \
             similarity and clustering."
        ),
        tags: &["sentence-transformers", "sentence-similarity", "feature-extraction", "dense"],
        pipeline_tag: "sentence-similarity",
        library: "sentence-transformers",
        facts,
        architecture: architecture(&described(model)),
        python: (
            "sentence-transformers",
            "from sentence_transformers import SentenceTransformer

# The folder of the model, or its name on the hub
model = SentenceTransformer(\"org/name\")
queries = model.encode_query([\"how is a frame filtered?\"])
documents = model.encode_document([\"filter keeps rows\", \"join adds columns\"])
print(model.similarity(queries, documents))",
        ),
        rust: "use kensaku::prelude::*;

let model = BiEncoder::load(\"org/name\")?;
let queries = model.encode_queries(&Queries::from_texts([\"how is a frame filtered?\"])?)?;
let docs = model.encode_texts(&[\"filter keeps rows\", \"join adds columns\"])?;
println!(\"{}\", model.similarity(&queries.vectors, &docs)?);",
        written_for: if has_residual { "sentence-transformers 6.2" } else { "sentence-transformers 3.0 and later" },
        citations: &["Sentence-BERT"],
    }
}

/// As cards name it.
pub(super) fn similarity_name(similarity: Similarity) -> &'static str {
    match similarity {
        Similarity::Cosine => "Cosine Similarity",
        Similarity::Dot => "Dot Product",
        Similarity::Euclidean => "Euclidean Distance",
        Similarity::Manhattan => "Manhattan Distance",
    }
}

/// The prompts that are set.
pub(super) fn prompt_facts(prompts: Prompts<'_>) -> Vec<(&'static str, String)> {
    let set = [("Query Prompt", prompts.query), ("Document Prompt", prompts.doc)];
    set.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, format!("`{text}`"))).collect()
}

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

/// The settings of a whole model.
pub(super) fn own_config(kind: &str, prompts: Prompts<'_>, similarity: Similarity) -> Value {
    let mut all = prompts.others.clone();
    all.insert(QUERY.to_owned(), prompts.query.to_owned());
    all.insert(DOC.to_owned(), prompts.doc.to_owned());
    json!({
        "model_type": kind,
        // A version above the reader's own makes Python warn.
        "__version__": { "sentence_transformers": "3.0.0", "transformers": "4.41.0", "pytorch": "2.3.0" },
        "prompts": all,
        "default_prompt_name": prompts.default,
        "similarity_fn_name": similarity,
    })
}

fn tokenizer_config(encoder: &Encoder, tokenizer: &Tokenizer, max_length: Option<usize>) -> Value {
    // What the encoder takes: transformers 4 passes on all that a tokenizer gives, and knows no family here.
    let mut inputs = vec!["input_ids", "attention_mask"];
    if encoder.spec().segments > 1 {
        inputs.insert(1, "token_type_ids");
    }
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        // What transformers takes for no limit.
        "model_max_length": max_length.map_or(json!(1e30), Value::from),
        "model_input_names": inputs,
        "clean_up_tokenization_spaces": true,
    });
    let Value::Object(mut config) = config else { return config };
    config.extend(special_tokens(tokenizer));
    Value::Object(config)
}

/// The special tokens that the vocabulary has, BERT's or RoBERTa's: Python would append others to it.
fn special_tokens(tokenizer: &Tokenizer) -> Map<String, Value> {
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
