//! `:dep`: crates outside of the dylib.
//!
//! They are built in a cargo project of the session. A crate of the dylib is not built again if it fits (`unify.rs`):
//! cargo sees a package without code, and this binary, as the compiler that cargo calls, substitutes the existing
//! library (`wrapper.rs`). Build output is shared with other sessions (`shared.rs`); the session links to it
//! (`own.rs`).

mod artifacts;
mod cargo;
mod own;
mod progress;
mod project;
mod request;
mod shared;
mod unify;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result};
use toml::Table;

use super::scope::Crate;
use crate::dylib::Dylib;
use crate::rustc::Links;
use crate::units::Package;
use artifacts::{Artifacts, Found};
use cargo::{Cargo, Step};
use own::Own;
pub(super) use progress::Progress;
use project::Project;
pub(crate) use request::parse;
use shared::Shared;
use unify::Standing;

/// The crates of a session.
pub(super) struct Dependencies {
    /// The folder of the project.
    folder: PathBuf,
    dylib: Dylib,
    /// The requested crates, as in Cargo.toml.
    wanted: Table,
    /// Created when the first crate has to be built.
    place: Option<Place>,
    /// The files of each crate and its dependencies.
    files: BTreeMap<String, BTreeSet<PathBuf>>,
    /// Warnings already shown: each is shown once per session.
    warned: BTreeSet<String>,
}

struct Place {
    shared: Shared,
    project: Project,
    cargo: Cargo,
    own: Option<Own>,
}

/// The result of a `:dep`.
#[derive(Debug)]
pub(super) struct Added {
    /// The crates that cells can name from now on: one of the dylib, or all that are built.
    pub(super) crates: Vec<Crate>,
    /// The names of those that have changed: they or one of their dependencies were compiled again, and
    /// all their types are different types now.
    pub(super) changed: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// What is shown at the end.
    pub(super) told: String,
}

impl Dependencies {
    pub(super) fn new(folder: PathBuf, dylib: &Dylib) -> Self {
        let (wanted, files, warned) = (Table::new(), BTreeMap::new(), BTreeSet::new());
        Self { folder, dylib: dylib.clone(), wanted, place: None, files, warned }
    }

    /// Forgets the requested crates.
    pub(super) fn clear(&mut self) {
        self.wanted.clear();
    }

    /// Adds the crate of a `:dep` line, unless `stopped` while waiting for another session.
    pub(super) fn add(&mut self, line: &str, progress: &mut Progress, stopped: impl Fn() -> bool) -> Result<Added> {
        let (name, value) = parse(line)?;
        if let Some(held) = request::held(&self.dylib.crates, &name, &value) {
            let part = &held.part;
            let name = if value.get("package").is_some() { name.replace('-', "_") } else { part.name.clone() };
            self.wanted.retain(|other, _| other.replace('-', "_") != name);
            let told = format!("using {} {}, which is part of kensaku\n", part.package, part.version);
            let library = part.library.clone();
            let changed = changed(&mut self.files, [(&name, &BTreeSet::from([library.clone()]))]);
            let mut crates = vec![Crate { name, library, sources: None, links: Links::default() }];
            crates.retain(is_new);
            return Ok(Added { crates, changed, warnings: Vec::new(), told });
        }
        let mut wanted = self.wanted.clone();
        wanted.insert(name.clone(), value);
        progress.say(&format!("looking for {name} ..."));
        let added = self.build(&wanted, progress, stopped);
        let came = added.as_ref().map_or("not added", |added| &added.told);
        progress.end(&format!("{name} {came}"));
        let added = added?;
        self.wanted = wanted;
        // Already shown by the progress line.
        Ok(Added { told: String::new(), ..added })
    }

