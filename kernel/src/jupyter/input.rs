//! The stdin channel: cells ask the front end that has sent them.

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::iopub::IoPub;
use super::message::{Header, Message, Request};
use super::wire::{Channel, log};
use crate::session::Question;

/// A change of the open question.
pub(super) enum Ask {
    Question {
        question: Question,
        identities: Vec<Bytes>,
        parent: Header,
    },
    /// The cell has ended: an open question is dropped.
    Nothing,
}

/// Sends questions from any thread. A cell has one at a time.
#[derive(Clone)]
pub(super) struct Asking(UnboundedSender<Ask>);

impl Asking {
    pub(super) fn new() -> (Self, UnboundedReceiver<Ask>) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), receiver)
    }

    pub(super) fn send(&self, ask: Ask) {
        // The receiver lives as long as the kernel.
        let _ = self.0.send(ask);
    }
}

/// Serves the channel for the lifetime of the kernel.
pub(super) async fn serve(mut channel: Channel, mut asks: UnboundedReceiver<Ask>, iopub: IoPub) {
    let mut open: Option<Question> = None;
    loop {
        tokio::select! {
            ask = asks.recv() => match ask {
                Some(Ask::Question { question, identities, parent }) => {
                    // Earlier output is shown before the input field opens.
                    iopub.flush().await;
                    let content = json!({ "prompt": question.prompt, "password": question.password });
                    let kind = "input_request".to_owned();
                    channel.replies.send(Message { identities, kind, parent: Some(parent), content }).await;
                    open = Some(question);
                }
                Some(Ask::Nothing) => open = None,
                None => return,
            },
            request = channel.requests.recv() => match request {
                Some(request) => answer(&mut open, &request),
                None => return,
            },
        }
    }
}

fn answer(open: &mut Option<Question>, request: &Request) {
    match (request.kind.as_str(), request.content["value"].as_str(), open.take()) {
        ("input_reply", Some(value), Some(question)) => question.answer(Some(value)),
        (kind, _, question) => {
            log(&format!("{kind} on the stdin channel without a question"));
            *open = question;
        }
    }
}
