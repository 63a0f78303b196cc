//! Builds the dylib: cargo compiles its crates, rustc links them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::held::{Held, held};
use super::{Dylib, Part, RECORD, ask_rustc, clone_key, has_sources, record, workspace};
use crate::complete::Built;
use crate::host;
use crate::rustc::joined;
use crate::toolchain;
use crate::units::Graph;

/// Builds the preload and links it into the dylib, unless another process has just done so.
pub(super) fn build(folder: &Path, rustc: String) -> Result<Dylib> {
    ensure!(has_sources(), "kensaku's sources are missing at {}", workspace().display());
    let _building = lock(folder)?;
    if let Some(dylib) = Dylib::recorded(folder).filter(|dylib| dylib.rustc == rustc && !dylib.is_stale()) {
        return Ok(dylib);
    }
    let started = SystemTime::now();
    eprintln!("building kensaku's library for cells (needed once per change) ...");
    let graph = Graph::ask(&mut cargo(folder)).context("asking cargo for the library's dependencies")?;
    let messages = build_crates(folder)?;
    // Spares the dylib that is recorded now: a kernel may be starting with it.
    remove_unused(folder, Dylib::recorded(folder).map(|dylib| dylib.dependencies));
    let home = new_home(folder)?;
    gather(&messages, &home)?;
    let crates =
        held(&graph, PRELOAD, &messages)?.into_iter().map(|held| of_home(held, &home)).collect::<Result<_>>()?;
    let dylib = Dylib {
        workspace: workspace(),
        host: host::VERSION,
        library: home.join(format!("libkensaku_cells.{}", std::env::consts::DLL_EXTENSION)),
        dependencies: home,
        standard_library: ask_rustc(&["--print", "target-libdir"])?.trim().into(),
        rustc,
        crates,
    };
    link(&dylib)?;
    let sources: Vec<Built> = messages.iter().filter_map(Built::read).collect();
    crate::files::write(&dylib.sources(), serde_json::to_string(&sources)?.as_bytes())?;
    let file = record(folder);
    crate::files::write(&file, serde_json::to_string_pretty(&dylib)?.as_bytes())?;
    // Changes made while cargo ran are built the next time.
    File::open(&file)?.set_modified(started)?;
    Ok(dylib)
}

/// A new folder for a dylib and its crates.
fn new_home(folder: &Path) -> Result<PathBuf> {
    let prefix = format!("{HOME}{}-", clone_key(&workspace()));
    let home =
        tempfile::Builder::new().prefix(&prefix).tempdir_in(folder).context("creating the folder of the library")?;
    Ok(home.keep())
}

/// Waits until no other process builds, and locks builds until the result is dropped.
fn lock(folder: &Path) -> Result<File> {
    let file = folder.join("kensaku-dylib.lock");
    let lock = File::options().create(true).append(true).open(&file);
    let lock = lock.with_context(|| format!("opening {}", file.display()))?;
    if lock.try_lock().is_err() {
        eprintln!("waiting for another process that is building kensaku's library ...");
        lock.lock().with_context(|| format!("locking {}", file.display()))?;
    }
    Ok(lock)
}

/// Removes the dylibs that no kernel uses: those of this clone except `spared`, and those of deleted clones. If that
/// fails, the next build tries again.
fn remove_unused(folder: &Path, spared: Option<PathBuf>) {
    let mut ended = gone(folder);
    ended.push(clone_key(&workspace()));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let clone = name.to_str().and_then(|name| name.strip_prefix(HOME)?.split('-').next());
        if !clone.is_some_and(|clone| ended.iter().any(|ended| ended == clone))
            || spared.as_ref() == Some(&entry.path())
        {
            continue;
        }
        // Locked until the folder is removed.
        let lock = File::open(entry.path());
        if lock.as_ref().is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes the records of deleted clones and returns their keys.
fn gone(folder: &Path) -> Vec<String> {
    let records = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let records = records.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(RECORD)));
    let mut gone = Vec::new();
    for record in records.map(|entry| entry.path()) {
        let dylib = std::fs::read_to_string(&record).ok().and_then(|text| serde_json::from_str::<Dylib>(&text).ok());
        if let Some(Dylib { workspace, .. }) = dylib
            && !workspace.exists()
        {
            let _ = std::fs::remove_file(record);
            gone.push(clone_key(&workspace));
        }
    }
    gone
}

