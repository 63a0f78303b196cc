//! Asks rustc for types. rustc is called directly, in a separate folder, as a cell may run meanwhile.
//!
//! One rustc runs at a time: it occupies a CPU core that the cell's compiler needs, too. An outdated
//! question is skipped, or cancelled if rustc is at work on it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use super::turns::Ticket;
use crate::cell::{Diagnostic, answer};
use crate::dylib::Dylib;
use crate::rustc::Rustc;
use crate::session::{Folder, Scope};

/// The size of the cache of answers: each letter typed after an expression asks for its type again.
const KEPT: usize = 64;

/// Asks rustc for types.
pub(super) struct Checker {
    pub(super) rustc: Rustc,
    pub(super) answers: Mutex<HashMap<String, Option<String>>>,
    /// Locked while rustc runs.
    turn: Mutex<()>,
    running: Mutex<Option<Running>>,
}

/// A running rustc.
struct Running {
    source: String,
    ticket: Ticket,
    process: Arc<Mutex<Child>>,
}

impl Checker {
    pub(super) fn new(dylib: &Dylib) -> Self {
        Self { rustc: Rustc::new(dylib), answers: Mutex::default(), turn: Mutex::default(), running: Mutex::default() }
    }

    /// The type that the question in `source` asks for, as rustc prints it; `None` if a later question
    /// than that of `ticket` has arrived.
    pub(super) fn answer(&self, source: &str, scope: &Scope, ticket: &Ticket) -> Option<String> {
        if let Some(answer) = lock(&self.answers).get(source) {
            return answer.clone();
        }
        self.give_up_outdated(source);
        let _turn = lock(&self.turn);
        // The previous question may have been the same.
        if let Some(answer) = lock(&self.answers).get(source) {
            return answer.clone();
        }
        if !ticket.counts() {
            return None;
        }
        let answer = self.ask(source, scope, ticket).ok().flatten()?;
        let mut answers = lock(&self.answers);
        if answers.len() >= KEPT {
            answers.clear();
        }
        answers.insert(source.to_owned(), answer.clone());
        answer
    }

    /// Kills a rustc that answers an outdated question, unless that is the question of `source`.
    fn give_up_outdated(&self, source: &str) {
        if let Some(running) = &*lock(&self.running)
            && running.source != source
            && !running.ticket.counts()
        {
            // Fails if it has ended meanwhile.
            let _ = lock(&running.process).kill();
        }
    }

    /// rustc's answer; `None` if it was killed.
    fn ask(&self, source: &str, scope: &Scope, ticket: &Ticket) -> Result<Option<Option<String>>> {
        // If this kernel is killed, the next one removes the folder.
        let folder = Folder::new("types-")?;
        let mut rustc = self.rustc.types(&scope.crates);
        rustc.arg("-").current_dir(folder.path());
        let mut process = rustc.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let input = process.stdin.take();
        let output = process.stderr.take();
        let process = Arc::new(Mutex::new(process));
        let running = Running { source: source.to_owned(), ticket: ticket.clone(), process: process.clone() };
        *lock(&self.running) = Some(running);
        if !ticket.counts() {
            // A later question arrived before this one was visible to it.
            let _ = lock(&process).kill();
        }
        let said = talk(input, output, source);
        *lock(&self.running) = None;
        let status = lock(&process).wait()?;
        let said = said?;
        let answer = Diagnostic::errors(&String::from_utf8_lossy(&said)).iter().find_map(answer);
        Ok(status.code().is_some().then_some(answer))
    }
}

/// Writes all input first: rustc reads it completely before it prints anything.
fn talk(input: Option<impl Write>, output: Option<impl Read>, source: &str) -> Result<Vec<u8>> {
    input.context("rustc has no stdin")?.write_all(source.as_bytes())?;
    let mut said = Vec::new();
    output.context("rustc has no stderr")?.read_to_end(&mut said)?;
    Ok(said)
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
