//! The library's dylib: where it is, whether it is fresh, and how it is built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::rustc::joined;

/// A built dylib and what cells need besides it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dylib {
    pub(crate) library: PathBuf,
    /// The crates it was built from, in a folder of their own: a later `cargo build` of the project
    /// leaves the cells of running kernels as they are.
    pub(crate) dependencies: PathBuf,
    /// The folder of the toolchain's `libstd-*.so`, which the dylib and the cells share.
    standard_library: PathBuf,
    /// `rustc -vV` of the compiler that built it: no other can use it.
    pub(crate) rustc: String,
    pub(crate) crates: Vec<Part>,
}

/// A crate inside the dylib.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// As code names it: `candle_core`.
    pub(crate) name: String,
    /// As Cargo.toml names it: `candle-core`.
    pub(crate) package: String,
    pub(crate) version: String,
    pub(crate) features: Vec<String>,
    pub(crate) library: PathBuf,
}

impl Dylib {
    /// The dylib that belongs to this binary, built before if it is missing or older than its
    /// sources. Cargo's progress goes to stderr.
    pub fn fresh() -> Result<Self> {
        let folder = folder()?;
        let rustc = rustc_version()?;
        let dylib = match Self::recorded(&folder) {
            Some(dylib) if dylib.rustc == rustc && !dylib.is_stale() => dylib,
            Some(dylib) if !has_sources() => {
                dylib.check(&rustc)?;
                return Ok(dylib);
            }
            _ => build(&folder, rustc)?,
        };
        if let Err(error) = crate::complete::update_index(&dylib, &workspace()) {
            // Cells run without it.
            eprintln!("completion will know little: {error:#}");
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

/// Builds the preload and makes the dylib of it.
fn build(folder: &Path, rustc: String) -> Result<Dylib> {
    ensure!(has_sources(), "kensaku's sources are no longer at {}", workspace().display());
    let started = SystemTime::now();
    eprintln!("building kensaku's library for cells (only when it has changed) ...");
    let crates = build_crates(folder)?;
    remove_unused(folder);
    let home = new_home(folder)?;
    let crates = gather(crates, &home)?;
    let dylib = Dylib {
        library: home.join(format!("libkensaku_cells.{}", std::env::consts::DLL_EXTENSION)),
        dependencies: home,
        standard_library: ask_rustc(&["--print", "target-libdir"])?.trim().into(),
        rustc,
        crates,
    };
    link(&dylib)?;
    let file = record(folder);
    crate::files::write(&file, serde_json::to_string_pretty(&dylib)?.as_bytes())?;
    // What was changed while cargo ran is built the next time.
    std::fs::File::open(&file)?.set_modified(started)?;
    Ok(dylib)
}

/// A new folder for a dylib and its crates.
fn new_home(folder: &Path) -> Result<PathBuf> {
    let home = tempfile::Builder::new().prefix(HOME).tempdir_in(folder).context("making the folder of the library")?;
    Ok(home.keep())
}

/// Removes the dylibs that no kernel uses.
fn remove_unused(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(HOME));
        if ours && std::fs::File::open(entry.path()).is_ok_and(|lock| lock.try_lock().is_ok()) {
            // What cannot be removed now is removed by the next build.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Puts the crates into `home`, without a second copy where the file system can.
fn gather(crates: Vec<Part>, home: &Path) -> Result<Vec<Part>> {
    let place = |part: Part| {
        let name = part.library.file_name().context("a crate without a file")?;
        let library = home.join(name);
        std::fs::hard_link(&part.library, &library)
            .or_else(|_| std::fs::copy(&part.library, &library).map(|_| ()))
            .with_context(|| format!("putting {} into {}", part.library.display(), home.display()))?;
        Ok(Part { library, ..part })
    };
    crates.into_iter().map(place).collect()
}

/// What the folder of a dylib is called.
const HOME: &str = "kensaku-cells-";

/// Prefixes of the variables that cargo sets for the programs it runs.
const SET_BY_CARGO: [&str; 6] =
    ["CARGO_BIN_", "CARGO_CRATE_", "CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PRIMARY_", "OUT_DIR"];

/// Builds the workspace's libraries; gives every crate. All of them at once: cargo then unifies
/// features as it does for the whole workspace, and what was built for the tests or the kernel is
/// not built again.
fn build_crates(folder: &Path) -> Result<Vec<Part>> {
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
    let messages = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    Ok(messages.filter_map(|message| Part::read(&message)).collect())
}

impl Part {
    /// The library that a message of cargo tells of; not those of build scripts.
    pub(crate) fn read(message: &Value) -> Option<Self> {
        if message["reason"] != "compiler-artifact" || message["target"]["kind"][0] == "custom-build" {
            return None;
        }
        let is_library = |file: &PathBuf| {
            file.extension().is_some_and(|kind| kind == "rlib" || kind == std::env::consts::DLL_EXTENSION)
        };
        let texts = |list: &Value| {
            let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            texts.collect::<Vec<_>>()
        };
        // "registry+https://..#candle-core@0.11.1", "path+file:///..#kensaku@0.1.0", "..lib#0.1.0"
        let (place, id) = message["package_id"].as_str()?.rsplit_once('#')?;
        let (package, version) = id.split_once('@').unwrap_or((place.rsplit('/').next()?, id));
        Some(Self {
            name: message["target"]["name"].as_str()?.replace('-', "_"),
            package: package.to_owned(),
            version: version.to_owned(),
            features: texts(&message["features"]),
            library: texts(&message["filenames"]).into_iter().map(PathBuf::from).find(is_library)?,
        })
    }
}

/// Makes the dylib. Not left to cargo: it would put std into it, and each cell would have another.
///
/// It is named as the library is, so that rustc prints types as cells write them.
fn link(dylib: &Dylib) -> Result<()> {
    let preload = dylib.crates.iter().find(|part| part.name == "kensaku_preload");
    let preload = &preload.context("cargo did not name the preload's library")?.library;
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("cells.rs");
    std::fs::write(&source, "pub use kensaku_preload::*;\n").context("writing the dylib's source")?;
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

/// Where the sources were when this binary was built.
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
    ensure!(output.status.success(), "rustc {} failed", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}
