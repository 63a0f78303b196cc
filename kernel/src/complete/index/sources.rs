//! The sources of the dylib's crates and of std.
//!
//! Cargo reports them while it builds the dylib, so only downloaded sources are used. The names by which
//! crates depend on each other are in their manifests.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::Table;

use super::cfg::Cfg;

/// A crate's sources.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) key: String,
    /// The root file.
    pub(crate) root: PathBuf,
    pub(crate) features: Vec<String>,
    /// The keys of the crates it can name, by the names it uses.
    pub(crate) dependencies: HashMap<String, String>,
}

/// A library that cargo has built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Built {
    name: String,
    root: PathBuf,
    manifest: PathBuf,
    features: BTreeSet<String>,
}

/// The dylib's crate, which cells name `kensaku`.
const PRELOAD: &str = "kensaku_preload";
const LIBRARY: &str = "kensaku";
/// The library itself, which has the same name as the dylib.
const LIBRARY_KEY: &str = "kensaku(library)";

impl Built {
    /// The library that a message of cargo reports. Crates of procedural macros are skipped: they export nothing else.
    pub(crate) fn read(message: &Value) -> Option<Self> {
        let target = &message["target"];
        let is_library = |kind: &str| matches!(kind, "lib" | "rlib" | "dylib" | "cdylib");
        if message["reason"] != "compiler-artifact" || !texts(&target["kind"]).any(is_library) {
            return None;
        }
        Some(Self {
            name: target["name"].as_str()?.replace('-', "_"),
            root: target["src_path"].as_str()?.into(),
            manifest: message["manifest_path"].as_str()?.into(),
            features: texts(&message["features"]).map(str::to_owned).collect(),
        })
    }
}

/// The sources of the built crates, by key; the dylib's crate has the key `kensaku`.
pub(crate) fn of_built(built: Vec<Built>) -> HashMap<String, Source> {
    let packages = packages(built);
    let keys = keys(&packages);
    let source = |(package, key): (&Package, &String)| {
        let dependencies = package.dependencies.iter().filter_map(|wanted| {
            let found = packages.iter().zip(&keys).filter(|(other, _)| wanted.takes(other));
            let (found, key) = found.max_by_key(|(other, _)| other.version.clone())?;
            Some((wanted.rename.clone().unwrap_or_else(|| found.built.name.clone()), key.clone()))
        });
        Source {
            name: if package.built.name == PRELOAD { LIBRARY.to_owned() } else { package.built.name.clone() },
            key: key.clone(),
            root: package.built.root.clone(),
            features: package.built.features.iter().cloned().collect(),
            dependencies: dependencies.collect(),
        }
    };
    packages.iter().zip(&keys).map(source).map(|source| (source.key.clone(), source)).collect()
}

/// core, alloc and std, in this order, if rustup's component `rust-src` is installed.
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

