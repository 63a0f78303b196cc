//! Interrupts. The first one asks the cell to stop. A second one ends the process, after a warning about the
//! consequences.

use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::link::Link;
use super::{Event, Stream, compilers};

/// How long a cell may take to stop before the user is warned.
const NOTICE: Duration = Duration::from_secs(1);
/// How long after the warning another interrupt ends the process.
const CONFIRM: Duration = Duration::from_secs(10);
/// The interval of checks for compilers.
const AGAIN: Duration = Duration::from_millis(100);

/// Stops the cell of a session, from any thread.
#[derive(Clone, Default)]
pub(crate) struct Interrupter(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    target: Option<Target>,
    cell: Option<Running>,
    /// Counts cells, so that messages are about the right one.
    count: u64,
}

/// What an interrupt acts on, known once the session has started.
struct Target {
    link: Link,
    child: Arc<Mutex<Child>>,
}

#[derive(Default)]
struct Running {
    asked: bool,
    killed: bool,
    /// Its statements have ended; what still compiles is the query for the types of its variables.
    has_run: bool,
    /// When the user was warned that it doesn't stop.
    told: Option<Instant>,
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
        if cell.has_run {
            return;
        }
        if cell.told.is_some_and(|told| told.elapsed() < CONFIRM) && target.link.has_begun() {
            cell.killed = true;
            target.kill();
            return;
        }
        let first = !std::mem::replace(&mut cell.asked, true);
        let again = cell.told.take().is_some();
        target.ask();
        if first || again {
            let later = self.clone();
            // Without a thread there is no warning, and the next interrupt asks again.
            let _ = std::thread::Builder::new().spawn(move || later.watch(count));
        }
    }

    /// Gives the running cell and the process for cells a second to end by themselves. Kills compilers immediately.
    pub(crate) fn farewell(&self) {
        if let Some(target) = &self.lock().target {
            target.link.farewell();
            compilers::end_all_but(target.link.process().unwrap_or_default());
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

    /// Its statements have ended: nothing is left to stop.
    pub(super) fn cell_has_run(&self) {
        if let Some(cell) = &mut self.lock().cell {
            cell.has_run = true;
        }
    }

    /// It did not run, and is compiled again.
    pub(super) fn cell_compiles(&self) {
        if let Some(cell) = &mut self.lock().cell {
            cell.has_run = false;
        }
    }

    /// Whether the cell was stopped so far.
    pub(super) fn stopped(&self) -> Stopped {
        match &self.lock().cell {
            Some(Running { killed: true, .. }) => Stopped::Killed,
            Some(Running { asked: true, .. }) => Stopped::Asked,
            _ => Stopped::No,
        }
    }

    pub(super) fn cell_ends(&self) {
        self.lock().cell = None;
    }

    /// Until the cell ends: kills compilers that start later, and warns the user once if the cell doesn't stop.
    fn watch(&self, count: u64) {
        let asked = Instant::now();
        loop {
            std::thread::sleep(AGAIN);
            let mut state = self.lock();
            if state.count != count {
                return;
            }
            let State { target: Some(target), cell: Some(cell), .. } = &mut *state else { return };
            if cell.has_run || cell.killed {
                return;
            }
            if !target.link.has_begun() {
                target.end_compilers();
            } else if asked.elapsed() >= NOTICE {
                cell.told = Some(Instant::now());
                let link = target.link.clone();
                drop(state);
                let text = format!(
                    "The cell has not stopped yet: it is in a call that cannot be interrupted, and will stop after it.\n\
                     Interrupt again within {} s to end its process, which loses all variables.\n",
                    CONFIRM.as_secs()
                );
                link.show(Event::Stream { stream: Stream::Stderr, text });
                return;
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
        if !self.link.has_begun() {
            self.end_compilers();
        }
    }

    fn end_compilers(&self) {
        compilers::end_all_but(self.child_id());
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
