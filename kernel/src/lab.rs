//! `kensaku lab`: installs the kernel and opens JupyterLab.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Result;

use crate::install::{Target, install};

const MISSING: &str = "JupyterLab is not installed. For example:

    python3 -m venv ~/jupyter
    ~/jupyter/bin/pip install jupyterlab
    . ~/jupyter/bin/activate

Then run `kensaku lab` again. Notebooks also run without Jupyter: `kensaku run notebook.ipynb`.";

/// Installs the kernel for the user, then executes `jupyter lab`.
pub(crate) fn open(arguments: &[String]) -> Result<ExitCode> {
    if !has_lab() {
        eprintln!("{MISSING}");
        return Ok(ExitCode::FAILURE);
    }
    install(&Target::user())?;
    let error = Command::new("jupyter").arg("lab").args(arguments).exec();
    Err(error.into())
}

fn has_lab() -> bool {
    let version =
        Command::new("jupyter").args(["lab", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match version {
        Ok(status) => status.success(),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}
