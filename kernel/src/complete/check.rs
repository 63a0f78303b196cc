//! Asking rustc. It is called directly, with a folder of its own: a cell may run meanwhile.
//!
//! One rustc at a time: it takes a processor for itself, which the cell's compiler wants, too. A question
//! that is outdated is not asked, and given up where it is being answered.

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

/// How many answers are kept: the same expression is asked about with every letter typed behind it.
const KEPT: usize = 64;

/// Asks rustc for types.
pub(super) struct Checker {
    pub(super) rustc: Rustc,
    pub(super) answers: Mutex<HashMap<String, Option<String>>>,
    /// Held by the one who asks.
    turn: Mutex<()>,
    running: Mutex<Option<Running>>,
}

/// The rustc that is at work.
struct Running {
    source: String,
    ticket: Ticket,
    process: Arc<Mutex<Child>>,
}

impl Checker {
    pub(super) fn new(dylib: &Dylib) -> Self {
        Self { rustc: Rustc::new(dylib), answers: Mutex::default(), turn: Mutex::default(), running: Mutex::default() }
    }

    /// The type that the question in `source` asks for, as rustc prints it; none where a later question
    /// than that of `ticket` has come.
    pub(super) fn answer(&self, source: &str, scope: &Scope, ticket: &Ticket) -> Option<String> {
        if let Some(answer) = lock(&self.answers).get(source) {
            return answer.clone();
        }
        self.give_up_outdated(source);
        let _turn = lock(&self.turn);
        // Whoever was before may have asked the same.
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

    /// Ends the rustc that answers an outdated question, unless it is the one of `source`.
    fn give_up_outdated(&self, source: &str) {
        if let Some(running) = &*lock(&self.running)
            && running.source != source
            && !running.ticket.counts()
        {
            // It may have ended by itself.
            let _ = lock(&running.process).kill();
        }
    }

    /// What rustc answers; none where it was ended before it could.
    fn ask(&self, source: &str, scope: &Scope, ticket: &Ticket) -> Result<Option<Option<String>>> {
        // Removed by the next kernel, should this one be killed meanwhile.
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
            // A later question came before it could see this one.
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

/// rustc reads all of its input before it says anything.
fn talk(input: Option<impl Write>, output: Option<impl Read>, source: &str) -> Result<Vec<u8>> {
    input.context("rustc has no input")?.write_all(source.as_bytes())?;
    let mut said = Vec::new();
    output.context("rustc has no output")?.read_to_end(&mut said)?;
    Ok(said)
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
