//! Routes the session's events to the running cell.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use serde_json::Value;

use super::input::{Ask, Asking};
use super::iopub::IoPub;
use super::limits::Output;
use super::message::Header;
use crate::session::{Event, Question, Stream};

/// Takes events from the session's threads. Output of a thread that outlives its cell is shown in the
/// cell that is running then, or in the last one.
#[derive(Clone)]
pub(super) struct Current {
    cell: Arc<Mutex<Cell>>,
    iopub: IoPub,
    asking: Asking,
}

/// Results that are not sent on iopub.
#[derive(Default)]
pub(super) struct Capture {
    pub(super) pages: Vec<Value>,
    pub(super) value: Option<Value>,
}

#[derive(Default)]
struct Cell {
    parent: Option<Header>,
    count: u64,
    silent: bool,
    /// Whether the cell waits for the session's start: only progress is shown.
    waits: bool,
    /// Whether user expressions are evaluated: only their values are captured.
    quiet: bool,
    asked: Option<Vec<Bytes>>,
    output: Output,
    captured: Capture,
}

impl Current {
    pub(super) fn new(iopub: IoPub, asking: Asking) -> Self {
        Self { cell: Arc::default(), iopub, asking }
    }

    /// From now on events belong to this cell.
    pub(super) fn begin(&self, parent: Header, count: u64, silent: bool, asked: Option<Vec<Bytes>>) {
        *self.lock() = Cell { parent: Some(parent), count, silent, asked, ..Cell::default() };
    }

    /// Shows the progress of the session's start in this cell, until the cell begins.
    pub(super) fn wait(&self, parent: Header, count: u64, silent: bool) {
        *self.lock() = Cell { parent: Some(parent), count, silent, waits: true, ..Cell::default() };
    }

    /// Returns the captured results; nothing more is shown until the end of the cell.
    pub(super) fn capture(&self) -> Capture {
        let mut cell = self.lock();
        cell.quiet = true;
        std::mem::take(&mut cell.captured)
    }

    /// Ends the cell: it cannot ask for input any more; later output of its threads is shown again.
    pub(super) fn end(&self) {
        let mut cell = self.lock();
        cell.quiet = false;
        cell.asked = None;
        self.asking.send(Ask::Nothing);
    }

    pub(super) fn take(&self, event: Event) {
        let mut cell = self.lock();
        match event {
            Event::Input(question) => return self.ask(&cell, question),
            Event::Page(page) => return cell.captured.pages.push(page),
            Event::Value(value) if cell.quiet => {
                cell.captured.value = Some(value);
                return;
            }
            Event::Value(ref value) => cell.captured.value = Some(value.clone()),
            _ => {}
        }
        let progress = matches!(event, Event::Stream { stream: Stream::Stderr, .. });
        // Before the first cell, output has no parent.
        if cell.silent || cell.quiet || cell.parent.is_none() || cell.waits && !progress {
            return;
        }
        let events = cell.output.admit(event);
        let (parent, count) = (cell.parent.clone(), cell.count);
        // Sending may block.
        drop(cell);
        events.into_iter().for_each(|event| self.iopub.event(event, parent.as_ref(), count));
    }

    fn ask(&self, cell: &Cell, question: Question) {
        match (&cell.asked, &cell.parent) {
            (Some(identities), Some(parent)) => {
                self.asking.send(Ask::Question { question, identities: identities.clone(), parent: parent.clone() })
            }
            _ => question.answer(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cell> {
        self.cell.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
