//! The end of a cell: what commands report about it and record for later cells.

use std::path::PathBuf;
use std::time::Instant;

use crate::complete::Surroundings;
use crate::session::Failure;
use crate::session::evaluator::Session;
use crate::session::workplace::PROGRAMS;

/// rustc's errors about the names under which other kernels keep values.
const RECALLED: [&str; 5] = [
    "cannot find value `Out` in this scope",
    "cannot find value `In` in this scope",
    "cannot find value `__` in this scope",
    "cannot find value `___` in this scope",
    "in expressions, `_` can only be used on the left-hand side of an assignment",
];

impl Session {
    /// Records the end of a cell that began at `started`.
    pub(in crate::session) fn cell_ended(&mut self, started: Instant, result: &Result<(), Failure>) {
        self.tell_time(started, result.is_err());
        if let Err(failure) = result {
            self.commands.errors.note(failure);
        }
        let folder = self.working_folder().ok();
        self.completer().take_note(Surroundings { folder, codes: self.commands.errors.codes() });
    }

    /// Runs a command's code as a cell, named `name` in errors.
    pub(super) fn run_own(&mut self, code: &str, name: &str) -> Result<(), Failure> {
        self.run_cell(code, name)
    }

    /// The folder of the cells' programs.
    pub(super) fn programs(&self) -> PathBuf {
        self.workplace.folder().join(PROGRAMS)
    }
}

/// The failure, with a hint if a habit from another kernel has caused it.
pub(in crate::session) fn with_advice(failure: Failure) -> Failure {
    let numbered = |text: &str| {
        let name = text.split_once("cannot find value `_").and_then(|(_, rest)| rest.split_once('`'));
        name.is_some_and(|(digits, _)| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
    };
    let recalls = RECALLED.iter().any(|said| failure.message.contains(said)) || numbered(&failure.message);
    let advice = "values of cells are shown, not kept: to use one later, bind it, `let scores = ..;`";
    let lines = recalls.then(|| format!("  hint: {advice}"));
    failure.with(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_earlier_cells_are_advised_about() {
        let advised = |message: &str| with_advice(Failure::new("CompileError", message)).traceback.len() == 2;
        assert!(advised("cannot find value `Out` in this scope (E0425)"));
        assert!(advised("cannot find value `_12` in this scope (E0425)"));
        assert!(advised(RECALLED[4]));
        assert!(!advised("cannot find value `_a1` in this scope (E0425)"));
        assert!(!advised("cannot find value `out` in this scope (E0425)"));
    }
}
