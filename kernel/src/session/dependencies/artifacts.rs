//! The output of a build: cargo's messages, and among them the requested crates.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use toml::Table;

use super::cargo::{Cargo, Step};
use super::progress::Progress;
use super::project::NAME;
use super::shared::Shared;
use crate::rustc::Links;
use crate::units::{Graph, Package, Unit};

/// The output of a build.
pub(super) struct Artifacts {
    /// cargo's messages.
    messages: Vec<Value>,
    /// How many crates were compiled.
    pub(super) new: usize,
}

/// A requested crate.
pub(super) struct Found {
    /// The name in cells.
    pub(super) name: String,
    pub(super) library: PathBuf,
    /// Whether it is linked, so not a macro.
    pub(super) is_library: bool,
    /// The folder of its sources, unless it is part of the dylib.
    pub(super) sources: Option<PathBuf>,
    /// The files of the crate and its dependencies.
    pub(super) files: BTreeSet<PathBuf>,
}

impl Artifacts {
    /// Builds `graph` with cargo.
    pub(super) fn build(cargo: &Cargo, graph: &Graph, shared: &Shared, progress: &mut Progress) -> Result<Self> {
        let is_work = |id: &str| Package::read(id).is_some_and(|of| of.name != NAME && !shared.stands_in(&of));
        let units = graph.units.iter().filter(|unit| unit.mode == "build" && is_work(&unit.package));
        let (total, mut done, mut new) = (units.count(), 0, 0);
        let packages = shared.packages().display().to_string();
        let messages = cargo.run(|step| match step {
            Step::Word(word) => progress.say(word),
            Step::Compiling(what) if what.contains(&packages) || what.starts_with(NAME) => {}
            Step::Compiling(what) => progress.say(&format!("building {} of {total}: {}", done + 1, short(what))),
            Step::Built(message) => {
                let counts =
                    message["reason"] == "compiler-artifact" && message["package_id"].as_str().is_some_and(is_work);
                done += usize::from(counts);
                new += usize::from(counts && message["fresh"] == false);
            }
        })?;
        Ok(Self { messages, new })
    }

    /// All libraries.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let libraries = self.messages.iter().filter(|message| {
            let package = message["package_id"].as_str().and_then(Package::read);
            package.is_some_and(|package| package.name != NAME)
        });
        libraries.filter_map(library).collect()
    }

    /// The link arguments of build scripts, whose output folders are in `target`.
    pub(super) fn native(&self, target: &Path) -> Links {
        let mut links = Links::default();
        for message in self.messages.iter().filter(|message| message["reason"] == "build-script-executed") {
            for path in message["linked_paths"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                links.native.insert(path.to_owned());
                let folder = Path::new(path.split_once('=').map_or(path, |(_, folder)| folder));
                if folder.starts_with(target) {
                    links.run_time.insert(folder.to_owned());
                }
            }
        }
        links
    }

    /// The requested crates. `places` maps their files to the session's links.
    pub(super) fn named(
        &self,
        wanted: &Table,
        graph: &Graph,
        places: &HashMap<PathBuf, PathBuf>,
    ) -> Result<Vec<Found>> {
        let root = graph.roots.first().map(|root| &graph.units[*root]).context("cargo has nothing to build")?;
        let place = |at: usize| places.get(&self.library_of(&graph.units[at])?).cloned();
        let found = root.dependencies.iter().map(|edge| {
            let unit = &graph.units[edge.index];
            let library = place(edge.index).with_context(|| format!("{} has no library", edge.name))?;
            let below = graph.below([edge.index]).into_iter().chain([edge.index]);
            Ok(Found {
                name: edge.name.clone(),
                // The library itself may be a link to the dylib's.
                sources: self.sources(unit),
                library,
                is_library: unit.is_library(),
                files: below.filter_map(place).collect(),
            })
        });
        let found: Vec<Found> = found.collect::<Result<_>>()?;
        let packages: BTreeSet<String> = root
            .dependencies
            .iter()
            .filter_map(|edge| Some(Package::read(&graph.units[edge.index].package)?.name))
            .collect();
        for (name, value) in wanted {
            let package = value.get("package").and_then(toml::Value::as_str).unwrap_or(name);
            anyhow::ensure!(packages.contains(package), "{package} has no library");
        }
        Ok(found)
    }

    fn library_of(&self, unit: &Unit) -> Option<PathBuf> {
        self.message(unit).and_then(library)
    }

    /// cargo's message about a library. Libraries for the target platform are in a folder of that name.
    fn message(&self, unit: &Unit) -> Option<&Value> {
        self.messages.iter().find(|message| {
            message["reason"] == "compiler-artifact"
                && message["package_id"] == unit.package.as_str()
                && message["target"]["name"] == unit.target.name.as_str()
                && message["features"] == Value::from(unit.features.clone())
                && library(message).is_some_and(|file| {
                    let platform = unit.platform.as_deref();
                    let folders = file.iter().rev().nth(3).and_then(|folder| folder.to_str());
                    platform.is_none() || folders == platform
                })
        })
    }

    fn sources(&self, unit: &Unit) -> Option<PathBuf> {
        let manifest = self.message(unit)?["manifest_path"].as_str()?;
        Some(Path::new(manifest).parent()?.to_owned()).filter(|folder| !folder.join(crate::wrapper::LIBRARY).exists())
    }
}

/// `regex v1.2.3` of `regex v1.2.3 (/a/folder)`.
fn short(what: &str) -> &str {
    what.split(" (").next().unwrap_or(what)
}

/// The library that a message reports, build scripts excluded.
fn library(message: &Value) -> Option<PathBuf> {
    crate::dylib::Part::read(message).map(|part| part.library)
}
