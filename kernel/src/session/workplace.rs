//! The folder of a session, and the environment for evcxr.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::folder::{Folder, remove_abandoned};
use super::link::Link;
use crate::child::{START_VARIABLE, Start};
use crate::dylib::Dylib;
use crate::toolchain;

/// How long candle's and gemm's threads spin before they sleep: cells share the machine with rustc.
const SPIN_LIMIT: &str = "64";

/// Its subfolders for the programs of cells, and for those that are only checked.
pub(super) const PROGRAMS: &str = "programs";
pub(super) const PROBES: &str = "probe";

/// Its parts for evcxr.
const LIBRARY: &str = "library";
const SETTINGS: &str = "evcxr.toml";

/// A folder that lives as long as the session.
pub(super) struct Workplace {
    folder: Folder,
}

impl Workplace {
    pub(super) fn new() -> Result<Self> {
        remove_abandoned();
        let workplace = Self { folder: Folder::new("")? };
        workplace.furnish()?;
        Ok(workplace)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder().join("socket")
    }

    /// Recreates what cleaners of temporary folders have deleted. Returns whether anything was.
    pub(super) fn restore(&mut self, link: &Link) -> Result<bool> {
        let parts = [PROBES, PROGRAMS, LIBRARY, SETTINGS, toolchain::CARGO, "socket"];
        if parts.iter().all(|part| self.folder().join(part).symlink_metadata().is_ok()) {
            return Ok(false);
        }
        let path = self.folder().to_owned();
        let restored = self.folder.restore().and_then(|()| self.furnish());
        let restored = restored.and_then(|()| toolchain::place_tools(&path));
        // The process for cells connects again when it is restarted.
        let restored = restored.and_then(|()| match self.socket().symlink_metadata() {
            Ok(_) => Ok(()),
            Err(_) => link.listen_at(&self.socket()),
        });
        restored.with_context(|| {
            format!("the session's folder {} was deleted and cannot be recreated: restart the kernel", path.display())
        })?;
        Ok(true)
    }

    fn furnish(&self) -> Result<()> {
        for part in [PROBES, PROGRAMS] {
            let part = self.folder().join(part);
            std::fs::create_dir_all(&part).with_context(|| format!("creating {}", part.display()))?;
        }
        self.write_standard_library()?;
        self.write_settings()
    }

    /// Points evcxr at this folder and at replacements for cargo and rustc. They are this process's
    /// children, so it is this process's environment.
    ///
    /// # Safety
    /// No other thread may read or write the environment meanwhile.
    pub(super) unsafe fn enter(&self, dylib: &Dylib) -> Result<()> {
        let set = |name: &str, value: OsString| {
            // Safety: the caller guarantees that no other thread uses the environment.
            unsafe { std::env::set_var(name, value) };
        };
        set("RUST_SRC_PATH", self.folder().join(LIBRARY).into());
        set("EVCXR_CONFIG_DIR", self.folder().into());
        set("EVCXR_TMPDIR", self.folder().join("cell").into());
        for (name, value) in toolchain::stand_in(self.folder(), &dylib.dependencies.join("answers"))? {
            set(name, value);
        }
        Ok(())
    }

    /// The command by which evcxr starts the process for cells.
    pub(super) fn child(&self, dylib: &Dylib, token: &str) -> Result<Command> {
        let before = |name: &&str| ((*name).to_owned(), std::env::var(name).ok());
        let start = Start {
            socket: self.socket(),
            token: token.to_owned(),
            dylib: dylib.library.clone(),
            before: FOR_CELLS.iter().map(before).collect(),
        };
        let mut command = Command::new(std::env::current_exe().context("finding this binary")?);
        toolchain::as_before(&mut command)
            .env(START_VARIABLE, serde_json::to_string(&start)?)
            .env("LD_LIBRARY_PATH", library_path(dylib))
            .env("CANDLE_BARRIER_POOL_SPIN_LIMIT", SPIN_LIMIT);
        limit_threads(&mut command);
        Ok(command)
    }

    /// Empty crates instead of std's source: rust-analyzer then has nothing to read, and evcxr
    /// does not ask rustup to download it.
    fn write_standard_library(&self) -> Result<()> {
        for name in ["core", "alloc", "std", "proc_macro", "test"] {
            let crate_folder = self.folder().join(LIBRARY).join(name);
            write(&crate_folder.join("src/lib.rs"), "")?;
            let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n");
            write(&crate_folder.join("Cargo.toml"), &manifest)?;
        }
        Ok(())
    }

    /// evcxr compiles cells with optimisation unless configured otherwise before it starts.
    fn write_settings(&self) -> Result<()> {
        write(&self.folder().join(SETTINGS), "[evcxr]\nopt_level = \"0\"\n")
    }
}

/// Lets libraries use all processors available to this process: candle counts the machine's physical cores.
pub(crate) fn limit_threads(program: &mut Command) {
    if std::env::var_os("RAYON_NUM_THREADS").is_none() {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        program.env("RAYON_NUM_THREADS", threads.to_string());
    }
}

/// Variables that are set for the process for cells, but not for the programs that cells start.
const FOR_CELLS: [&str; 2] = ["LD_LIBRARY_PATH", "RUST_BACKTRACE"];

fn library_path(dylib: &Dylib) -> OsString {
    let before = std::env::var_os("LD_LIBRARY_PATH");
    let mut path = OsString::new();
    for folder in dylib.run_time_folders().into_iter().map(OsStr::new).chain(before.as_deref()) {
        if !path.is_empty() {
            path.push(":");
        }
        path.push(folder);
    }
    path
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
