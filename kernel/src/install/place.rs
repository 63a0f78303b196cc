//! Where the kernel is installed.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Where Jupyter looks for kernels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Place {
    User,
    /// The active virtual environment, or that of the `python3` on PATH.
    Environment,
    Prefix(PathBuf),
}

impl Place {
    /// The folder that contains one folder per kernel.
    pub(super) fn kernels(&self) -> Result<PathBuf> {
        Ok(self.data()?.join("kernels"))
    }

    fn data(&self) -> Result<PathBuf> {
        let share = |prefix: PathBuf| prefix.join("share/jupyter");
        match self {
            Self::Prefix(prefix) => Ok(share(prefix.clone())),
            Self::Environment => Ok(share(environment()?)),
            Self::User => match std::env::var_os("JUPYTER_DATA_DIR") {
                Some(folder) => Ok(folder.into()),
                None => {
                    let home = std::env::home_dir().context("the home folder is unknown")?;
                    Ok(home.join(".local/share/jupyter"))
                }
            },
        }
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
        .context("no virtual environment is active, and python3 cannot be run")?;
    ensure!(output.status.success(), "python3 does not report its prefix");
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_have_jupyters_layout() {
        let folder = Place::Prefix("/env".into()).kernels().expect("a prefix needs no look-up");
        assert_eq!(folder, PathBuf::from("/env/share/jupyter/kernels"));
    }
}
