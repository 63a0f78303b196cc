//! Requests that are answered at once, also while a cell runs: their contents and answers.

use serde_json::{Map, Value, json};

use crate::cell::{self, Completeness};
use crate::complete::{Asked, Awaited, Completer, Ticket, Tickets};

/// An execute request. Front ends may omit fields.
pub(super) struct Execute {
    pub(super) code: String,
    pub(super) silent: bool,
    pub(super) store_history: bool,
    pub(super) stop_on_error: bool,
    pub(super) allow_stdin: bool,
    pub(super) user_expressions: Map<String, Value>,
}

impl From<&Value> for Execute {
    fn from(content: &Value) -> Self {
        let flag = |name: &str, default: bool| content[name].as_bool().unwrap_or(default);
        let silent = flag("silent", false);
        Self {
            code: content["code"].as_str().unwrap_or_default().to_owned(),
            silent,
            store_history: !silent && flag("store_history", true),
            stop_on_error: flag("stop_on_error", true),
            allow_stdin: flag("allow_stdin", true),
            user_expressions: content["user_expressions"].as_object().cloned().unwrap_or_default(),
        }
    }
}

pub(super) fn is_complete(content: &Value) -> Value {
    match cell::is_complete(content["code"].as_str().unwrap_or_default()) {
        Completeness::Complete => json!({ "status": "complete" }),
        Completeness::Incomplete { indent } => json!({ "status": "incomplete", "indent": " ".repeat(indent) }),
        Completeness::Invalid => json!({ "status": "invalid" }),
        Completeness::Unknown => json!({ "status": "unknown" }),
    }
}

/// Questions about code, answered on threads that may block, as they wait for the session's start.
#[derive(Clone)]
pub(super) struct Questions {
    completer: Awaited,
    tickets: Tickets,
}

impl Questions {
    pub(super) fn new(completer: Awaited) -> Self {
        Self { completer, tickets: Tickets::default() }
    }

    /// To be taken in the order in which questions arrive.
    pub(super) fn ticket(&self, asked: Asked) -> Ticket {
        self.tickets.next(asked)
    }

    pub(super) fn complete(&self, content: &Value, ticket: &Ticket) -> Value {
        let (code, cursor) = asked(content);
        match self.completer() {
            Some(completer) => completer.complete(code, cursor, ticket),
            None => json!({
                "status": "ok", "matches": [], "cursor_start": cursor, "cursor_end": cursor, "metadata": {},
            }),
        }
    }

    pub(super) fn inspect(&self, content: &Value, ticket: &Ticket) -> Value {
        let (code, cursor) = asked(content);
        match self.completer() {
            Some(completer) => completer.inspect(code, cursor, content["detail_level"].as_u64().unwrap_or(0), ticket),
            None => json!({ "status": "ok", "found": false, "data": {}, "metadata": {} }),
        }
    }

    fn completer(&self) -> Option<&Completer> {
        self.completer.wait().as_deref()
    }
}

/// The code and the position of the cursor, in code points.
fn asked(content: &Value) -> (&str, usize) {
    let code = content["code"].as_str().unwrap_or_default();
    let asked = content["cursor_pos"].as_u64().and_then(|point| usize::try_from(point).ok());
    (code, asked.unwrap_or(usize::MAX).min(code.chars().count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_cells_are_not_history() {
        let execute = Execute::from(&json!({ "code": "1", "silent": true, "store_history": true }));
        assert!(execute.silent && !execute.store_history);
        let execute = Execute::from(&json!({ "code": "1" }));
        assert!(!execute.silent && execute.store_history && execute.stop_on_error);
    }
}
