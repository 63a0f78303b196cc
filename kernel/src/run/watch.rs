//! `--watch`: runs the file again whenever it changes.

use std::os::raw::c_int;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use notify::{EventKind, RecursiveMode, Watcher};

use super::{Run, signals};

/// How long a change has to be followed by no other: editors save in several steps.
const QUIET: Duration = Duration::from_millis(100);
/// How often a running program is polled.
const LOOK: Duration = Duration::from_millis(50);
/// How long a program may take to end after SIGTERM. A notebook then writes its outputs.
const PATIENCE: Duration = Duration::from_secs(10);

enum Happened {
    Changed,
    /// A signal was received, by its number.
    Stopped(c_int),
}

/// Runs the file in a separate process, again after each change, until Ctrl-C.
pub(super) fn watch(run: &Run) -> Result<ExitCode> {
    let (sender, happened) = channel();
    let stopped = sender.clone();
    signals::at_first(move |signal| {
        // Fails if the watch has ended.
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

/// Waits for a change or a signal; reports how the program has ended.
fn until_change(happened: &Receiver<Happened>, child: &mut Running) -> Happened {
    let mut told = false;
    loop {
        match happened.recv_timeout(LOOK) {
            Ok(Happened::Changed) => return settled(happened),
            Ok(stopped @ Happened::Stopped(_)) => return stopped,
            Err(RecvTimeoutError::Disconnected) => return Happened::Stopped(libc::SIGINT),
            Err(RecvTimeoutError::Timeout) if !told => {
                if let Ok(Some(status)) = child.0.try_wait() {
                    eprintln!("-- ended ({status}); waiting for changes, Ctrl-C to quit");
                    told = true;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Waits until no more changes follow.
fn settled(happened: &Receiver<Happened>) -> Happened {
    loop {
        match happened.recv_timeout(QUIET) {
            Ok(Happened::Changed) => {}
            Ok(stopped @ Happened::Stopped(_)) => return stopped,
            Err(_) => return Happened::Changed,
        }
    }
}

/// Watches the folder, as editors may replace the file by a new one.
fn watcher(file: &Path, sender: Sender<Happened>) -> Result<notify::RecommendedWatcher> {
    let file = file.canonicalize().with_context(|| format!("finding {}", file.display()))?;
    let folder = file.parent().context("the file has no folder")?.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let changed =
            event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_)) && event.paths.contains(&file));
        if changed {
            // Fails if the watch has ended.
            let _ = sender.send(Happened::Changed);
        }
    })?;
    watcher.watch(&folder, RecursiveMode::NonRecursive).with_context(|| format!("watching {}", folder.display()))?;
    Ok(watcher)
}

/// A program that does not outlive its watch.
struct Running(Child);

impl Running {
    /// Asks the program to end, and kills it if it does not.
    fn end(&mut self) {
        if let Ok(Some(_)) = self.0.try_wait() {
            return;
        }
        // Safety: the child has not been waited for, so its id is valid.
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
