//! Questions to the user, one at a time. The kernel hands the answers back.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kensaku::interrupt;
use kensaku::serde_json::json;

use crate::event;

/// How often an open question checks for an interrupt.
const LOOK: Duration = Duration::from_millis(20);
/// How long a question waits for earlier output to be flushed.
const FLUSH: Duration = Duration::from_millis(20);

/// How a question ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Text(String),
    /// The front end does not take questions.
    Refused,
    /// The cell was interrupted, or has ended.
    Cut,
}

/// The exclusive right to ask.
pub(crate) struct Turn(MutexGuard<'static, ()>);

struct Open {
    number: u64,
    answer: Option<Sender<Option<String>>>,
}

static TURN: Mutex<()> = Mutex::new(());
static OPEN: Mutex<Open> = Mutex::new(Open { number: 0, answer: None });

impl Turn {
    /// Waits until no other question is open.
    pub(crate) fn take() -> Self {
        Self(TURN.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `None` while another question is open.
    pub(crate) fn try_take() -> Option<Self> {
        TURN.try_lock().ok().map(Self)
    }

    /// Asks, and waits for the answer while `goes_on` returns true.
    pub(crate) fn ask(self, prompt: &str, password: bool, goes_on: impl Fn() -> bool) -> Answer {
        // The kernel does not answer processes that a cell has forked.
        if !event::connected() {
            return Answer::Refused;
        }
        // Shows output that `print!` has buffered.
        event::flush(FLUSH);
        let (number, answer) = open();
        let question = json!({ "input": { "number": number, "prompt": prompt, "password": password } });
        event::emit_between(&question);
        let answer = wait(&answer, goes_on);
        close();
        drop(self.0);
        answer
    }
}

/// Takes the kernel's line: the number of the question and the answer as JSON, `null` if the front end
/// does not take questions. An answer to an earlier question is dropped.
pub(crate) fn take(line: &str) {
    let Some((number, answer)) = line.split_once(' ') else { return };
    let Ok(answer) = kensaku::serde_json::from_str(answer) else { return };
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if number.parse() == Ok(open.number)
        && let Some(waiting) = &open.answer
    {
        // The asker may have given up.
        let _ = waiting.send(answer);
    }
}

fn open() -> (u64, Receiver<Option<String>>) {
    let (sender, receiver) = channel();
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.number += 1;
    open.answer = Some(sender);
    (open.number, receiver)
}

fn close() {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner).answer = None;
}

fn wait(answer: &Receiver<Option<String>>, goes_on: impl Fn() -> bool) -> Answer {
    loop {
        match answer.recv_timeout(LOOK) {
            Ok(Some(text)) => return Answer::Text(text),
            Ok(None) => return Answer::Refused,
            Err(RecvTimeoutError::Disconnected) => return Answer::Cut,
            Err(RecvTimeoutError::Timeout) if interrupt::requested() || !goes_on() => return Answer::Cut,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_open_question_is_answered() {
        let (first, _) = open();
        let (second, answer) = open();
        take(&format!("{first} \"late\""));
        take(&format!("{second} \"検索\""));
        assert_eq!(wait(&answer, || true), Answer::Text("検索".to_owned()));
        take(&format!("{second} null"));
        assert_eq!(wait(&answer, || true), Answer::Refused);
        assert_eq!(wait(&answer, || false), Answer::Cut);
    }
}
