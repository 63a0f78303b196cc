//! Building the dylib: cargo makes its crates, rustc links them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Dylib, Part, ask_rustc, has_sources, record, workspace};
use crate::rustc::joined;

/// Builds the preload and makes the dylib of it.
pub(super) fn build(folder: &Path, rustc: String) -> Result<Dylib> {
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
