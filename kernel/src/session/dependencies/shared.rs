//! The folder in which crates are built: shared by all sessions with the same dylib, removed some time
//! after the dylib is gone.
//!
//! ```text
//! ~/.cache/kensaku/deps/<hash of the dylib>/
//!     dylib       the dylib's path
//!     lock        locked while cargo runs
//!     held/       a replacement package for each crate of the dylib
//!     target/     cargo's target folder
//!     sessions/   links to the files that sessions use, unaffected by later builds
//! ```

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use toml::{Table, Value};
use xxhash_rust::xxh3::xxh3_64;

use crate::dylib::{Dylib, Held};
use crate::files::cache;
use crate::units::Package;
use crate::wrapper::LIBRARY;

/// How often locking is tried.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Shared {
    folder: PathBuf,
}

impl Shared {
    /// The folder of `dylib`, created if missing.
    pub(super) fn of(dylib: &Dylib) -> Result<Self> {
        let all = cache()?.join("deps");
        make(&all)?;
        let home = dylib.dependencies.as_os_str().as_bytes();
        let folder = all.join(format!("{:016x}", xxh3_64(&[home, dylib.rustc.as_bytes()].concat())));
        let shared = Self { folder };
        if !shared.packages().is_dir() {
            make(&shared.sessions())?;
            std::fs::write(shared.folder.join(DYLIB), home).context("writing the path of the library")?;
            // Created atomically: two sessions may start at once.
            let aside = tempfile::tempdir_in(&shared.folder).context("creating a folder")?;
            dylib.crates.iter().try_for_each(|held| write_package(&aside.path().join(folder_of(held)), held))?;
            if std::fs::rename(aside.path(), shared.packages()).is_ok() {
                let _ = aside.keep();
            }
        }
        remove_abandoned(&all);
        Ok(shared)
    }

    pub(super) fn target(&self) -> PathBuf {
        self.folder.join("target")
    }

    /// The package that replaces `held`.
    pub(super) fn package(&self, held: &Held) -> PathBuf {
        self.packages().join(folder_of(held))
    }

    /// Whether `package` replaces a held crate.
    pub(super) fn stands_in(&self, package: &Package) -> bool {
        let folder = package.place.strip_prefix("path+file://");
        folder.is_some_and(|folder| Path::new(folder).starts_with(self.packages()))
    }

    /// A folder for the links of one session, locked while the file is open. To be called while no
    /// other session builds.
    pub(super) fn session(&self) -> Result<(TempDir, File)> {
        let folder = tempfile::tempdir_in(self.sessions()).context("creating the folder of the session's crates")?;
        let lock = File::open(folder.path()).context("opening the session's crates")?;
        lock.lock_shared().context("locking the session's crates")?;
        Ok((folder, lock))
    }

    /// Waits until no other session builds; gives up when `stopped`. Calls `waiting` once if it has to wait.
    pub(super) fn lock(&self, waiting: impl FnOnce(), stopped: impl Fn() -> bool) -> Result<File> {
        let file = File::create(self.folder.join(LOCK)).context("locking the folder of crates")?;
        let mut waiting = Some(waiting);
        while let Err(TryLockError::WouldBlock) = file.try_lock() {
            anyhow::ensure!(!stopped(), "stopped");
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            std::thread::sleep(AGAIN);
        }
        Ok(file)
    }

    /// The folder of the replacement packages.
    pub(super) fn packages(&self) -> PathBuf {
        self.folder.join("held")
    }

    fn sessions(&self) -> PathBuf {
        self.folder.join(SESSIONS)
    }
}

const DYLIB: &str = "dylib";
const LOCK: &str = "lock";
const SESSIONS: &str = "sessions";

fn make(folder: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("creating {}", folder.display()))
}

fn folder_of(held: &Held) -> String {
    format!("{}-{}", held.part.package, held.part.version)
}

/// A package without code, with the name, the version and the features of a crate of the dylib.
fn write_package(folder: &Path, held: &Held) -> Result<()> {
    let text = |text: &str| Value::String(text.to_owned());
    let table = |entries: &[(&str, Value)]| {
        let entries = entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Value::Table(entries.collect())
    };
    let part = &held.part;
    let package = [("name", text(&part.package)), ("version", text(&part.version)), ("edition", text("2021"))];
    let library = [("name", text(&part.name)), ("path", text("lib.rs")), ("proc-macro", held.is_macro().into())];
    let features: BTreeMap<&str, Value> =
        held.offered.iter().map(|name| (name.as_str(), Value::Array(Vec::new()))).collect();
    let features: Vec<(&str, Value)> = features.into_iter().collect();
    let manifest: Table = [("package", table(&package)), ("lib", table(&library)), ("features", table(&features))]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    std::fs::create_dir(folder).with_context(|| format!("creating {}", folder.display()))?;
    std::fs::write(folder.join("Cargo.toml"), toml::to_string(&manifest)?).context("writing a Cargo.toml")?;
    std::fs::write(folder.join("lib.rs"), "").context("writing a lib.rs")?;
    std::os::unix::fs::symlink(&part.library, folder.join(LIBRARY)).context("linking to a library")
}

/// Removes the folders of missing dylibs and the links of ended sessions.
fn remove_abandoned(all: &Path) {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for folder in entries(all) {
        // A folder without this file is being created.
        let dylib = std::fs::read(folder.join(DYLIB));
        let is_gone = |dylib: Vec<u8>| !Path::new(std::ffi::OsStr::from_bytes(&dylib)).exists();
        if dylib.is_ok_and(is_gone) {
            // If it fails, a later session tries again.
            let _ = std::fs::remove_dir_all(&folder);
            continue;
        }
        // A session that builds may be creating a folder that is not locked yet.
        let Ok(lock) = File::create(folder.join(LOCK)) else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        for session in entries(&folder.join(SESSIONS)) {
            if File::open(&session).is_ok_and(|lock| lock.try_lock().is_ok()) {
                let _ = std::fs::remove_dir_all(&session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::unify::tests::crate_of;
    use super::*;

    #[test]
    fn replacement_packages_are_valid_for_cargo() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("candle-core-0.11.1");
        write_package(&place, &crate_of("candle-core", "0.11.1", &["default", "a.b"], &[])).expect("a package");
        let manifest: Table =
            toml::from_str(&std::fs::read_to_string(place.join("Cargo.toml")).expect("a file")).expect("a manifest");
        assert_eq!(manifest["lib"]["name"].as_str(), Some("candle_core"));
        assert_eq!(manifest["features"].as_table().map(Table::len), Some(2));
        assert_eq!(std::fs::read_link(place.join(LIBRARY)).expect("a link"), Path::new("libx.rlib"));
    }

    #[test]
    fn unused_folders_are_removed() {
        let all = tempfile::tempdir().expect("a folder");
        let folder = |name: &str, dylib: &Path| {
            let folder = all.path().join(name);
            std::fs::create_dir_all(folder.join("sessions/used")).expect("a folder");
            std::fs::create_dir(folder.join("sessions/left")).expect("a folder");
            std::fs::write(folder.join(DYLIB), dylib.as_os_str().as_bytes()).expect("a file");
            folder
        };
        let (kept, gone) = (folder("kept", all.path()), folder("gone", &all.path().join("nowhere")));
        let used = File::open(kept.join("sessions/used")).expect("it is there");
        used.lock_shared().expect("it is held");
        remove_abandoned(all.path());
        assert!(!gone.exists() && kept.join("sessions/used").exists() && !kept.join("sessions/left").exists());
    }
}
