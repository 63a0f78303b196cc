//! Runs a script: its cells become one program, compiled against the same dylib.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use super::Run;
use super::compile::compiled;
use crate::dylib::Dylib;
use crate::session::limit_threads;

/// The library writes its displays into the folder that this names.
const DISPLAYS_VARIABLE: &str = "KENSAKU_DISPLAYS";

/// Becomes the program: its input, signals and exit code are its own.
pub(super) fn script(run: &Run) -> Result<ExitCode> {
    let dylib = Dylib::fresh()?;
    let Some(program) = compiled(&run.file, &dylib)? else {
        return Ok(ExitCode::FAILURE);
    };
    let mut command = Command::new(program);
    command.arg0(&run.file).args(&run.arguments);
    if let Some(folder) = &run.output {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        command.env(DISPLAYS_VARIABLE, std::path::absolute(folder)?);
    }
    limit_threads(&mut command);
    Err(command.exec()).context("starting the program")
}
