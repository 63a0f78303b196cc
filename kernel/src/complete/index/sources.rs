//! Where the sources of the dylib's crates and of std are.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::cfg::Cfg;

/// A crate's sources.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) key: String,
    /// The root file.
    pub(crate) root: PathBuf,
    pub(crate) features: Vec<String>,
    /// The crates it can name, by the names it uses, as keys.
    pub(crate) dependencies: HashMap<String, String>,
}

/// The crate that the dylib is made of; cells know it as `kensaku`.
const PRELOAD: &str = "kensaku_preload";
const LIBRARY: &str = "kensaku";
/// The library proper, which has the dylib's name.
const LIBRARY_KEY: &str = "kensaku(library)";

/// The crates of the workspace at `folder`, by key; the dylib's has the key `kensaku`.
pub(crate) fn of_workspace(folder: &Path) -> Result<HashMap<String, Source>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version=1", "--offline"])
        // The crates of other platforms were never downloaded.
        .args(["--filter-platform", rustc(&["--print", "host-tuple"])?.trim()])
        .current_dir(folder)
        .env_remove("RUSTC_WRAPPER")
        .stdin(Stdio::null())
        .output()
        .context("running cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages: HashMap<&str, Library> = list(&metadata["packages"]).filter_map(library).collect();
    let nodes: Vec<(&str, &Value)> =
        list(&metadata["resolve"]["nodes"]).filter_map(|node| Some((node["id"].as_str()?, node))).collect();
    let keys = keys(&packages);
    let mut sources = HashMap::new();
    for (id, node) in nodes {
        let (Some((name, root)), Some(key)) = (packages.get(id), keys.get(id)) else { continue };
        let dependencies = list(&node["deps"]).filter_map(|dependency| {
            Some((dependency["name"].as_str()?.to_owned(), keys.get(dependency["pkg"].as_str()?)?.clone()))
        });
        let source = Source {
            name: if name == PRELOAD { LIBRARY.to_owned() } else { name.clone() },
            key: key.clone(),
            root: root.clone(),
            features: list(&node["features"]).filter_map(|feature| feature.as_str().map(str::to_owned)).collect(),
            dependencies: dependencies.collect(),
        };
        sources.insert(key.clone(), source);
    }
    Ok(sources)
}

/// core, alloc and std, in this order, where rustup's component `rust-src` is installed.
pub(crate) fn of_std(sysroot: &Path) -> Vec<Source> {
    let library = sysroot.join("lib/rustlib/src/rust/library");
    let source = |name: &str, before: &[&str]| Source {
        name: name.to_owned(),
        key: name.to_owned(),
        root: library.join(name).join("src/lib.rs"),
        features: vec!["std".to_owned()],
        dependencies: before.iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect(),
    };
    let all = [source("core", &[]), source("alloc", &["core"]), source("std", &["core", "alloc"])];
    all.into_iter().filter(|source| source.root.exists()).collect()
}

/// What is set while crates are compiled for this machine.
pub(crate) fn target_cfg() -> Result<Cfg> {
    Ok(Cfg::of_target(&rustc(&["--print", "cfg"])?))
}

/// What the compiler prints.
fn rustc(arguments: &[&str]) -> Result<String> {
    let output = Command::new("rustc").args(arguments).output().context("running rustc")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

type Library = (String, PathBuf);

/// The id, name and root file of a package with a library.
fn library(package: &Value) -> Option<(&str, Library)> {
    let is_library = |target: &&Value| {
        list(&target["kind"]).any(|kind| matches!(kind.as_str(), Some("lib" | "rlib" | "dylib" | "cdylib")))
    };
    let target = list(&package["targets"]).find(is_library)?;
    let name = target["name"].as_str()?.replace('-', "_");
    Some((package["id"].as_str()?, (name, target["src_path"].as_str()?.into())))
}

/// A name for each package; several versions of one are told apart by their id.
fn keys(packages: &HashMap<&str, Library>) -> HashMap<String, String> {
    let mut ids: Vec<(&&str, &Library)> = packages.iter().collect();
    ids.sort();
    let mut keys = HashMap::new();
    let mut taken = std::collections::HashSet::new();
    for (id, (name, _)) in ids {
        let key = match name.as_str() {
            PRELOAD => LIBRARY.to_owned(),
            LIBRARY => LIBRARY_KEY.to_owned(),
            name if taken.insert(name.to_owned()) => name.to_owned(),
            _ => (*id).to_owned(),
        };
        keys.insert((*id).to_owned(), key);
    }
    keys
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
