//! Interrupts: first by asking, then by force.

use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::compilers;
use super::link::Link;

/// How long a cell may take to obey.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks for compilers.
const AGAIN: Duration = Duration::from_millis(100);
/// Two interrupts this close to each other mean that the user will not wait.
const DOUBLE: Duration = Duration::from_secs(2);

/// Stops the cell of a session, from any thread.
#[derive(Clone, Default)]
pub(crate) struct Interrupter(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    target: Option<Target>,
    cell: Option<Running>,
    /// Counts cells, so that patience with one does not end another.
    count: u64,
}

/// What an interrupt acts on, known once the session has started.
struct Target {
    link: Link,
    child: Arc<Mutex<Child>>,
}

#[derive(Default)]
struct Running {
    asked: Option<Instant>,
    killed: bool,
}

/// How a cell was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    No,
    Asked,
    Killed,
}

impl Interrupter {
    /// Stops the running cell; does nothing between cells.
    pub(crate) fn interrupt(&self) {
        let mut state = self.lock();
        let count = state.count;
        let State { target: Some(target), cell: Some(cell), .. } = &mut *state else { return };
        match cell.asked {
            Some(before) if before.elapsed() < DOUBLE => {
                cell.killed = true;
                target.kill();
            }
            _ => {
                cell.asked = Some(Instant::now());
                target.ask();
                let later = self.clone();
                // Without a thread the second interrupt still works.
                let _ = std::thread::Builder::new().spawn(move || later.lose_patience(count));
            }
        }
    }

    /// Interrupts at each Ctrl-C, and where a front end sends its signal.
    pub(crate) async fn at_signals(self) {
        while tokio::signal::ctrl_c().await.is_ok() {
            self.interrupt();
        }
    }

    /// Ends the process for cells and every compiler. The session does not survive it.
    pub(crate) fn kill(&self) {
        if let Some(target) = &self.lock().target {
            target.kill();
        }
    }

    pub(super) fn attach(&self, link: Link, child: Arc<Mutex<Child>>) {
        self.lock().target = Some(Target { link, child });
    }

    pub(super) fn cell_begins(&self) {
        let mut state = self.lock();
        state.count += 1;
        state.cell = Some(Running::default());
    }

    /// Whether the cell was stopped so far.
    pub(super) fn stopped(&self) -> Stopped {
        match &self.lock().cell {
            Some(Running { killed: true, .. }) => Stopped::Killed,
            Some(Running { asked: Some(_), .. }) => Stopped::Asked,
            _ => Stopped::No,
        }
    }

    pub(super) fn cell_ends(&self) {
        self.lock().cell = None;
    }

    /// Until the cell ends: ends compilers that began after the others were ended, and the cell's
    /// process where it does not obey.
    fn lose_patience(&self, count: u64) {
        let asked = Instant::now();
        loop {
            std::thread::sleep(AGAIN);
            let mut state = self.lock();
            if state.count != count {
                return;
            }
            let State { target: Some(target), cell: Some(cell), .. } = &mut *state else { return };
            target.end_compilers();
            if !cell.killed && asked.elapsed() >= PATIENCE {
                cell.killed = true;
                target.kill();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Target {
    fn ask(&self) {
        self.link.interrupt();
        self.end_compilers();
    }

    fn end_compilers(&self) {
        if !self.link.has_begun() {
            compilers::end_all_but(self.child_id());
        }
    }

    fn kill(&self) {
        compilers::end_all_but(self.child_id());
        let mut child = self.child.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // It may have ended by itself.
        let _ = child.kill();
    }

    fn child_id(&self) -> u32 {
        self.child.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).id()
    }
}
