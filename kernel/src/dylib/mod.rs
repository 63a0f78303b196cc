//! The library's dylib: where it is, and whether it is fresh.
//!
//! Clones of the repository may share a target folder: each has a dylib of its own there.

mod build;
mod held;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::host;

pub(crate) use held::{Held, Part};

/// A built dylib and what cells need besides it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dylib {
    /// The clone it was built from.
    workspace: PathBuf,
    /// What it and the process that loads it have to agree on, see [`host::VERSION`].
    host: u64,
    pub(crate) library: PathBuf,
    /// The crates it was built from, in a folder of their own: a later `cargo build` of the project
    /// leaves the cells of running kernels as they are.
    pub(crate) dependencies: PathBuf,
    /// The folder of the toolchain's `libstd-*.so`, which the dylib and the cells share.
    standard_library: PathBuf,
    /// `rustc -vV` of the compiler that built it: no other can use it.
    pub(crate) rustc: String,
    pub(crate) crates: Vec<Held>,
}

impl Dylib {
    /// The dylib that belongs to this binary, built before if it is missing or older than its
    /// sources. Cargo's progress goes to stderr.
    pub fn fresh() -> Result<Self> {
        let folder = folder()?;
        let rustc = rustc_version()?;
        let dylib = match Self::recorded(&folder) {
            Some(dylib) if dylib.check(&rustc).is_ok() && !dylib.is_stale() => dylib,
            Some(dylib) if !has_sources() => {
                dylib.check(&rustc)?;
                dylib
            }
            _ => build::build(&folder, rustc)?,
        };
        if let Err(error) = crate::complete::update_index(&dylib) {
            // Cells run without it.
            eprintln!("completion index not built: {error:#}");
        }
        Ok(dylib)
    }

    /// The dylib as it was installed: nothing is built.
    pub fn installed() -> Result<Self> {
        let folder = folder()?;
        let Some(dylib) = Self::recorded(&folder) else {
            bail!("the library is not built: run `kensaku install`");
        };
        dylib.check(&rustc_version()?)?;
        Ok(dylib)
    }

    /// The version of the compiler that built the installed dylib, `1.95.0`. Only a file is read.
    pub(crate) fn recorded_compiler() -> Option<String> {
        let rustc = Self::recorded(&folder().ok()?)?.rustc;
        Some(rustc.lines().find_map(|line| line.strip_prefix("release: "))?.to_owned())
    }

    /// Keeps the dylib's folder from being removed, as long as the answer lives.
    pub(crate) fn hold(&self) -> Result<std::fs::File> {
        let folder = std::fs::File::open(&self.dependencies).context("opening the library's folder")?;
        folder.lock_shared().context("holding the library's folder")?;
        Ok(folder)
    }

    /// What completion knows of the crates.
    pub(crate) fn index(&self) -> PathBuf {
        self.dependencies.join("completion.index")
    }

    /// The versions that the crates were chosen with: cargo's `Cargo.lock` of the time.
    pub(crate) fn lock(&self) -> PathBuf {
        self.dependencies.join("Cargo.lock")
    }

    /// The machine that it runs on, as rustc names it.
    pub(crate) fn platform(&self) -> &str {
        self.rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default()
    }

    /// Where the sources of the crates are, as cargo told it.
    pub(crate) fn sources(&self) -> PathBuf {
        self.dependencies.join("sources.json")
    }

    /// The folder of the toolchain.
    pub(crate) fn sysroot(&self) -> Option<&Path> {
        // <sysroot>/lib/rustlib/<target>/lib
        self.standard_library.ancestors().nth(4)
    }

    /// rustc itself, without rustup in front of it.
    pub(crate) fn compiler(&self) -> PathBuf {
        let sysroot = self.sysroot();
        let rustc = sysroot.map(|sysroot| sysroot.join("bin/rustc")).filter(|rustc| rustc.is_file());
        rustc.unwrap_or_else(|| "rustc".into())
    }

    /// Where a program that links to the dylib looks for libraries.
    pub(crate) fn run_time_folders(&self) -> [&Path; 2] {
        [self.library.parent().unwrap_or(Path::new(".")), &self.standard_library]
    }

    fn recorded(folder: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(record(folder)).ok()?;
        let dylib: Self = serde_json::from_str(&text).ok()?;
        dylib.library.exists().then_some(dylib)
    }

    fn check(&self, rustc: &str) -> Result<()> {
        ensure!(
            self.host == host::VERSION,
            "the library for cells belongs to another version of kensaku: run `kensaku install`"
        );
        let name = |version: &str| version.lines().next().unwrap_or_default().to_owned();
        ensure!(
            self.rustc == rustc,
            "the library was built by {}, but cells would be compiled by {}: run `kensaku install`",
            name(&self.rustc),
            name(rustc),
        );
        Ok(())
    }

    /// Whether a source is younger than the dylib.
    fn is_stale(&self) -> bool {
        let modified = |path: &Path| std::fs::metadata(path).and_then(|facts| facts.modified()).ok();
        let folder = self.dependencies.parent().unwrap_or(Path::new("."));
        match modified(&record(folder)) {
            Some(built) => sources().iter().filter_map(|path| modified(path)).any(|at| at > built),
            None => true,
        }
    }
}

/// The folder of this binary, such as `target/release`.
fn folder() -> Result<PathBuf> {
    let binary = std::env::current_exe().context("finding this binary")?;
    let folder = binary.parent().context("this binary has no folder")?;
    // Tests and benches lie one deeper.
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(folder.to_owned())
}

/// What is known of this clone's dylib in `folder`.
fn record(folder: &Path) -> PathBuf {
    folder.join(format!("{RECORD}{}.json", clone_key(&workspace())))
}

/// What the files of records begin with.
const RECORD: &str = "kensaku-dylib-";

/// Tells clones apart that share a target folder.
fn clone_key(workspace: &Path) -> String {
    format!("{:016x}", xxh3_64(workspace.as_os_str().as_bytes()))
}

/// The clone that this binary was built from; `.cargo/config.toml` has cargo build one for each.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

fn has_sources() -> bool {
    workspace().join("kernel/preload/Cargo.toml").exists()
}

/// The files that make the dylib.
fn sources() -> Vec<PathBuf> {
    let workspace = workspace();
    let mut files = vec![workspace.join("Cargo.toml"), workspace.join("Cargo.lock")];
    let mut folders = vec![workspace.join("lib"), workspace.join("kernel/preload")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "rs" || extension == "toml" => files.push(path),
                _ => {}
            }
        }
    }
    files
}

fn rustc_version() -> Result<String> {
    ask_rustc(&["-vV"])
}

fn ask_rustc(arguments: &[&str]) -> Result<String> {
    let output =
        Command::new("rustc").args(arguments).output().context("running rustc: is Rust installed and on PATH?")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`rustc {}` failed: {}", arguments.join(" "), said.trim());
    Ok(String::from_utf8(output.stdout)?)
}
