//! `kensaku run`: notebooks and scripts without Jupyter.

mod compile;
mod notebook;
mod outputs;
mod script;
mod signals;
mod terminal;
mod watch;

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

pub(crate) use compile::rustc;

/// What to run and how.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) file: PathBuf,
    /// The destination of outputs: a file for a notebook, a folder for a script's displays.
    pub(crate) output: Option<PathBuf>,
    pub(crate) watch: bool,
    pub(crate) arguments: Vec<OsString>,
}

enum Format {
    Notebook,
    Script,
}

/// Runs a file and returns its exit code.
pub(crate) fn run(run: &Run) -> Result<ExitCode> {
    let format = format(&run.file)?;
    if run.watch {
        return watch::watch(run);
    }
    match format {
        Format::Notebook => notebook::notebook(run),
        Format::Script => script::script(run),
    }
}

/// Determined by the extension, which is optional for a script with a `#!` line.
fn format(file: &Path) -> Result<Format> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("ipynb") => Ok(Format::Notebook),
        Some("rs") => Ok(Format::Script),
        _ if begins_with_interpreter(file)? => Ok(Format::Script),
        _ => bail!("{} is neither a notebook (.ipynb) nor a script (.rs, or beginning with `#!`)", file.display()),
    }
}

fn begins_with_interpreter(file: &Path) -> Result<bool> {
    let opened = std::fs::File::open(file).with_context(|| format!("reading {}", file.display()))?;
    let mut start = Vec::new();
    opened.take(2).read_to_end(&mut start).with_context(|| format!("reading {}", file.display()))?;
    Ok(start == b"#!")
}
