//! Why a cell failed, in the three fields that front ends show.

use crate::cell::{CompileError, Place};

/// A failed cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub name: String,
    pub message: String,
    pub traceback: Vec<String>,
}

impl Failure {
    pub(crate) fn new(name: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { name: name.to_owned(), traceback: vec![format!("{name}: {message}")], message }
    }

    pub(super) fn compile(errors: &[CompileError]) -> Self {
        let first = errors.first().map(|error| error.title.clone()).unwrap_or_default();
        let message = match errors.len() {
            0 | 1 => first,
            count => format!("{first}, and {} more", count - 1),
        };
        let traceback = errors.iter().map(|error| error.rendered.clone()).collect();
        Self { name: "CompileError".to_owned(), message, traceback }
    }

    /// With the lines of cells that led here, the innermost last.
    pub(super) fn at(mut self, places: &[(String, Place)]) -> Self {
        let mut traceback = Vec::new();
        for (cell, place) in places {
            traceback.push(format!(" --> {cell}:{}", place.line));
            traceback.push(format!("{:>4} | {}", place.line, place.text));
        }
        traceback.append(&mut self.traceback);
        self.traceback = traceback;
        self
    }
}
