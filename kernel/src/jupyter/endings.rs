//! Shutdowns without a request: by SIGTERM, SIGHUP, or the end of the parent process.

use std::os::unix::process::parent_id;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the parent is polled.
const LOOK: Duration = Duration::from_secs(1);
/// The environment variable in which Jupyter passes its process id. A kernel started by hand lacks it and outlives its
/// shell.
const PARENT_VARIABLE: &str = "JPY_PARENT_PID";

/// Waits for a reason to shut down.
pub(super) struct Endings {
    terminate: Signal,
    hang_up: Signal,
    parent: Option<Parent>,
}

/// The processes that started the kernel.
struct Parent {
    /// The parent process: Jupyter or a launcher.
    above: u32,
    /// Jupyter itself, if its process is visible.
    jupyter: Option<libc::pid_t>,
}

impl Endings {
    /// From now on the signals are returned by [`Self::next`].
    pub(super) fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            parent: Parent::named(),
        })
    }

    /// Waits for a reason to shut down and returns it.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hang_up.recv() => "SIGHUP",
            () = gone(self.parent.as_ref()) => "the parent process has ended",
        }
    }
}

impl Parent {
    fn named() -> Option<Self> {
        let jupyter = std::env::var(PARENT_VARIABLE).ok()?.parse().ok()?;
        // It may run in another container.
        Some(Self { above: parent_id(), jupyter: lives(jupyter).then_some(jupyter) })
    }

    fn is_gone(&self) -> bool {
        parent_id() != self.above || self.jupyter.is_some_and(|jupyter| !lives(jupyter))
    }
}

async fn gone(parent: Option<&Parent>) {
    let Some(parent) = parent else { return std::future::pending().await };
    while !parent.is_gone() {
        tokio::time::sleep(LOOK).await;
    }
}

fn lives(process: libc::pid_t) -> bool {
    // Safety: signal 0 only checks whether the process exists.
    let there = unsafe { libc::kill(process, 0) } == 0;
    there || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_gone_once_replaced_or_once_jupyter_has_ended() {
        let mut jupyter = std::process::Command::new("sleep").arg("600").spawn().expect("a process");
        let id = jupyter.id().cast_signed();
        assert!(!Parent { above: parent_id(), jupyter: Some(id) }.is_gone());
        assert!(Parent { above: std::process::id(), jupyter: Some(id) }.is_gone());
        jupyter.kill().and_then(|()| jupyter.wait()).expect("it ends");
        assert!(Parent { above: parent_id(), jupyter: Some(id) }.is_gone());
        assert!(!Parent { above: parent_id(), jupyter: None }.is_gone());
    }
}
