//! Stock evcxr_jupyter with the library: a kernelspec with a configuration that links cells to the same dylib.
//!
//! That kernel asks rust-analyzer for the types of variables, which cannot see a prebuilt library: a `let`
//! with a type of the library needs a type annotation.

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::kernelspec::Kernelspec;
use crate::dylib::Dylib;
use crate::files;

pub(super) const NAME: &str = "kensaku-stock";

/// The folder of the configuration, inside that of the kernelspec.
const CONFIG: &str = "config";

/// Cells compile two to four times faster at opt-level 0; the library is optimised anyway.
const SETTINGS: &str = "[evcxr]\nopt_level = \"0\"\n";

/// evcxr shows a value by its method `evcxr_display`.
const PRELUDE: &str = "use kensaku::prelude::*;

pub trait KensakuDisplay {
    fn evcxr_display(&self);
}

impl<T: kensaku::show::Show> KensakuDisplay for T {
    fn evcxr_display(&self) {
        kensaku::show::display(self);
    }
}
";

/// Starts `evcxr` through this binary, which then knows the current path of the dylib. The configuration is next to
/// the kernelspec.
pub(super) fn kernelspec(title: &str, binary: &Path, evcxr: &Path, folder: &Path, dylib: &Dylib) -> Result<Kernelspec> {
    let config = std::path::absolute(folder.join(CONFIG))?;
    let mut kernelspec = Kernelspec::new(json!({
        "argv": [binary, "stock-kernel", find(evcxr)?, config, "{connection_file}"],
        "display_name": title,
        "language": "rust",
        "interrupt_mode": "message",
        "metadata": { "debugger": false },
    }));
    let files = configuration(dylib)?.map(|(name, content)| (format!("{CONFIG}/{name}"), content.into_bytes()));
    kernelspec.files.extend(files);
    Ok(kernelspec)
}

/// Replaces this process by the stock kernel.
pub(crate) fn serve(evcxr: &Path, config: &Path, connection_file: &Path) -> Result<ExitCode> {
    let dylib = Dylib::installed()?;
    for (name, content) in configuration(&dylib)? {
        // Unchanged since installation, unless the dylib was rebuilt.
        let file = config.join(name);
        if std::fs::read_to_string(&file).ok().as_ref() != Some(&content) {
            files::write(&file, content.as_bytes())?;
        }
    }
    let held = dylib.hold()?;
    // Safety: the file descriptor is open. The kernel inherits it, and with it the lock on the dylib.
    ensure!(unsafe { libc::fcntl(held.as_raw_fd(), libc::F_SETFD, 0) } == 0, "cannot lock the library's folder");
    let mut kernel = Command::new(evcxr);
    kernel.arg("--control_file").arg(connection_file).env("EVCXR_CONFIG_DIR", config);
    Err(kernel.exec()).with_context(|| format!("starting {}", evcxr.display()))
}

/// The files that stock evcxr reads at startup.
fn configuration(dylib: &Dylib) -> Result<[(&'static str, String); 3]> {
    Ok([("evcxr.toml", SETTINGS.to_owned()), ("init.evcxr", init(dylib)?), ("prelude.rs", PRELUDE.to_owned())])
}

/// Passes the dylib to rustc. Encoded flags are separated by a character that does not occur in paths.
fn init(dylib: &Dylib) -> Result<String> {
    let path = |path: &Path| path.to_str().map(str::to_owned).context("the library's path is not UTF-8");
    let flags = [
        "-Cprefer-dynamic".to_owned(),
        "--extern".to_owned(),
        format!("kensaku={}", path(&dylib.library)?),
        format!("-Ldependency={}", path(&dylib.dependencies)?),
    ];
    Ok(format!(":build_env CARGO_ENCODED_RUSTFLAGS={}\n", flags.join("\u{1f}")))
}

/// The path of the kernel, found as a shell would.
fn find(evcxr: &Path) -> Result<PathBuf> {
    let found = match evcxr.components().count() {
        1 => {
            let folders = std::env::var_os("PATH").unwrap_or_default();
            let cargo = std::env::home_dir().map(|home| home.join(".cargo/bin"));
            std::env::split_paths(&folders).chain(cargo).map(|folder| folder.join(evcxr)).find(|file| file.is_file())
        }
        _ => evcxr.canonicalize().ok(),
    };
    let found = found.with_context(|| {
        format!(
            "{} not found: run `cargo install evcxr_jupyter`, or pass its path with `--stock=PATH`",
            evcxr.display()
        )
    })?;
    let help = Command::new(&found).arg("--help").output();
    let is_evcxr = help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--install"));
    ensure!(is_evcxr, "{} is not evcxr_jupyter", found.display());
    Ok(found)
}
