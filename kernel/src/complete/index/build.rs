//! Builds the index: crates are parsed in parallel, then resolved one by one.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};

use super::cfg::Cfg;
use super::raw::{Module, Uses, read_crate};
use super::resolve::{Crate, add};
use super::sources::{Built, Source, of_built, of_std, target_cfg};
use super::store::Store;
use super::world::World;

/// The dylib's crate, through which all that cells can name is reached.
const START: &str = "kensaku";

/// Writes the index of std and of the dylib built from `built` to `file`.
pub(crate) fn build(built: Vec<Built>, sysroot: &Path, file: &Path) -> Result<()> {
    let cfg = target_cfg()?;
    let all = of_built(built);
    let std = of_std(sysroot);
    let mut wanted: Vec<&Source> = std.iter().collect();
    wanted.push(all.get(START).context("the sources of the library for cells are missing")?);
    let mut parsed: Vec<(&Source, Vec<Module>)> = Vec::new();
    let mut uses = Uses::new();
    let mut known: HashSet<&str> = HashSet::new();
    while !wanted.is_empty() {
        known.extend(wanted.iter().map(|source| source.key.as_str()));
        let from = parsed.len();
        for (source, modules, counted) in parse(&wanted, &cfg)? {
            for (name, count) in counted {
                *uses.entry(name).or_default() += count;
            }
            parsed.push((source, modules));
        }
        let offered = parsed[from..].iter().flat_map(|(source, modules)| offered(source, modules));
        let keys: HashSet<&String> = offered.filter(|key| !known.contains(key.as_str())).collect();
        wanted = keys.into_iter().filter_map(|key| all.get(key)).collect();
    }
    let mut world = World::over(None);
    for (source, modules) in in_order(parsed) {
        let (name, key) = (source.name.as_str(), source.key.as_str());
        add(&mut world, Crate { name, key, modules, dependencies: &source.dependencies, uses: &uses, is_cell: false });
    }
    Store::write(world.layer, file)
}

/// Adds the crate `name`, whose package is in `folder`, with all its features.
pub(crate) fn add_crate(world: &mut World, name: &str, folder: &Path) {
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).ok();
    let Some(manifest) = manifest.and_then(|text| text.parse::<toml::Table>().ok()) else { return };
    let features = manifest.get("features").and_then(toml::Value::as_table);
    let features = features.map(|table| table.keys().cloned().collect()).unwrap_or_else(Vec::new);
    let path = manifest.get("lib").and_then(|library| library.get("path")?.as_str()).unwrap_or("src/lib.rs");
    let cfg = target_cfg().unwrap_or_default().with_features(features);
    let (modules, uses) = read_crate(&folder.join(path), &cfg);
    let dependencies = HashMap::new();
    add(world, Crate { name, key: name, modules, dependencies: &dependencies, uses: &uses, is_cell: false });
}

type Parsed<'a> = (&'a Source, Vec<Module>, Uses);

fn parse<'a>(sources: &[&'a Source], cfg: &Cfg) -> Result<Vec<Parsed<'a>>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        while let Some(source) = sources.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (modules, uses) = read_crate(&source.root, &cfg.with_features(source.features.iter().cloned()));
            if let Ok(mut done) = done.lock() {
                done.push((*source, modules, uses));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(sources.len()) {
            // Nested macros and types recurse deeply; the default stack of a thread is small.
            let spawned = std::thread::Builder::new().stack_size(32 << 20).spawn_scoped(scope, work);
            if spawned.is_err() {
                work();
            }
        }
    });
    done.into_inner().ok().context("a thread of the index failed")
}

/// The keys of the crates that a crate re-exports, wholly or in part.
fn offered<'a>(source: &'a Source, modules: &[Module]) -> Vec<&'a String> {
    let imports = modules.iter().flat_map(|module| &module.uses).filter(|import| import.public);
    let firsts = imports.filter_map(|import| import.path.iter().find(|part| !part.is_empty()));
    firsts.filter_map(|first| source.dependencies.get(first)).collect()
}

/// Sorts the crates, dependencies first.
fn in_order(parsed: Vec<(&Source, Vec<Module>)>) -> Vec<(&Source, Vec<Module>)> {
    let mut waiting: HashMap<&str, (&Source, Vec<Module>)> = HashMap::new();
    let mut names = Vec::new();
    for (source, modules) in parsed {
        names.push(source);
        waiting.insert(&source.key, (source, modules));
    }
    let mut sorted = Vec::new();
    for source in &names {
        take(source, &names, &mut waiting, &mut sorted);
    }
    sorted
}

fn take<'a>(
    source: &'a Source,
    all: &[&'a Source],
    waiting: &mut HashMap<&str, (&'a Source, Vec<Module>)>,
    sorted: &mut Vec<(&'a Source, Vec<Module>)>,
) {
    let Some(parsed) = waiting.remove(source.key.as_str()) else { return };
    for key in source.dependencies.values() {
        if let Some(dependency) = all.iter().find(|other| other.key == *key) {
            take(dependency, all, waiting, sorted);
        }
    }
    sorted.push(parsed);
}
