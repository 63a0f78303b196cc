//! `--watch`: runs the file again whenever it has changed.

use std::os::raw::c_int;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use notify::{EventKind, RecursiveMode, Watcher};

use super::{Run, signals};

/// Editors save in several steps: a change is over when this long nothing more has happened.
const QUIET: Duration = Duration::from_millis(100);
/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long a program may take to end when it is asked to. A notebook writes its outputs then.
const PATIENCE: Duration = Duration::from_secs(10);

enum Happened {
    Changed,
    /// A signal has come, by its number.
    Stopped(c_int),
}

/// Runs the file in a process of its own, again and again, until Ctrl-C.
pub(super) fn watch(run: &Run) -> Result<ExitCode> {
    let (sender, happened) = channel();
    let stopped = sender.clone();
    signals::at_first(move |signal| {
        // Where nobody listens the watch is over.
        let _ = stopped.send(Happened::Stopped(signal));
    })?;
    let _watcher = watcher(&run.file, sender)?;
    loop {
        let mut child = Running(start(run)?);
        let ended = until_change(&happened, &mut child);
        child.end();
        match ended {
            Happened::Changed => eprintln!("-- {} has changed", run.file.display()),
            Happened::Stopped(signal) => return Ok(signals::exit_code(signal).into()),
        }
    }
}

fn start(run: &Run) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe().context("finding this binary")?);
    command.arg("run");
    if let Some(output) = &run.output {
        command.arg("--output").arg(output);
    }
    command.arg("--").arg(&run.file).args(&run.arguments).spawn().context("starting the run")
}

/// Waits; tells on the way how the program has ended.
fn until_change(happened: &Receiver<Happened>, child: &mut Running) -> Happened {
    let mut told = false;
    loop {
        match happened.recv_timeout(LOOK) {
            Ok(Happened::Changed) => return settled(happened),
            Ok(stopped @ Happened::Stopped(_)) => return stopped,
            Err(RecvTimeoutError::Disconnected) => return Happened::Stopped(libc::SIGINT),
            Err(RecvTimeoutError::Timeout) if !told => {
                if let Ok(Some(status)) = child.0.try_wait() {
                    eprintln!("-- ended ({status}); waiting for changes, Ctrl-C ends");
                    told = true;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Waits until the file is no longer written to.
fn settled(happened: &Receiver<Happened>) -> Happened {
    loop {
        match happened.recv_timeout(QUIET) {
            Ok(Happened::Changed) => {}
            Ok(stopped @ Happened::Stopped(_)) => return stopped,
            Err(_) => return Happened::Changed,
        }
    }
}

/// Watches the folder: editors replace the file by another of its name.
fn watcher(file: &Path, sender: Sender<Happened>) -> Result<notify::RecommendedWatcher> {
    let file = file.canonicalize().with_context(|| format!("finding {}", file.display()))?;
    let folder = file.parent().context("the file has no folder")?.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let changed =
            event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_)) && event.paths.contains(&file));
        if changed {
            // Where nobody listens the watch is over.
            let _ = sender.send(Happened::Changed);
        }
    })?;
    watcher.watch(&folder, RecursiveMode::NonRecursive).with_context(|| format!("watching {}", folder.display()))?;
    Ok(watcher)
}

/// A program that does not outlive its watch.
struct Running(Child);

impl Running {
    /// Asks the program to end, and ends it where it does not.
    fn end(&mut self) {
        if let Ok(Some(_)) = self.0.try_wait() {
            return;
        }
        // Safety: a signal to a child that has not been waited for.
        unsafe { libc::kill(self.0.id() as libc::pid_t, libc::SIGTERM) };
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
