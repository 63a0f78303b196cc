//! The library's displays, sent to the kernel.

use kensaku::serde_json::json;
use kensaku::show::{Display, Message, set_display};

use crate::event;

/// Installs the kernel's sink, where there is a kernel.
pub(crate) fn install() {
    if event::connected() {
        set_display(Box::new(Kernel));
    }
}

struct Kernel;

impl Display for Kernel {
    fn send(&self, message: &Message) {
        event::emit(&json!({ "display": message }));
    }
}
