//! Runs a script: its cells become one program, compiled against the same dylib.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use super::Run;
use super::compile::compiled;
use crate::dylib::Dylib;
use crate::session::limit_threads;

/// The environment variable for the folder into which the library writes displays.
const DISPLAYS_VARIABLE: &str = "KENSAKU_DISPLAYS";

/// Replaces this process by the program, so that input, signals and the exit code are the program's.
pub(super) fn script(run: &Run) -> Result<ExitCode> {
    let dylib = Dylib::fresh()?;
    let held = dylib.hold()?;
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
    leave_open(&held)?;
    Err(command.exec()).context("starting the program")
}

/// Lets the program inherit `file`, and with it the lock on its library.
fn leave_open(file: &File) -> Result<()> {
    // Safety: the file descriptor is open; close-on-exec is its only flag.
    let left = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) };
    ensure!(left == 0, "locking the library: {}", std::io::Error::last_os_error());
    Ok(())
}
