//! What the process for cells reports about a cell.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Event, Stream};

/// What the streams have reported about the running cell.
#[derive(Default)]
pub(super) struct Ran {
    /// Whether the cell was compiled and started.
    pub(super) began: bool,
    pub(super) ended: Option<Ended>,
    pub(super) reports: Vec<Report>,
    /// Variables that the cell did not find, and what it found instead.
    pub(super) lost: Vec<(String, String)>,
    /// Kept variables, with their types.
    pub(super) kept: BTreeMap<String, String>,
    /// Whether all of its output was read.
    finished: bool,
}

/// How the statements of a cell ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ended {
    Well,
    Error,
    Panic,
}

/// A panic or an error, as reported by the preload.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Report {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) message: String,
    #[serde(default)]
    pub(super) causes: Vec<String>,
    pub(super) hint: Option<String>,
    #[serde(flatten)]
    pub(super) place: Frame,
    pub(super) thread: Option<String>,
    /// Whether the thread is the one that runs cells.
    #[serde(default)]
    pub(super) own: bool,
    /// The calls in cells that led there, innermost first.
    #[serde(default)]
    pub(super) frames: Vec<Frame>,
}

/// A place in a program.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Frame {
    pub(super) file: Option<String>,
    pub(super) line: Option<usize>,
    pub(super) column: Option<usize>,
}

impl Ran {
    /// Takes a report. A panic between cells fails no cell, and is shown immediately.
    pub(super) fn report(&mut self, report: Value) -> Vec<Event> {
        let Ok(report) = serde_json::from_value::<Report>(report) else { return Vec::new() };
        if self.began && !self.finished {
            self.reports.push(report);
            return Vec::new();
        }
        vec![report.words()]
    }

    /// Ends the cell. Panics of other threads are shown if they are not why it failed; if it succeeded, they are all
    /// mentioned later.
    pub(super) fn finish(&mut self) -> Vec<Event> {
        self.finished = true;
        let reason = match self.ended {
            Some(Ended::Well) => return Vec::new(),
            Some(Ended::Error) => None,
            Some(Ended::Panic) | None => {
                let panics = |report: &Report| report.kind == "panic";
                let own = self.reports.iter().rposition(|report| panics(report) && report.own);
                own.or_else(|| self.reports.iter().rposition(panics))
            }
        };
        let mut reports = std::mem::take(&mut self.reports);
        let reason = reason.map(|at| reports.remove(at));
        let (others, own): (Vec<_>, Vec<_>) =
            reports.into_iter().partition(|report| report.kind == "panic" && !report.own);
        // The last one is why the cell failed.
        self.reports = own.into_iter().chain(reason).collect();
        others.iter().map(Report::words).collect()
    }
}

impl Report {
    /// The panic as printed by std.
    pub(super) fn words(&self) -> Event {
        let thread = self.thread.as_deref().unwrap_or("<unnamed>");
        let text = format!("thread '{thread}' panicked: {}\n", self.message);
        Event::Stream { stream: Stream::Stderr, text }
    }
}
