//! Questions of cells to the user.

use std::fmt::{Debug, Formatter};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use serde_json::json;

/// A question of the running cell. It is answered once, from any thread; an answer after the end of the cell is
/// ignored.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) prompt: String,
    /// Whether to hide what is typed.
    pub(crate) password: bool,
    pub(super) number: u64,
    pub(super) control: Control,
}

/// The connection for commands to the process for cells.
#[derive(Clone, Default)]
pub(super) struct Control(Arc<Mutex<Option<UnixStream>>>);

impl Question {
    /// Sends the cell what the user has typed, without the line end; `None` if the user cannot be asked.
    pub(crate) fn answer(&self, text: Option<&str>) {
        self.control.say(&format!("input {} {}", self.number, json!(text)));
    }
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Debug for Question {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Question").field("prompt", &self.prompt).field("password", &self.password).finish()
    }
}

impl Control {
    pub(super) fn connect(&self, stream: UnixStream) {
        *self.lock() = Some(stream);
    }

    pub(super) fn say(&self, line: &str) {
        let mut stream = self.lock();
        if let Some(open) = stream.as_mut()
            && writeln!(open, "{line}").is_err()
        {
            // The process has ended, which evcxr notices.
            *stream = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<UnixStream>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
