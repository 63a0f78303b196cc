//! The library's dylib: where it is, whether it is fresh, and how it is built.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A built dylib and what cells need besides it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dylib {
    pub(crate) library: PathBuf,
    /// The folder of the crates it was built from.
    pub(crate) dependencies: PathBuf,
    /// The folder of the toolchain's `libstd-*.so`, which the dylib and the cells share.
    standard_library: PathBuf,
    /// `rustc -vV` of the compiler that built it: no other can use it.
    rustc: String,
}

impl Dylib {
    /// The dylib that belongs to this binary, built before if it is missing or older than its
    /// sources. Cargo's progress goes to stderr.
    pub fn fresh() -> Result<Self> {
        let folder = folder()?;
        let rustc = rustc_version()?;
        match Self::recorded(&folder) {
            Some(dylib) if dylib.rustc == rustc && !dylib.is_stale() => Ok(dylib),
            Some(dylib) if !has_sources() => {
                dylib.check(&rustc)?;
                Ok(dylib)
            }
            _ => build(&folder, rustc),
        }
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
        match modified(&record_beside(&self.library)) {
            Some(built) => sources().iter().filter_map(|path| modified(path)).any(|at| at > built),
            None => true,
        }
    }
}

/// Builds the preload and makes the dylib of it.
fn build(folder: &Path, rustc: String) -> Result<Dylib> {
    ensure!(has_sources(), "kensaku's sources are no longer at {}", workspace().display());
    let started = SystemTime::now();
    eprintln!("building kensaku's library for cells (only when it has changed) ...");
    let preload = build_preload(folder)?;
    let dylib = Dylib {
        library: folder.join(format!("libkensaku_cells.{}", std::env::consts::DLL_EXTENSION)),
        dependencies: folder.join("deps"),
        standard_library: ask_rustc(&["--print", "target-libdir"])?.trim().into(),
        rustc,
    };
    link(&dylib, &preload)?;
    let file = record(folder);
    std::fs::write(&file, serde_json::to_string_pretty(&dylib)?)
        .with_context(|| format!("writing {}", file.display()))?;
    // What was changed while cargo ran is built the next time.
    std::fs::File::open(&file)?.set_modified(started)?;
    Ok(dylib)
}

/// Prefixes of the variables that cargo sets for the programs it runs.
const SET_BY_CARGO: [&str; 5] = ["CARGO_BIN_", "CARGO_CRATE_", "CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PRIMARY_"];

/// Builds the workspace's libraries; gives the preload's. All of them at once: cargo then unifies
/// features as it does for the whole workspace, and what was built for the tests or the kernel is
/// not built again.
fn build_preload(folder: &Path) -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Under `cargo run` and `cargo test` this process has the variables of our own package. Build
    // scripts that look at them would run again, and all that stands on theirs (Polars) be built anew.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| SET_BY_CARGO.iter().any(|prefix| name.starts_with(prefix))) {
            cargo.env_remove(name);
        }
    }
    let output = cargo
        .current_dir(workspace())
        .args(["build", "--release", "--workspace", "--lib"])
        .arg("--message-format=json-render-diagnostics")
        .env("CARGO_TARGET_DIR", folder.parent().unwrap_or(folder))
        .env_remove("RUSTC_WRAPPER")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo: is Rust installed and on PATH?")?;
    ensure!(output.status.success(), "cargo could not build the library ({})", output.status);
    let messages = String::from_utf8(output.stdout)?;
    messages.lines().find_map(preload_of).context("cargo did not name the preload's library")
}

fn preload_of(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["target"]["name"] != "kensaku_preload" {
        return None;
    }
    let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
    files.map(PathBuf::from).find(|file| file.extension().is_some_and(|kind| kind == "rlib"))
}

/// Makes the dylib. Not left to cargo: it would put std into it, and each cell would have another.
///
/// It is named as the library is, so that rustc prints types as cells write them.
fn link(dylib: &Dylib, preload: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("cells.rs");
    std::fs::write(&source, "pub use kensaku_preload::*;\n").context("writing the dylib's source")?;
    let joined = |parts: [&OsStr; 2]| parts.iter().copied().collect::<OsString>();
    let status = Command::new("rustc")
        .args(["--edition=2024", "--crate-name=kensaku", "--crate-type=dylib"])
        .args(["-Cmetadata=cells", "-Cprefer-dynamic", "-Copt-level=3", "-Cstrip=debuginfo"])
        .arg("--extern")
        .arg(joined(["kensaku_preload=".as_ref(), preload.as_os_str()]))
        .arg(joined(["-Ldependency=".as_ref(), dylib.dependencies.as_os_str()]))
        .arg("-o")
        .arg(&dylib.library)
        .arg(&source)
        .status()
        .context("running rustc")?;
    ensure!(status.success(), "rustc could not link the library for cells ({status})");
    Ok(())
}

/// The folder of this binary, such as `target/release`.
fn folder() -> Result<PathBuf> {
    let binary = std::env::current_exe().context("finding this binary")?;
    let folder = binary.parent().context("this binary has no folder")?;
    // Tests and benches lie one deeper.
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(folder.to_owned())
}

fn record(folder: &Path) -> PathBuf {
    folder.join("kensaku-dylib.json")
}

fn record_beside(library: &Path) -> PathBuf {
    record(library.parent().unwrap_or(library))
}

fn workspace() -> PathBuf {
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
    ensure!(output.status.success(), "rustc {} failed", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}
