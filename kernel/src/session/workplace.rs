//! The folder of one session, and the environment in which evcxr finds everything.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::child::{DYLIB_VARIABLE, SOCKET_VARIABLE, TOKEN_VARIABLE};
use crate::dylib::Dylib;
use crate::toolchain;

/// How long candle's and gemm's threads spin before they sleep: cells share the machine with rustc.
const SPIN_LIMIT: &str = "64";

/// The folder's name: this, the process, something random.
pub(crate) const PREFIX: &str = "kensaku-session-";

/// In it: the programs of cells, and those that are only checked.
pub(super) const PROGRAMS: &str = "programs";
pub(super) const PROBES: &str = "probe";

/// A folder that lives as long as the session.
pub(super) struct Workplace {
    folder: TempDir,
}

impl Workplace {
    pub(super) fn new() -> Result<Self> {
        remove_abandoned();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir().with_context(|| {
            let place = std::env::temp_dir();
            format!("no folder can be made in {}: TMPDIR names another place with room", place.display())
        })?;
        let workplace = Self { folder };
        for part in [PROBES, PROGRAMS] {
            let part = workplace.folder().join(part);
            std::fs::create_dir_all(&part).with_context(|| format!("creating {}", part.display()))?;
        }
        workplace.write_standard_library()?;
        workplace.write_settings()?;
        Ok(workplace)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Points evcxr at this folder and at stand-ins for cargo and rustc. They are this process's
    /// children, so it is this process's environment.
    ///
    /// # Safety
    /// No other thread may read or write the environment meanwhile.
    pub(super) unsafe fn enter(&self, dylib: &Dylib) -> Result<()> {
        let set = |name: &str, value: OsString| {
            // Safety: the caller promises that no other thread looks.
            unsafe { std::env::set_var(name, value) };
        };
        set("RUST_SRC_PATH", self.folder.path().join("library").into());
        set("EVCXR_CONFIG_DIR", self.folder.path().into());
        set("EVCXR_TMPDIR", self.folder.path().join("cell").into());
        for (name, value) in toolchain::stand_in(self.folder(), &dylib.dependencies.join("answers"))? {
            set(name, value);
        }
        Ok(())
    }

    /// The command by which evcxr starts the process for cells.
    pub(super) fn child(&self, dylib: &Dylib, token: &str) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("finding this binary")?);
        toolchain::as_before(&mut command)
            .env(DYLIB_VARIABLE, &dylib.library)
            .env(SOCKET_VARIABLE, self.socket())
            .env(TOKEN_VARIABLE, token)
            .env("LD_LIBRARY_PATH", library_path(dylib))
            .env("CANDLE_BARRIER_POOL_SPIN_LIMIT", SPIN_LIMIT);
        limit_threads(&mut command);
        Ok(command)
    }

    /// Empty crates in place of std's source: rust-analyzer then has nothing to read, and evcxr
    /// does not ask rustup to download it.
    fn write_standard_library(&self) -> Result<()> {
        for name in ["core", "alloc", "std", "proc_macro", "test"] {
            let crate_folder = self.folder.path().join("library").join(name);
            write(&crate_folder.join("src/lib.rs"), "")?;
            let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n");
            write(&crate_folder.join("Cargo.toml"), &manifest)?;
        }
        Ok(())
    }

    /// evcxr compiles cells with optimisation unless told before it starts.
    fn write_settings(&self) -> Result<()> {
        write(&self.folder.path().join("evcxr.toml"), "[evcxr]\nopt_level = \"0\"\n")
    }
}

/// Lets libraries take the processors that this process may use: candle counts physical cores of the machine.
pub(crate) fn limit_threads(program: &mut Command) {
    if std::env::var_os("RAYON_NUM_THREADS").is_none() {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        program.env("RAYON_NUM_THREADS", threads.to_string());
    }
}

/// Removes the folders of kernels that were killed.
fn remove_abandoned() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
        if let Some(process) = process
            && has_ended(process)
        {
            // Another user's folder stays; it is theirs.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn has_ended(process: libc::pid_t) -> bool {
    // Safety: signal 0 only asks whether the process is there.
    let there = unsafe { libc::kill(process, 0) } == 0;
    !there && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

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
