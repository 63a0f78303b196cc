//! Which crates the data set is made of, and where their sources are.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Error, Result};

/// The crates whose documentation is read: a closed list, so that a new dependency does not change
/// the data set. Each is a dependency of this crate on every platform (so cargo has its sources
/// wherever this crate was built) and is in `Cargo.lock` in one version.
pub const CRATES: &[&str] = &[
    "aho-corasick",
    "bytes",
    "candle-core",
    "candle-nn",
    "chrono",
    "csv",
    "futures-util",
    "indexmap",
    "indicatif",
    "memchr",
    "num-traits",
    "plotters",
    "png",
    "polars-arrow",
    "polars-core",
    "polars-io",
    "polars-lazy",
    "polars-utils",
    "rayon",
    "regex",
    "regex-automata",
    "regex-syntax",
    "safetensors",
    "serde_json",
    "tokenizers",
];

/// The lock file this crate was built with: the versions are those of the build, on every machine.
const LOCK: &str = include_str!("../../../../Cargo.lock");

/// One crate of the data set.
pub(super) struct Source {
    /// The name in paths: `polars_core`.
    pub(super) name: String,
    /// `src/lib.rs`.
    pub(super) root: PathBuf,
}

/// The sources of [`CRATES`] in cargo's registry.
pub(super) fn locate() -> Result<Vec<Source>> {
    let registry = home::cargo_home().map_err(Error::io("$CARGO_HOME"))?.join("registry").join("src");
    let versions = locked_versions()?;
    CRATES.iter().map(|name| locate_one(&registry, name, version_of(&versions, name)?)).collect()
}

/// Registries are searched by name, so that the answer does not depend on the file system's order.
fn locate_one(registry: &Path, name: &str, version: &str) -> Result<Source> {
    let folder = format!("{name}-{version}");
    let mut indices: Vec<PathBuf> =
        std::fs::read_dir(registry).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    indices.sort();
    let roots = indices.iter().map(|index| index.join(&folder).join("src").join("lib.rs"));
    match roots.into_iter().find(|root| root.is_file()) {
        Some(root) => Ok(Source { name: name.replace('-', "_"), root }),
        None => Err(missing(name, version, registry.join("*").join(folder))),
    }
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

fn locked_versions() -> Result<Vec<Package>> {
    toml::from_str::<Lock>(LOCK).map(|lock| lock.package).map_err(|source| Error::Line {
        path: "Cargo.lock".into(),
        line: 1 + source.span().map_or(0, |span| LOCK[..span.start].matches('\n').count()),
        problem: source.message().to_owned(),
        expected: "a lock file of cargo".to_owned(),
    })
}

fn version_of<'a>(versions: &'a [Package], name: &str) -> Result<&'a str> {
    let package = versions.iter().find(|package| package.name == name);
    package.map(|package| package.version.as_str()).ok_or_else(|| missing(name, "(not locked)", "Cargo.lock".into()))
}

fn missing(name: &str, version: &str, path: PathBuf) -> Error {
    Error::MissingSource { krate: name.to_owned(), version: version.to_owned(), path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_sorted_and_locked_once() {
        assert!(CRATES.is_sorted());
        let versions = locked_versions().unwrap();
        for name in CRATES {
            assert_eq!(versions.iter().filter(|package| package.name == *name).count(), 1, "{name}");
        }
    }

    #[test]
    fn a_crate_that_is_not_there_is_named_with_its_place() {
        let error = locate_one(Path::new("/nowhere"), "bytes", "1.0.0").err().unwrap().to_string();
        assert!(error.starts_with("the sources of bytes 1.0.0 are not at /nowhere"), "{error}");
    }
}
