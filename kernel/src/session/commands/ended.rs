//! The end of a cell: what commands tell of it, and remember for later ones.

use std::path::PathBuf;
use std::time::Instant;

use crate::complete::Surroundings;
use crate::session::Failure;
use crate::session::evaluator::Session;
use crate::session::workplace::PROGRAMS;

/// What rustc says of the names that other kernels keep values by.
const RECALLED: [&str; 5] = [
    "cannot find value `Out` in this scope",
    "cannot find value `In` in this scope",
    "cannot find value `__` in this scope",
    "cannot find value `___` in this scope",
    "in expressions, `_` can only be used on the left-hand side of an assignment",
];

impl Session {
    /// Looks at a cell that began at `started` and has ended.
    pub(in crate::session) fn cell_ended(&mut self, started: Instant, result: &Result<(), Failure>) {
        self.tell_time(started, result.is_err());
        if let Err(failure) = result {
            self.commands.errors.note(failure);
        }
        let folder = self.working_folder().ok();
        self.completer().take_note(Surroundings { folder, codes: self.commands.errors.codes() });
    }

    /// Runs code of a command's as a cell, named `name` in errors.
    pub(super) fn run_own(&mut self, code: &str, name: &str) -> Result<(), Failure> {
        self.run_cell(code, name)
    }

    /// The folder of the programs that cells were made into.
    pub(super) fn programs(&self) -> PathBuf {
        self.workplace.folder().join(PROGRAMS)
    }
}

/// The failure, with what to do where a habit of another kernel has led to it.
pub(in crate::session) fn with_advice(failure: Failure) -> Failure {
    let numbered = |text: &str| {
        let name = text.split_once("cannot find value `_").and_then(|(_, rest)| rest.split_once('`'));
        name.is_some_and(|(digits, _)| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
    };
    let recalls = RECALLED.iter().any(|said| failure.message.contains(said)) || numbered(&failure.message);
    let advice = "values are shown, not kept: bind one in its cell, `let scores = ..;`, to use it in later cells";
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
