//! Why a cell failed, in the three fields that front ends show.

use super::brief::{brief, of_length};
use crate::cell::CompileError;

/// A failed cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) name: String,
    pub(crate) message: String,
    /// With colours, as terminals and front ends show them.
    pub(crate) traceback: Vec<String>,
}

impl Failure {
    pub(crate) fn new(name: &str, message: impl Into<String>) -> Self {
        let message = brief(&message.into());
        Self { name: name.to_owned(), traceback: vec![title(name, &message)], message }
    }

    pub(super) fn compile(errors: &[CompileError]) -> Self {
        let first = errors.first().map(|error| error.title.clone()).unwrap_or_default();
        let message = match errors.len() {
            0 | 1 => first,
            count => format!("{first}, and {} more", count - 1),
        };
        let traceback = errors.iter().map(|error| of_length(&error.rendered, DRAWN)).collect();
        Self { name: "CompileError".to_owned(), message: brief(&message), traceback }
    }

    /// Adds the places in cells that led here, innermost last.
    pub(super) fn at(mut self, places: Vec<String>) -> Self {
        let title = std::mem::replace(&mut self.traceback, places);
        self.traceback.extend(title);
        self
    }

    /// Adds lines at the end.
    pub(super) fn with(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.traceback.extend(lines.into_iter().map(|line| brief(&line)));
        self
    }
}

/// The most bytes of a compile error to show.
const DRAWN: usize = 20_000;

/// The name in bold red.
fn title(name: &str, message: &str) -> String {
    format!("\u{1b}[1;31m{name}\u{1b}[0m: {message}")
}