/// Puts the crates into `home`, as hard links where possible, with their Cargo.lock.
fn gather(built: &[Value], home: &Path) -> Result<()> {
    for part in built.iter().filter_map(Part::read) {
        let library = in_home(&part, home)?;
        std::fs::hard_link(&part.library, &library)
            .or_else(|_| std::fs::copy(&part.library, &library).map(|_| ()))
            .with_context(|| format!("copying {} to {}", part.library.display(), home.display()))?;
    }
    std::fs::copy(workspace().join("Cargo.lock"), home.join("Cargo.lock")).context("copying Cargo.lock")?;
    Ok(())
}

fn of_home(held: Held, home: &Path) -> Result<Held> {
    let library = in_home(&held.part, home)?;
    Ok(Held { part: Part { library, ..held.part }, ..held })
}

fn in_home(part: &Part, home: &Path) -> Result<PathBuf> {
    Ok(home.join(part.library.file_name().context("a library without a file name")?))
}

/// The package that the dylib is linked from.
const PRELOAD: &str = "kensaku-preload";

/// The prefix of the names of dylibs' folders.
const HOME: &str = "kensaku-cells-";

/// Builds the workspace's libraries and returns cargo's messages.
fn build_crates(folder: &Path) -> Result<Vec<Value>> {
    let output = cargo(folder)
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo: is Rust installed and on PATH?")?;
    ensure!(output.status.success(), "cargo failed to build the library ({})", output.status);
    let messages = String::from_utf8(output.stdout)?;
    Ok(messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Builds all libraries at once: cargo then unifies features as for the whole workspace, and crates
/// built for the tests or the kernel are reused.
fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Under `cargo run` and `cargo test` this process has the variables of our own package. Build
    // scripts that read them would run again, and their dependents (Polars) would be rebuilt.
    toolchain::without_package(&mut cargo)
        .current_dir(workspace())
        .args(["build", "--release", "--workspace", "--lib"])
        .env("CARGO_TARGET_DIR", folder.parent().unwrap_or(folder))
        .env_remove("RUSTC_WRAPPER")
        .stdin(Stdio::null());
    cargo
}

/// Links the dylib. cargo would include std in it, and each cell would have a second one.
///
/// It has the name of the library, so that rustc prints types as cells write them.
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
    ensure!(status.success(), "rustc failed to link the library for cells ({status})");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_clones_keep_their_libraries_while_they_exist() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let other = tempfile::tempdir()?;
        let gone = other.path().join("gone");
        let record = |clone: &Path| folder.path().join(format!("{RECORD}{}.json", clone_key(clone)));
        let home = |clone: &Path| folder.path().join(format!("{HOME}{}-1", clone_key(clone)));
        for clone in [workspace().as_path(), other.path(), &gone] {
            std::fs::create_dir(home(clone))?;
            let dylib = Dylib {
                workspace: clone.to_owned(),
                host: 0,
                library: PathBuf::new(),
                dependencies: home(clone),
                standard_library: PathBuf::new(),
                rustc: String::new(),
                crates: Vec::new(),
            };
            std::fs::write(record(clone), serde_json::to_string(&dylib)?)?;
        }
        remove_unused(folder.path(), None);
        assert!(home(other.path()).exists() && record(other.path()).exists());
        assert!(!home(&gone).exists() && !record(&gone).exists());
        assert!(!home(&workspace()).exists());
        Ok(())
    }

    #[test]
    fn only_unused_libraries_are_removed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = || new_home(folder.path()).expect("a folder");
        let (held, named, left) = (home(), home(), home());
        let holding = File::open(&held).expect("it is there");
        holding.lock_shared().expect("it is not locked");
        remove_unused(folder.path(), Some(named.clone()));
        assert_eq!([held.exists(), named.exists(), left.exists()], [true, true, false]);
        drop(holding);
        remove_unused(folder.path(), None);
        assert_eq!([held.exists(), named.exists()], [false, false]);
    }

    #[test]
    fn one_process_builds_at_a_time() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = lock(folder.path()).expect("no other build runs");
        let place = folder.path().to_owned();
        let second = std::thread::spawn(move || lock(&place).is_ok());
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(!second.is_finished());
        drop(first);
        assert!(second.join().expect("it does not panic"));
    }
}
