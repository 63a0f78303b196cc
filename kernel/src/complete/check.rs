//! Asking rustc. It is called directly, with a folder of its own: a cell may run meanwhile.

use std::collections::HashMap;
use std::io::Write;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::cell::{Diagnostic, answer};
use crate::dylib::Dylib;
use crate::rustc::Rustc;
use crate::session::{FOLDER_PREFIX, Scope};

/// How many answers are kept: the same expression is asked about with every letter typed behind it.
const KEPT: usize = 64;

/// Asks rustc for types.
pub(super) struct Checker {
    rustc: Rustc,
    pub(super) answers: Mutex<HashMap<String, Option<String>>>,
}

impl Checker {
    pub(super) fn new(dylib: &Dylib) -> Self {
        Self { rustc: Rustc::new(dylib), answers: Mutex::default() }
    }

    /// The type that the question in `source` asks for, as rustc prints it.
    pub(super) fn answer(&self, source: &str, scope: &Scope) -> Option<String> {
        if let Some(answer) = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(source) {
            return answer.clone();
        }
        let answer = self.ask(source, scope).ok().flatten();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= KEPT {
            answers.clear();
        }
        answers.insert(source.to_owned(), answer.clone());
        answer
    }

    fn ask(&self, source: &str, scope: &Scope) -> Result<Option<String>> {
        // Removed by the next kernel, should this one be killed meanwhile.
        let prefix = format!("{FOLDER_PREFIX}{}-types-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir()?;
        let mut rustc = self.rustc.types(&scope.crates);
        rustc.arg("-").current_dir(folder.path());
        let mut process = rustc.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        // rustc reads all of its input before it says anything.
        process.stdin.take().context("rustc has no input")?.write_all(source.as_bytes())?;
        let output = process.wait_with_output()?;
        Ok(Diagnostic::errors(&String::from_utf8_lossy(&output.stderr)).iter().find_map(answer))
    }
}
