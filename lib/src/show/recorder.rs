//! For tests: a sink that keeps what it is given. Tests that display go one after the other.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Display, Message, set_display};

struct Recorder(Arc<Mutex<Vec<Message>>>);

impl Display for Recorder {
    fn send(&self, message: &Message) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
    }
}

/// The result of `work` and what it displayed, as far as its text begins with `about`. Other tests' bars and charts go to the same sink.
pub(super) fn record<T>(about: &str, work: impl FnOnce() -> T) -> (T, Vec<Message>) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let messages = Arc::default();
    set_display(Box::new(Recorder(Arc::clone(&messages))));
    let result = work();
    set_display(Box::new(Recorder(Arc::default())));
    let mut recorded = std::mem::take(&mut *messages.lock().unwrap_or_else(PoisonError::into_inner));
    recorded.retain(|message| text(message).starts_with(about));
    (result, recorded)
}

/// The plain text of each message.
pub(super) fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(text).collect()
}

fn text(message: &Message) -> &str {
    message.data.get("text/plain").and_then(|text| text.as_str()).unwrap_or_default()
}
