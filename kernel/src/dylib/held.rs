//! The crates inside the dylib, with the data needed to use them in place of cargo's.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::Table;

use crate::units::{Graph, Package, Unit};

/// A library that cargo has built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// The name in code: `candle_core`.
    pub(crate) name: String,
    /// The name in Cargo.toml: `candle-core`.
    pub(crate) package: String,
    pub(crate) version: String,
    pub(crate) features: Vec<String>,
    pub(crate) library: std::path::PathBuf,
}

/// A crate inside the dylib, or a procedural macro of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) part: Part,
    /// Its source, as named by `[patch]` in Cargo.toml.
    pub(crate) place: String,
    /// All its features, enabled or not.
    pub(crate) offered: Vec<String>,
    /// Whether its build script passes metadata to those of its dependents.
    pub(crate) links: bool,
    /// The held crates it depends on, without macros, which define no types.
    pub(crate) needs: Vec<usize>,
}

impl Held {
    pub(crate) fn is_macro(&self) -> bool {
        self.part.library.extension().is_some_and(|kind| kind == std::env::consts::DLL_EXTENSION)
    }
}

/// The dependencies of `root`, a package of `graph`, and their macros. `built` are cargo's messages.
pub(super) fn held(graph: &Graph, root: &str, built: &[Value]) -> Result<Vec<Held>> {
    let is_root = |unit: &Unit| unit.is_library() && Package::read(&unit.package).is_some_and(|of| of.name == root);
    let root = graph.units.iter().position(is_root).with_context(|| format!("{root} is missing in cargo's build"))?;
    let mut units = graph.below([root]);
    let macros: Vec<usize> = units.iter().flat_map(|at| edges(graph, *at)).collect();
    units.extend(macros.into_iter().filter(|at| graph.units[*at].is_macro()));
    let mut parts = BTreeMap::new();
    for message in built {
        if let Some(part) = Part::read(message) {
            parts.insert(key_of_message(message), part);
        }
    }
    // Only crates of a registry or a folder can be patched.
    let found = units.into_iter().filter_map(|at| {
        let unit = &graph.units[at];
        let place = Package::read(&unit.package)?.patched()?.to_owned();
        Some((at, (place, parts.remove(&key(unit))?)))
    });
    let found: BTreeMap<usize, (String, Part)> = found.collect();
    let numbers: BTreeMap<usize, usize> = found.keys().enumerate().map(|(number, at)| (*at, number)).collect();
    let held = found.into_iter().map(|(at, (place, part))| {
        let manifest = manifest(&graph.units[at].target.src_path).unwrap_or_default();
        let needs = edges(graph, at).filter(|to| graph.units[*to].is_library());
        Held {
            offered: offered(&manifest, &part.features),
            links: manifest.get("package").is_some_and(|package| package.get("links").is_some()),
            needs: needs.filter_map(|to| numbers.get(&to).copied()).collect(),
            part,
            place,
        }
    });
    Ok(held.collect())
}

fn edges(graph: &Graph, at: usize) -> impl Iterator<Item = usize> {
    graph.units[at].dependencies.iter().map(|edge| edge.index)
}

/// Identifies a library among those of one package.
type Key = (String, String, Vec<String>, String);

fn key(unit: &Unit) -> Key {
    (unit.package.clone(), unit.target.name.clone(), unit.features.clone(), unit.profile.opt_level.clone())
}

fn key_of_message(message: &Value) -> Key {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let target = text(&message["target"]["name"]);
    (text(&message["package_id"]), target, texts(&message["features"]), text(&message["profile"]["opt_level"]))
}

/// The nearest Cargo.toml above a crate's root file.
fn manifest(root: &Path) -> Option<Table> {
    let file = root.ancestors().skip(1).map(|folder| folder.join("Cargo.toml")).find(|file| file.is_file())?;
    toml::from_str(&std::fs::read_to_string(file).ok()?).ok()
}

/// The names allowed in a list of features, including optional dependencies.
fn offered(manifest: &Table, on: &[String]) -> Vec<String> {
    let tables = |name: &str| manifest.get(name).and_then(toml::Value::as_table).into_iter().flatten();
    let platforms = tables("target").filter_map(|(_, of)| of.get("dependencies")?.as_table());
    let dependencies = tables("dependencies").chain(platforms.flatten());
    let optional = dependencies.filter(|(_, value)| value.get("optional").and_then(toml::Value::as_bool) == Some(true));
    let names = tables("features").chain(optional).map(|(name, _)| name);
    let mut names: Vec<String> = names.chain(on).cloned().collect();
    names.sort();
    names.dedup();
    names
}

impl Part {
    /// The library that a message of cargo reports, build scripts excluded.
    pub(crate) fn read(message: &Value) -> Option<Self> {
        if message["reason"] != "compiler-artifact" || message["target"]["kind"][0] == "custom-build" {
            return None;
        }
        let is_library = |file: &std::path::PathBuf| {
            file.extension().is_some_and(|kind| kind == "rlib" || kind == std::env::consts::DLL_EXTENSION)
        };
        let Package { name: package, version, .. } = Package::read(message["package_id"].as_str()?)?;
        Some(Self {
            name: message["target"]["name"].as_str()?.replace('-', "_"),
            package,
            version,
            features: texts(&message["features"]),
            library: texts(&message["filenames"]).into_iter().map(Into::into).find(is_library)?,
        })
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_dependencies_are_features() {
        let manifest = "[features]\nstd = []\n[dependencies]\nserde = { version = \"1\", optional = true }\nlibc = \"1\"\n\
                        [target.'cfg(unix)'.dependencies]\nmio = { version = \"1\", optional = true }\n";
        let manifest: Table = toml::from_str(manifest).expect("a manifest");
        assert_eq!(offered(&manifest, &["on".to_owned()]), ["mio", "on", "serde", "std"]);
    }
}
