//! The kernelspec: how Jupyter learns of the kernel.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::dylib::Dylib;

/// Whose Jupyter gets the kernel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    User,
    /// The active virtual environment, or that of the `python3` on PATH.
    Environment,
    Prefix(PathBuf),
}

/// Builds the dylib and writes the kernelspec; gives its folder.
pub(crate) fn install(target: &Target) -> Result<PathBuf> {
    Dylib::fresh()?;
    let folder = data_folder(target)?.join("kernels/kensaku");
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let binary = std::env::current_exe().context("finding this binary")?;
    let file = folder.join("kernel.json");
    std::fs::write(&file, serde_json::to_string_pretty(&spec(&binary))?)
        .with_context(|| format!("writing {}", file.display()))?;
    println!("installed the kernel \"Rust (kensaku)\" in {}", folder.display());
    Ok(folder)
}

fn spec(binary: &Path) -> Value {
    json!({
        "argv": [binary, "kernel", "{connection_file}"],
        "display_name": "Rust (kensaku)",
        "language": "rust",
        "interrupt_mode": "message",
    })
}

fn data_folder(target: &Target) -> Result<PathBuf> {
    let share = |prefix: PathBuf| prefix.join("share/jupyter");
    match target {
        Target::Prefix(prefix) => Ok(share(prefix.clone())),
        Target::Environment => Ok(share(environment()?)),
        Target::User => match std::env::var_os("JUPYTER_DATA_DIR") {
            Some(folder) => Ok(folder.into()),
            None => {
                let home = std::env::home_dir().context("this user has no home folder")?;
                let below = if cfg!(target_os = "macos") { "Library/Jupyter" } else { ".local/share/jupyter" };
                Ok(home.join(below))
            }
        },
    }
}

fn environment() -> Result<PathBuf> {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().find_map(std::env::var_os);
    if let Some(prefix) = active {
        return Ok(prefix.into());
    }
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.prefix)"])
        .output()
        .context("no virtual environment is active, and python3 does not run")?;
    ensure!(output.status.success(), "python3 does not tell its prefix");
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spec_starts_this_binary() {
        let spec = spec(Path::new("/opt/kensaku"));
        assert_eq!(spec["argv"], json!(["/opt/kensaku", "kernel", "{connection_file}"]));
        assert_eq!(spec["language"], "rust");
    }

    #[test]
    fn prefixes_have_jupyters_layout() {
        let folder = data_folder(&Target::Prefix("/env".into())).expect("a prefix needs no look-up");
        assert_eq!(folder, Path::new("/env/share/jupyter"));
    }
}
