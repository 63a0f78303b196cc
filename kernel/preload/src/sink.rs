//! Sends the library's displays to the kernel.

use kensaku::serde_json::json;
use kensaku::show::{Display, Message, set_display};
use kensaku::{Error, Result};

use crate::answers::{Answer, Turn};
use crate::event;

/// Installs the sink if there is a kernel.
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

    fn value(&self, message: &Message) {
        event::emit(&json!({ "result": message }));
    }

    fn clear(&self, wait: bool) {
        event::emit(&json!({ "clear": { "wait": wait } }));
    }

    fn ask(&self, prompt: &str, password: bool) -> Result<String> {
        match Turn::take().ask(prompt, password, || true) {
            Answer::Text(text) => Ok(text),
            Answer::Refused => {
                let problem = "this front end does not take questions".to_owned();
                Err(Error::Input { prompt: prompt.to_owned(), problem })
            }
            Answer::Cut => Err(Error::Interrupted { during: "input" }),
        }
    }
}
