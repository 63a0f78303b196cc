//! Building the dylib: cargo makes its crates, rustc links them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::held::{Held, held};
use super::{Dylib, Part, ask_rustc, has_sources, record, workspace};
use crate::rustc::joined;
use crate::toolchain;
use crate::units::Graph;

/// Builds the preload and makes the dylib of it.
pub(super) fn build(folder: &Path, rustc: String) -> Result<Dylib> {
    ensure!(has_sources(), "kensaku's sources are no longer at {}", workspace().display());
    let started = SystemTime::now();
    eprintln!("building kensaku's library for cells (only when it has changed) ...");
    let graph = Graph::ask(&mut cargo(folder)).context("asking cargo what the library is made of")?;
    let built = build_crates(folder)?;
    remove_unused(folder);
    let home = new_home(folder)?;
    gather(&built, &home)?;
    let crates = held(&graph, PRELOAD, &built)?.into_iter().map(|held| of_home(held, &home)).collect::<Result<_>>()?;
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

/// Puts the crates into `home`, without a second copy where the file system can, and their versions.
fn gather(built: &[Value], home: &Path) -> Result<()> {
    for part in built.iter().filter_map(Part::read) {
        let library = in_home(&part, home)?;
        std::fs::hard_link(&part.library, &library)
            .or_else(|_| std::fs::copy(&part.library, &library).map(|_| ()))
            .with_context(|| format!("putting {} into {}", part.library.display(), home.display()))?;
    }
    std::fs::copy(workspace().join("Cargo.lock"), home.join("Cargo.lock")).context("keeping Cargo.lock")?;
    Ok(())
}

fn of_home(held: Held, home: &Path) -> Result<Held> {
    let library = in_home(&held.part, home)?;
    Ok(Held { part: Part { library, ..held.part }, ..held })
}

fn in_home(part: &Part, home: &Path) -> Result<PathBuf> {
    Ok(home.join(part.library.file_name().context("a crate without a file")?))
}

/// What the dylib is made of.
const PRELOAD: &str = "kensaku-preload";

/// What the folder of a dylib is called.
const HOME: &str = "kensaku-cells-";

/// Builds the workspace's libraries; gives what cargo said of them.
fn build_crates(folder: &Path) -> Result<Vec<Value>> {
    let output = cargo(folder)
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo: is Rust installed and on PATH?")?;
    ensure!(output.status.success(), "cargo could not build the library ({})", output.status);
    let messages = String::from_utf8(output.stdout)?;
    Ok(messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// All of the libraries at once: cargo then unifies features as it does for the whole workspace, and
/// what was built for the tests or the kernel is not built again.
fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Under `cargo run` and `cargo test` this process has the variables of our own package. Build
    // scripts that look at them would run again, and all that stands on theirs (Polars) be built anew.
    toolchain::without_package(&mut cargo)
        .current_dir(workspace())
        .args(["build", "--release", "--workspace", "--lib"])
        .env("CARGO_TARGET_DIR", folder.parent().unwrap_or(folder))
        .env_remove("RUSTC_WRAPPER")
        .stdin(Stdio::null());
    cargo
}

/// Makes the dylib. Not left to cargo: it would put std into it, and each cell would have another.
///
/// It is named as the library is, so that rustc prints types as cells write them.
fn link(dylib: &Dylib) -> Result<()> {
    let preload = dylib.crates.iter().find(|held| held.part.package == PRELOAD);
    let preload = &preload.context("cargo did not name the preload's library")?.part.library;
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
