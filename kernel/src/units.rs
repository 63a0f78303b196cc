//! What cargo would compile: crates, their features and dependencies.
//!
//! Only cargo's unit graph distinguishes what is compiled for the target from what is compiled for build scripts and
//! macros. Its format is unstable, but cells need the compiler that built the dylib, and cargo comes with it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Everything that a call of cargo would do.
#[derive(Debug, Deserialize)]
pub(crate) struct Graph {
    pub(crate) units: Vec<Unit>,
    pub(crate) roots: Vec<usize>,
}

/// One call of rustc, or the run of a build script.
#[derive(Debug, Deserialize)]
pub(crate) struct Unit {
    #[serde(rename = "pkg_id")]
    pub(crate) package: String,
    pub(crate) target: Target,
    pub(crate) profile: Profile,
    /// `None` for build scripts, macros and their dependencies, if a platform was requested.
    pub(crate) platform: Option<String>,
    pub(crate) mode: String,
    pub(crate) features: Vec<String>,
    pub(crate) dependencies: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    kind: Vec<String>,
    pub(crate) name: String,
    pub(crate) src_path: PathBuf,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Profile {
    pub(crate) opt_level: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Edge {
    pub(crate) index: usize,
    /// Its name in the dependent crate.
    #[serde(rename = "extern_crate_name")]
    pub(crate) name: String,
}

impl Graph {
    /// The graph of `cargo`, a call of `cargo build`.
    pub(crate) fn ask(cargo: &mut Command) -> Result<Self> {
        let output = as_question(cargo).output().context("running cargo: is Rust installed and on PATH?")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Self::read(&output.stdout)
    }

    pub(crate) fn read(told: &[u8]) -> Result<Self> {
        serde_json::from_slice(told).context("the unit graph of this version of cargo has an unknown format")
    }

    /// The libraries at `roots` with their dependencies, without macros.
    pub(crate) fn below(&self, roots: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open: Vec<usize> = roots.into_iter().collect();
        while let Some(at) = open.pop() {
            if self.units[at].is_library() && found.insert(at) {
                open.extend(self.units[at].dependencies.iter().map(|edge| edge.index));
            }
        }
        found
    }
}

impl Unit {
    pub(crate) fn is_library(&self) -> bool {
        self.mode == "build" && !self.is("proc-macro") && !self.is("custom-build") && !self.is("bin")
    }

    pub(crate) fn is_macro(&self) -> bool {
        self.mode == "build" && self.is("proc-macro")
    }

    /// Whether it compiles or runs a build script.
    pub(crate) fn is_build_script(&self) -> bool {
        self.is("custom-build")
    }

    fn is(&self, kind: &str) -> bool {
        self.target.kind.iter().any(|of| of == kind)
    }
}

/// Turns a call of `cargo build` into a query of its unit graph.
pub(crate) fn as_question(cargo: &mut Command) -> &mut Command {
    cargo.args(["--unit-graph", "-Zunstable-options"]).env("RUSTC_BOOTSTRAP", "1")
}

/// A package id in cargo's messages.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Package {
    /// Its source: `registry+https://..`, `path+file:///..`.
    pub(crate) place: String,
    pub(crate) name: String,
    pub(crate) version: String,
}

impl Package {
    /// Reads `registry+https://..#candle-core@0.11.1`, `path+file:///..#kensaku@0.1.0`, `..lib#0.1.0`.
    pub(crate) fn read(id: &str) -> Option<Self> {
        let (place, id) = id.rsplit_once('#')?;
        let folder = place.split('?').next()?.trim_end_matches(".git").rsplit('/').next()?;
        let (name, version) = id.split_once('@').unwrap_or((folder, id));
        Some(Self { place: place.to_owned(), name: name.to_owned(), version: version.to_owned() })
    }

    /// The source in the form of `[patch]`.
    pub(crate) fn patched(&self) -> Option<&str> {
        let (kind, address) = self.place.split_once('+')?;
        match kind {
            "registry" if address == CRATES_IO => Some("crates-io"),
            "path" | "git" => address.split('?').next(),
            _ => None,
        }
    }
}

/// Cargo's name for the public registry, mirrors included.
const CRATES_IO: &str = "https://github.com/rust-lang/crates.io-index";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_in_every_form() {
        let read = |id: &str| {
            let package = Package::read(id).expect("a package");
            (package.name.clone(), package.version.clone(), package.patched().map(str::to_owned))
        };
        let of = |name: &str, version: &str, place: Option<&str>| {
            (name.to_owned(), version.to_owned(), place.map(str::to_owned))
        };
        let io = "registry+https://github.com/rust-lang/crates.io-index#candle-core@0.11.1";
        assert_eq!(read(io), of("candle-core", "0.11.1", Some("crates-io")));
        assert_eq!(read("path+file:///a/lib#kensaku@0.1.0"), of("kensaku", "0.1.0", Some("file:///a/lib")));
        assert_eq!(read("path+file:///a/lib#0.1.0"), of("lib", "0.1.0", Some("file:///a/lib")));
        assert_eq!(read("git+https://a.b/c/d.git?rev=1#0.2.0"), of("d", "0.2.0", Some("https://a.b/c/d.git")));
        assert_eq!(read("sparse+https://a.b/#x@1.0.0"), of("x", "1.0.0", None));
    }
}
