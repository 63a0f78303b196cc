//! `!command`: the shell, in the working directory of cells.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::session::Failure;
use crate::session::evaluator::Session;
use crate::session::filter::whole_characters;
use crate::toolchain;

impl Session {
    /// Runs a shell command and shows its output as it arrives, both streams in order.
    pub(super) fn shell(&mut self, command: &str) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::new("ShellError", error.to_string());
        let folder = self.working_folder()?;
        let (mut reader, writer) = std::io::pipe().map_err(failed)?;
        let mut shell = Command::new("sh");
        toolchain::as_before(&mut shell).args(["-c", command]).stdin(Stdio::null());
        shell.current_dir(folder).envs(self.commands.environment.set());
        shell.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
        let mut running = shell.spawn().map_err(failed)?;
        // It holds the write ends, which would keep the pipe open.
        drop(shell);
        let mut pending = Vec::new();
        let mut buffer = [0; 1 << 13];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            pending.extend_from_slice(&buffer[..count]);
            let whole = whole_characters(&pending);
            let text: Vec<u8> = pending.drain(..whole).collect();
            self.say(&String::from_utf8_lossy(&text));
        }
        let status = running.wait().map_err(failed)?;
        if !status.success() {
            self.say_error(&format!("{status}\n"));
        }
        Ok(())
    }

    /// The working directory of cells, which a cell may have changed.
    pub(super) fn working_folder(&self) -> Result<PathBuf, Failure> {
        // Without /proc: cells and kernel started in the same directory.
        let folder = std::fs::read_link(format!("/proc/{}/cwd", self.process()));
        let folder = folder.or_else(|_| std::env::current_dir()).unwrap_or_default();
        if folder.is_dir() {
            return Ok(folder);
        }
        let message = format!("the working directory does not exist: {}", folder.display());
        Err(Failure::new("ShellError", message))
    }

    /// The id of the process of the cells.
    pub(super) fn process(&self) -> u32 {
        let handle = self.evcxr.process_handle();
        handle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).id()
    }
}
