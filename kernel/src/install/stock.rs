//! Stock evcxr_jupyter with the library: a kernelspec whose configuration hands it the same dylib.
//!
//! That kernel asks rust-analyzer for the types of variables, which knows nothing of a prebuilt library: a
//! `let` whose type comes from it has to name the type.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::kernelspec::Kernelspec;
use crate::dylib::Dylib;

pub(super) const NAME: &str = "kensaku-stock";

/// Cells at opt-level 0 compile two to four times faster; the library is optimised as it is.
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

/// What makes `evcxr` a kernel with the library. The configuration lies beside the kernelspec.
pub(super) fn kernelspec(title: &str, evcxr: &Path, folder: &Path, dylib: &Dylib) -> Result<Kernelspec> {
    let mut kernelspec = Kernelspec::new(json!({
        "argv": [find(evcxr)?, "--control_file", "{connection_file}"],
        "display_name": title,
        "language": "rust",
        "interrupt_mode": "message",
        "env": { "EVCXR_CONFIG_DIR": std::path::absolute(folder.join("config"))? },
        "metadata": { "debugger": false },
    }));
    let file = |name: &str, content: &str| (format!("config/{name}"), content.as_bytes().to_vec());
    kernelspec.files.push(file("evcxr.toml", SETTINGS));
    kernelspec.files.push(file("init.evcxr", &init(dylib)?));
    kernelspec.files.push(file("prelude.rs", PRELUDE));
    Ok(kernelspec)
}

/// Gives rustc the dylib. Encoded flags are separated by a character that no path has.
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

/// The kernel's own path, found as a shell would find it.
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
        format!("{} is not installed: `cargo install evcxr_jupyter`, or name it: `--stock=PATH`", evcxr.display())
    })?;
    let help = Command::new(&found).arg("--help").output();
    let is_evcxr = help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--install"));
    ensure!(is_evcxr, "{} is not evcxr_jupyter", found.display());
    Ok(found)
}
