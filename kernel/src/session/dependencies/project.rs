//! The cargo project of a session, which depends on the requested crates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::shared::Shared;
use super::unify::Standing;
use crate::dylib::Held;

/// The name of the project's package.
pub(super) const NAME: &str = "kensaku-session";

/// The part of the manifest before the dependencies.
const MANIFEST: &str =
    "edition = \"2024\"\n\n[lib]\npath = \"lib.rs\"\n\n[workspace]\n\n[profile.release]\ndebug = false\n";

#[derive(Debug)]
pub(super) struct Project {
    pub(super) folder: PathBuf,
    /// The locked versions of the dylib's crates.
    first: Vec<Table>,
    /// The versions chosen for added crates.
    chosen: Vec<Table>,
}

impl Project {
    pub(super) fn new(folder: PathBuf, lock: &Path) -> Result<Self> {
        std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        std::fs::write(folder.join("lib.rs"), "").context("writing the session's lib.rs")?;
        Ok(Self { folder, first: packages(lock), chosen: Vec::new() })
    }

    /// Writes Cargo.toml, and a Cargo.lock that makes cargo prefer the earlier versions.
    pub(super) fn write(&self, wanted: &Table, held: &[Held], standing: &Standing, shared: &Shared) -> Result<()> {
        let of_numbers = standing.numbers.iter().map(|number| (held[*number].place.clone(), *number));
        let mut patches: BTreeMap<String, Table> = BTreeMap::new();
        for (place, number) in of_numbers.chain(standing.elsewhere.iter().cloned()) {
            let package = Value::String(held[number].part.package.clone());
            let folder = Value::String(shared.package(&held[number]).to_string_lossy().into_owned());
            let stand_in = Table::from_iter([("package".to_owned(), package), ("path".to_owned(), folder)]);
            // Unique keys: there may be two versions of a crate.
            patches.entry(place).or_default().insert(format!("held-{number}"), Value::Table(stand_in));
        }
        let tables = [
            ("dependencies".to_owned(), Value::Table(wanted.clone())),
            (
                "patch".to_owned(),
                Value::Table(patches.into_iter().map(|(name, of)| (name, Value::Table(of))).collect()),
            ),
        ];
        let dependencies = toml::to_string(&Table::from_iter(tables))?;
        let text = format!("[package]\nname = \"{NAME}\"\nversion = \"0.0.0\"\n{MANIFEST}\n{dependencies}");
        std::fs::write(self.folder.join("Cargo.toml"), text).context("writing the session's Cargo.toml")?;
        std::fs::write(self.folder.join("Cargo.lock"), self.lock(held, standing)?).context("writing Cargo.lock")
    }

    /// Versions without dependencies: these are only preferences, whereas edges would be binding.
    fn lock(&self, held: &[Held], standing: &Standing) -> Result<String> {
        let is_first = |package: &Table| self.first.iter().any(|first| same(first, package));
        let others = self.chosen.iter().filter(|package| !is_first(package));
        let stands_in = |package: &Table| {
            let parts = standing.numbers.iter().map(|number| &held[*number].part);
            parts
                .into_iter()
                .any(|part| text(package, "name") == part.package && text(package, "version") == part.version)
        };
        let packages = self.first.iter().chain(others).map(|package| {
            let mut package = package.clone();
            package.remove("dependencies");
            if stands_in(&package) {
                package.remove("source");
                package.remove("checksum");
            }
            Value::Table(package)
        });
        let packages: Vec<Value> = packages.collect();
        let lock = [("version".to_owned(), Value::Integer(4)), ("package".to_owned(), Value::Array(packages))];
        Ok(toml::to_string(&Table::from_iter(lock))?)
    }

    /// Records the versions that cargo has chosen.
    pub(super) fn keep_versions(&mut self) {
        // A package without a source is a folder, which has one version.
        self.chosen = packages(&self.folder.join("Cargo.lock"));
        self.chosen.retain(|package| package.contains_key("source"));
    }
}

/// The packages of a Cargo.lock; empty if there is none.
fn packages(lock: &Path) -> Vec<Table> {
    let lock = std::fs::read_to_string(lock).ok().and_then(|text| toml::from_str::<Table>(&text).ok());
    let packages = lock.and_then(|mut lock| lock.remove("package"));
    let packages = packages.as_ref().and_then(Value::as_array).into_iter().flatten();
    packages.filter_map(Value::as_table).cloned().collect()
}

fn same(one: &Table, other: &Table) -> bool {
    ["name", "version"].iter().all(|key| text(one, key) == text(other, key))
}

fn text<'a>(package: &'a Table, key: &str) -> &'a str {
    package.get(key).and_then(Value::as_str).unwrap_or_default()
}
