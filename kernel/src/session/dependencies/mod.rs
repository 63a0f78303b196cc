//! `:dep`: crates beside those the dylib holds.
//!
//! They are built in a cargo project of the session's own. A crate that the dylib holds is not built
//! again where it fits (`unify.rs`): a package without code stands for it, and the compiler that cargo
//! calls, this binary, puts the held one in its place (`wrapper.rs`). What was built is shared with
//! other sessions (`shared.rs`); the session has links to it (`own.rs`).

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
    /// Where the project is.
    folder: PathBuf,
    dylib: Dylib,
    /// What was asked for so far, as in Cargo.toml.
    wanted: Table,
    /// Made when the first crate has to be built.
    place: Option<Place>,
    /// The files that each crate was made of.
    files: BTreeMap<String, BTreeSet<PathBuf>>,
    /// Said once a session.
    warned: BTreeSet<String>,
}

struct Place {
    shared: Shared,
    project: Project,
    cargo: Cargo,
    own: Option<Own>,
}

/// What a `:dep` has brought.
#[derive(Debug)]
pub(super) struct Added {
    /// The crates that cells can name from now on: one of the dylib, or all that were built.
    pub(super) crates: Vec<Crate>,
    /// Those among them, as cells name them, that are not what they were before: they or a crate below
    /// them were compiled anew, and no type of theirs is the type it was.
    pub(super) changed: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// What is told of it at its end.
    pub(super) told: String,
}

impl Dependencies {
    pub(super) fn new(folder: PathBuf, dylib: &Dylib) -> Self {
        let (wanted, files, warned) = (Table::new(), BTreeMap::new(), BTreeSet::new());
        Self { folder, dylib: dylib.clone(), wanted, place: None, files, warned }
    }

    /// Forgets what was asked for.
    pub(super) fn clear(&mut self) {
        self.wanted.clear();
    }

    /// Adds what stands behind `:dep`, unless it is `stopped` while it waits for another session.
    pub(super) fn add(&mut self, line: &str, progress: &mut Progress, stopped: impl Fn() -> bool) -> Result<Added> {
        let (name, value) = parse(line)?;
        if let Some(held) = request::held(&self.dylib.crates, &name, &value) {
            let part = &held.part;
            let name = if value.get("package").is_some() { name.replace('-', "_") } else { part.name.clone() };
            self.wanted.retain(|other, _| other.replace('-', "_") != name);
            let told = format!("{} {} is part of kensaku: taken from it\n", part.package, part.version);
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
        let came = added.as_ref().map_or("was not added", |added| &added.told);
        progress.end(&format!("{name} {came}"));
        let added = added?;
        self.wanted = wanted;
        // The line about progress has told it.
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
        let Place { shared, project, cargo, own } = self.place.as_mut().context("it was made above")?;
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
            format!("{place} is not built: the kernel's own {} takes its place", held[*number].part.package)
        }));
        warnings.extend(failed.map(|said| {
            format!("statics of these crates start anew in each cell, for they could not be linked into one library:\n{said}")
        }));
        warnings.retain(|warning| self.warned.insert(warning.clone()));
        let changed = changed(&mut self.files, found.iter().map(|Found { name, files, .. }| (name, files)));
        let told = match artifacts.new {
            0 => "was built before".to_owned(),
            1 => "is there: one crate built".to_owned(),
            new => format!("is there: {new} crates built"),
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

/// What brings the names of the prelude to code that names some of `crates`, too: nothing where it does
/// not. A crate comes before a module of the prelude with its name, and anything of the user's before both; one that the
/// user has declared, as in `extern crate loss;`, is named by that.
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

/// Remembers the files that crates are made of; names those that were made of others before.
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

/// Every cell has kensaku, with more in it than the package of that name.
fn is_new(added: &Crate) -> bool {
    added.name != "kensaku"
}

fn told(step: Step, progress: &mut Progress) {
    if let Step::Word(word) = step {
        progress.say(word);
    }
}