    fn build(&mut self, wanted: &Table, progress: &mut Progress, stopped: impl Fn() -> bool) -> Result<Added> {
        let held = &self.dylib.crates;
        if self.place.is_none() {
            let shared = Shared::of(&self.dylib)?;
            let project = Project::new(self.folder.clone(), &self.dylib.lock())?;
            let cargo = Cargo::new(&self.dylib, &project.folder, shared.target())?;
            self.place = Some(Place { shared, project, cargo, own: None });
        }
        let Place { shared, project, cargo, own } = self.place.as_mut().context("created above")?;
        let _lock = shared.lock(|| progress.say("waiting for another session's build ..."), stopped)?;
        let stands_in = |package: &Package| shared.stands_in(package);
        let mut standing = Standing::all(held);
        let graph = loop {
            project.write(wanted, held, &standing, shared)?;
            let graph = cargo.graph(|step| told(step, progress))?;
            let fitting = standing.fitting(held, &graph, stands_in);
            if fitting == standing {
                break graph;
            }
            standing = fitting;
        };
        project.keep_versions();
        project.write(wanted, held, &standing.used(held, &graph, stands_in), shared)?;
        let artifacts = Artifacts::build(cargo, &graph, shared, progress)?;
        let own = match own {
            Some(own) => own,
            None => own.insert(Own::new(shared, &self.dylib)?),
        };
        let places = own.adopt(&artifacts.files())?;
        let found = artifacts.named(wanted, &graph, &places)?;
        let linked =
            found.iter().filter(|found| found.is_library && !found.library.starts_with(&self.dylib.dependencies));
        let libraries: Vec<_> = linked.map(|found| (found.name.clone(), found.library.clone())).collect();
        let (links, failed) = own.links(&libraries, artifacts.native(&shared.target()));
        let mut warnings = unify::second_ones(held, &graph, stands_in);
        warnings.extend(standing.elsewhere.iter().map(|(place, number)| {
            format!("{place} is not built: the kernel's {} is used instead", held[*number].part.package)
        }));
        warnings.extend(failed.map(|said| {
            format!("each cell has its own statics of these crates, as linking them into one library failed:\n{said}")
        }));
        warnings.retain(|warning| self.warned.insert(warning.clone()));
        let changed = changed(&mut self.files, found.iter().map(|Found { name, files, .. }| (name, files)));
        let told = match artifacts.new {
            0 => "added, built before".to_owned(),
            1 => "added, 1 crate built".to_owned(),
            new => format!("added, {new} crates built"),
        };
        let crates = found.into_iter().map(|Found { name, library, sources, .. }| Crate {
            name,
            library,
            sources,
            links: links.clone(),
        });
        Ok(Added { crates: crates.filter(is_new).collect(), changed, warnings, told })
    }
}

/// Imports of the prelude and of the `crates` that code names; empty if it names none. A crate shadows a module of the
/// prelude with its name, and the user's items shadow both; a crate that the user has declared, as in
/// `extern crate loss;`, is not imported.
pub(crate) fn names(crates: &[Crate], is_named: impl Fn(&str) -> bool, is_declared: impl Fn(&str) -> bool) -> String {
    let named: Vec<&Crate> = crates.iter().filter(|added| is_named(&added.name)).collect();
    if named.is_empty() {
        return String::new();
    }
    let dylibs: BTreeSet<&String> = named.iter().filter_map(|added| Some(&added.links.dylib.as_ref()?.0)).collect();
    let linked: String = dylibs.into_iter().map(|name| format!("extern crate {name} as _;\n")).collect();
    let named = named.iter().filter(|added| !is_declared(&added.name));
    let named: String = named.map(|added| format!("pub use ::{};\n", added.name)).collect();
    format!("{linked}mod kensaku_names {{\npub use kensaku::prelude::*;\n{named}}}\nuse kensaku_names::*;\n")
}

/// Records the files of crates and returns the names of those whose files have changed.
fn changed<'a>(
    known: &mut BTreeMap<String, BTreeSet<PathBuf>>,
    found: impl IntoIterator<Item = (&'a String, &'a BTreeSet<PathBuf>)>,
) -> Vec<String> {
    let found = found.into_iter();
    let others = found.filter(|(name, files)| {
        known.insert((*name).clone(), (*files).clone()).is_some_and(|before| before != **files)
    });
    others.map(|(name, _)| name.clone()).collect()
}

/// kensaku itself is in every cell, with more in it than the package of that name.
fn is_new(added: &Crate) -> bool {
    added.name != "kensaku"
}

fn told(step: Step, progress: &mut Progress) {
    if let Step::Word(word) = step {
        progress.say(word);
    }
}
