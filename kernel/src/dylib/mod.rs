//! The library's dylib: where it is, and whether it is up to date.
//!
//! Clones of the repository may share a target folder, where each has its own dylib.

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

/// A built dylib, with what else cells need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dylib {
    /// The clone it was built from.
    workspace: PathBuf,
    /// The version of its interface to the process that loads it, see [`host::VERSION`].
    host: u64,
    pub(crate) library: PathBuf,
    /// The crates it was built from, in a separate folder, so that a later `cargo build` does not
    /// affect the cells of running kernels.
    pub(crate) dependencies: PathBuf,
    /// The folder of the toolchain's `libstd-*.so`, which the dylib and the cells share.
    standard_library: PathBuf,
    /// `rustc -vV` of the compiler that built it: no other can use it.
    pub(crate) rustc: String,
    pub(crate) crates: Vec<Held>,
}

impl Dylib {
    /// The dylib of this binary, which is built first if it is missing or older than its sources.
    /// cargo's progress is printed to stderr.
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
            // Cells run without the index.
            eprintln!("completion index not built: {error:#}");
        }
        Ok(dylib)
    }

    /// The installed dylib, without building it.
    pub fn installed() -> Result<Self> {
        let folder = folder()?;
        let Some(dylib) = Self::recorded(&folder) else {
            bail!("the library for cells is not built: run `kensaku install`");
        };
        dylib.check(&rustc_version()?)?;
        Ok(dylib)
    }

    /// The version of the compiler that built the installed dylib, such as `1.95.0`. Only reads a file.
    pub(crate) fn recorded_compiler() -> Option<String> {
        let rustc = Self::recorded(&folder().ok()?)?.rustc;
        Some(rustc.lines().find_map(|line| line.strip_prefix("release: "))?.to_owned())
    }

    /// Keeps the dylib's folder from being removed until the result is dropped.
    pub(crate) fn hold(&self) -> Result<std::fs::File> {
        let folder = std::fs::File::open(&self.dependencies).context("opening the library's folder")?;
        folder.lock_shared().context("locking the library's folder")?;
        Ok(folder)
    }

    /// The index for completion.
    pub(crate) fn index(&self) -> PathBuf {
        self.dependencies.join("completion.index")
    }

    /// The `Cargo.lock` that the crates were built with.
    pub(crate) fn lock(&self) -> PathBuf {
        self.dependencies.join("Cargo.lock")
    }

    /// The target triple that it was built for.
    pub(crate) fn platform(&self) -> &str {
        self.rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default()
    }

    /// The file that lists the sources of the crates, as reported by cargo.
    pub(crate) fn sources(&self) -> PathBuf {
        self.dependencies.join("sources.json")
    }

    /// The folder of the toolchain.
    pub(crate) fn sysroot(&self) -> Option<&Path> {
        // <sysroot>/lib/rustlib/<target>/lib
        self.standard_library.ancestors().nth(4)
    }

    /// rustc itself, not rustup's proxy.
    pub(crate) fn compiler(&self) -> PathBuf {
        let sysroot = self.sysroot();
        let rustc = sysroot.map(|sysroot| sysroot.join("bin/rustc")).filter(|rustc| rustc.is_file());
        rustc.unwrap_or_else(|| "rustc".into())
    }

    /// The folders where a program that links to the dylib finds its libraries.
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
            "the library for cells was built by another version of kensaku: run `kensaku install`"
        );
        let name = |version: &str| version.lines().next().unwrap_or_default().to_owned();
        ensure!(
            self.rustc == rustc,
            "the library for cells was built with {}, but rustc is now {}: run `kensaku install`",
            name(&self.rustc),
            name(rustc),
        );
        Ok(())
    }

    /// Whether a source is newer than the dylib.
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
    // Tests and benches are one folder deeper.
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(folder.to_owned())
}

/// The file in `folder` that describes this clone's dylib.
fn record(folder: &Path) -> PathBuf {
    folder.join(format!("{RECORD}{}.json", clone_key(&workspace())))
}

/// The prefix of the names of such files.
const RECORD: &str = "kensaku-dylib-";

/// Distinguishes clones that share a target folder.
fn clone_key(workspace: &Path) -> String {
    format!("{:016x}", xxh3_64(workspace.as_os_str().as_bytes()))
}

/// The clone that this binary was built from; by `.cargo/config.toml`, cargo builds one per clone.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

fn has_sources() -> bool {
    workspace().join("kernel/preload/Cargo.toml").exists()
}

/// The source files of the dylib.
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
