//! Infers the types of a cell's new variables while the cell is compiled and runs.

use std::thread::JoinHandle;

use crate::cell::{Diagnostic, Inferred, Program, inferred_types};

/// A running probe.
#[derive(Default)]
pub(super) struct Probe {
    asked: Option<(Program, JoinHandle<Vec<Diagnostic>>)>,
    answers: Vec<(String, Inferred)>,
}

impl Probe {
    pub(super) fn new(program: Program, rustc: JoinHandle<Vec<Diagnostic>>) -> Self {
        Self { asked: Some((program, rustc)), answers: Vec::new() }
    }

    /// Waits for rustc, and returns the variables with their types.
    pub(super) fn answers(&mut self) -> &[(String, Inferred)] {
        if let Some((program, rustc)) = self.asked.take() {
            self.answers = inferred_types(&program, &rustc.join().unwrap_or_default());
        }
        &self.answers
    }

    pub(super) fn answer(&mut self, name: &str) -> Option<Inferred> {
        self.answers().iter().find(|(asked, _)| asked == name).map(|(_, ty)| ty.clone())
    }
}
