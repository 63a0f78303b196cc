//! Directories of two towers: a router, and behind it the modules of two bi-encoders.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::place::place;
use super::read::{Modules, disordered, read_module, read_modules, read_settings, unusable};
use super::replace::replace_model;
use super::router::{self, Router};
use super::write::{described, kind, list_modules, settings, write_modules};
use crate::model::bi_encoder::{DOC, QUERY};
use crate::model::card::{Kind, ModelCard, architecture};
use crate::model::{BiEncoder, BiEncoderConfig, TwoTowers};
use crate::nn::check_config;
use crate::{Error, Result, files};

const MODULES: &str = "a Router, and at most Normalize behind it; `BiEncoder::load` reads a model with one encoder";
const ROUTES: &str = "the routes `query` and `document`, each with Transformer and Pooling, then any of Dense, LayerNorm, \
                      Normalize; `Splade::load` reads those of sparse vectors";

pub(in crate::model) fn read(path: &Path) -> Result<TwoTowers> {
    let dir = &*place(path, &|dir| {
        let check = |modules: &Modules| check_config(&modules.transformer).map(|_| ());
        towers(dir)?.iter().try_for_each(check)
    })?;
    let mut own = BiEncoderConfig::default();
    let path = read_settings(dir, &mut own)?;
    let [query, doc] = towers(dir)?.map(|modules| {
        let mut config = own.clone();
        let text = modules.read_settings(&mut config)?;
        modules.load(config, &text)
    });
    TwoTowers::new(query?, doc?).map_err(|error| error.of_file(&path))
}

/// The modules of queries and of documents.
fn towers(dir: &Path) -> Result<[Modules; 2]> {
    let found = read_modules(dir, &["Router", "Normalize"], MODULES)?.unwrap_or_default();
    let (router, normalize) = match &found[..] {
        [(router, home)] if router == "Router" => (Router::read(home, ROUTES)?, false),
        [(router, home), (normalize, after)] if router == "Router" && normalize == "Normalize" => {
            read_module(normalize, after)?;
            (Router::read(home, ROUTES)?, true)
        }
        _ => return Err(disordered(dir, &found, MODULES)),
    };
    let weighted = |kind: &str| kind != "Pooling" && kind != "Normalize";
    if let Some((_, shared)) = router.query.iter().find(|module| weighted(&module.0) && router.doc.contains(module)) {
        let problem = format!("`{}` is in both routes, so that its weights are one", name(shared));
        return Err(unusable(&router.path, problem, "modules of its own in each route"));
    }
    let tower = |modules: &[(String, PathBuf)]| {
        let mut modules = Modules::of(modules)?.ok_or_else(|| router.other(ROUTES))?;
        modules.normalize |= normalize;
        Ok::<_, Error>(modules)
    };
    Ok([tower(&router.query)?, tower(&router.doc)?])
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

pub(in crate::model) fn write(dir: &Path, model: &TwoTowers, card: &ModelCard) -> Result<()> {
    replace_model(dir, model.parameters(), |dir| create(dir, model, card))
}

/// Writes a model into an empty folder.
fn create(dir: &Path, model: &TwoTowers, card: &ModelCard) -> Result<()> {
    let (query, doc) = model.clone().into_towers();
    let json = |name: &str, value: &Value| files::write_json(&dir.join(name), value);
    json("config_sentence_transformers.json", &settings(doc.config()))?;
    files::write(&dir.join("README.md"), card.render(&kind_of(&query, &doc)).as_bytes())?;
    let route = |name: &str, tower: &BiEncoder| -> Result<Vec<(String, String)>> {
        let modules = write_modules(dir, tower, |number, class| format!("{name}_{number}_{class}"))?;
        // The module of a class has its name.
        Ok(modules.into_iter().map(|(path, class)| (path, format!("{HOME}.{class}.{class}"))).collect())
    };
    router::write(dir, &route(QUERY, &query)?, &route(DOC, &doc)?)?;
    json("modules.json", &list_modules(HOME, &[("", "Router")]))
}

const HOME: &str = "sentence_transformers.models";

/// What the card says.
fn kind_of(query: &BiEncoder, doc: &BiEncoder) -> Kind<'static> {
    let own = kind(doc);
    let [queries, docs] = [query, doc].map(|tower| tower.config().max_length);
    let length = ("Maximum Sequence Length", format!("{queries} tokens of a query, {docs} of a document"));
    let facts = std::iter::once(length).chain(own.facts.into_iter().skip(1)).collect();
    let [query, doc] = [query, doc].map(|tower| architecture(&described(tower)).replace('\n', "\n    "));
    Kind {
        purpose: format!("{} Queries and documents pass through encoders of their own.", own.purpose),
        facts,
        architecture: format!("(\n  (0): Router(\n    ({QUERY}): {query}\n    ({DOC}): {doc}\n  )\n)"),
        tags: &["sentence-transformers", "sentence-similarity", "feature-extraction", "dense", "asymmetric", "Router"],
        rust: "use kensaku::prelude::*;

let model = TwoTowers::load(\"org/name\")?;
let queries = model.encode_queries(&Queries::from_texts([\"how is a frame filtered?\"])?)?;
let docs = model.encode(&[\"filter keeps rows\", \"join adds columns\"], Role::Doc)?;
println!(\"{}\", model.similarity(&queries.vectors, &docs)?);",
        written_for: "sentence-transformers 5.0 and later",
        ..own
    }
}