/// The configuration that crates are compiled with on this machine.
pub(crate) fn target_cfg() -> Result<Cfg> {
    let output = Command::new("rustc").args(["--print", "cfg"]).output().context("running rustc")?;
    ensure!(output.status.success(), "rustc --print cfg: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(Cfg::of_target(&String::from_utf8_lossy(&output.stdout)))
}

/// A library with the contents of its manifest.
struct Package {
    built: Built,
    name: String,
    /// `None` if inherited from the workspace.
    version: Option<Version>,
    dependencies: Vec<Wanted>,
}

/// A dependency in a manifest.
#[derive(Debug, PartialEq)]
struct Wanted {
    package: String,
    /// The name that code uses, if it differs from the library's.
    rename: Option<String>,
    version: VersionReq,
}

impl Package {
    fn new(built: Built, manifest: &str) -> Option<Self> {
        let manifest: Table = manifest.parse().ok()?;
        let package = manifest.get("package")?;
        let version = package.get("version").and_then(|version| Version::parse(version.as_str()?).ok());
        let platforms = manifest.get("target").and_then(toml::Value::as_table);
        let places = platforms.into_iter().flat_map(Table::values).filter_map(toml::Value::as_table).chain([&manifest]);
        let tables = places.filter_map(|place| place.get("dependencies")?.as_table());
        let dependencies = tables.flatten().map(|(name, value)| Wanted::new(name, value)).collect();
        Some(Self { built, name: package.get("name")?.as_str()?.to_owned(), version, dependencies })
    }
}

impl Wanted {
    fn new(name: &str, value: &toml::Value) -> Self {
        let package = value.get("package").and_then(toml::Value::as_str);
        let version = value.as_str().or_else(|| value.get("version")?.as_str());
        Self {
            package: package.unwrap_or(name).to_owned(),
            rename: package.map(|_| name.replace('-', "_")),
            version: version.and_then(|version| VersionReq::parse(version).ok()).unwrap_or_default(),
        }
    }

    fn takes(&self, package: &Package) -> bool {
        package.name == self.package && package.version.as_ref().is_none_or(|version| self.version.matches(version))
    }
}

/// One package for each existing manifest. cargo builds some twice, for crates and for build scripts: completion
/// offers the union of their features.
fn packages(built: Vec<Built>) -> Vec<Package> {
    let mut merged: BTreeMap<PathBuf, Built> = BTreeMap::new();
    for built in built {
        let features = built.features.clone();
        merged.entry(built.manifest.clone()).or_insert(built).features.extend(features);
    }
    let read = |built: Built| Package::new(built.clone(), &std::fs::read_to_string(built.manifest).ok()?);
    let mut packages: Vec<Package> = merged.into_values().filter_map(read).collect();
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    packages
}

/// A unique key for each package: its name, or the path of its manifest for all but the first of several versions.
fn keys(packages: &[Package]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let key = |package: &Package| match package.built.name.as_str() {
        PRELOAD => LIBRARY.to_owned(),
        LIBRARY => LIBRARY_KEY.to_owned(),
        name if taken.insert(name.to_owned()) => name.to_owned(),
        _ => package.built.manifest.display().to_string(),
    };
    packages.iter().map(key).collect()
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A message of cargo about the library in `folder`, where its manifest is written.
    fn message(folder: &Path, name: &str, features: &[&str], manifest: &str) -> Value {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("Cargo.toml"), manifest).expect("a file");
        json!({
            "reason": "compiler-artifact",
            "manifest_path": folder.join("Cargo.toml"),
            "target": { "kind": ["lib"], "name": name.split('@').next(), "src_path": folder.join("lib.rs") },
            "features": features,
        })
    }

    #[test]
    fn crates_know_each_other_by_the_names_in_their_manifests() {
        let folder = tempfile::tempdir().expect("a folder");
        let message = |name: &str, features: &[&str], rest: &str| {
            let (package, version) = name.split_once('@').unwrap_or((name, "1.0.0"));
            let manifest = format!("[package]\nname = \"{package}\"\nversion = \"{version}\"\n{rest}");
            message(folder.path(), name, features, &manifest)
        };
        let mut messages = vec![
            message("rand@0.8.5", &[], ""),
            message("rand@0.9.2", &["std"], ""),
            message("rand@0.9.2", &["alloc"], ""),
            message("old", &[], "[dependencies.rand]\nversion = \"0.8\"\n"),
            message("new", &[], "[dependencies]\nchance = { package = \"rand\", version = \"0.9\" }\n"),
            message("kensaku-preload", &[], "[target.'cfg(unix)'.dependencies]\nnew.workspace = true\nrand = \"*\"\n"),
        ];
        let mut of_macros = messages[0].clone();
        of_macros["target"]["kind"] = json!(["proc-macro"]);
        messages.push(of_macros);
        let sources = of_built(messages.iter().filter_map(Built::read).collect());
        let newest = &sources["new"].dependencies["chance"];
        assert_eq!(sources["old"].dependencies["rand"], "rand");
        assert_eq!(sources[newest].root, folder.path().join("rand@0.9.2/lib.rs"));
        assert_eq!(sources[newest].features, ["alloc", "std"]);
        let cells = &sources[LIBRARY];
        assert_eq!((cells.dependencies["new"].as_str(), &cells.dependencies["rand"]), ("new", newest));
        assert_eq!(sources.len(), 5);
    }

    #[test]
    fn missing_sources_are_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let gone = message(folder.path(), "gone", &[], "");
        std::fs::remove_dir_all(folder.path().join("gone")).expect("it was there");
        assert!(of_built(Built::read(&gone).into_iter().collect()).is_empty());
    }
}
