//! The iopub socket: all that front ends see of a running cell.

use serde_json::{Value, json};
use tokio::sync::oneshot;
use zeromq::ZmqMessage;

use super::message::{Envelope, Header, Message};
use super::publisher::Publisher;
use super::queue::{Item, Queue};
use super::wire::log;
use crate::session::Event;

/// Sends to the iopub socket, from any thread, in order.
#[derive(Clone)]
pub(super) struct IoPub(Queue);

/// Starts the task that owns the socket.
pub(super) fn start(publisher: Publisher, envelope: Envelope) -> IoPub {
    let queue = Queue::default();
    let iopub = IoPub(queue.clone());
    iopub.status("starting", None);
    tokio::spawn(run(Sender { publisher, envelope }, queue));
    iopub
}

impl IoPub {
    /// Sends a message of the kernel itself.
    pub(super) fn publish(&self, kind: &str, content: Value, parent: Option<&Header>) {
        self.0.push(Item::Message(Message::publication(kind, content, parent)));
    }

    pub(super) fn status(&self, state: &str, parent: Option<&Header>) {
        self.publish("status", json!({ "execution_state": state }), parent);
    }

    /// Sends the output of a cell; waits if front ends are too slow.
    pub(super) fn event(&self, event: Event, parent: Option<&Header>, count: u64) {
        let output = |kind: &str, content: Value| Message::publication(kind, content, parent);
        let item = match event {
            Event::Stream { stream, text } => Item::Text { stream, text, parent: parent.cloned() },
            Event::Display(display) => match (display["update"] == json!(true), display["id"].as_str()) {
                (true, Some(id)) => {
                    Item::Update { id: id.to_owned(), message: output("update_display_data", bundle(display)) }
                }
                _ => Item::Output(output("display_data", bundle(display))),
            },
            Event::Value(value) => {
                let mut content = bundle(value);
                content["execution_count"] = json!(count);
                Item::Output(output("execute_result", content))
            }
            Event::Clear { wait } => Item::Output(output("clear_output", json!({ "wait": wait }))),
            // Sent on the stdin channel and in the reply.
            Event::Input(_) | Event::Page(_) => return,
        };
        self.0.push_output(item);
    }

    /// Waits until all earlier messages have been handed to the socket.
    pub(super) async fn flush(&self) {
        let (sender, receiver) = oneshot::channel();
        self.0.push(Item::Flush(sender));
        // The task lives as long as the kernel.
        let _ = receiver.await;
    }
}

/// A display of the library in the form of the protocol.
fn bundle(mut display: Value) -> Value {
    let transient = match &display["id"] {
        Value::String(id) => json!({ "display_id": id }),
        _ => json!({}),
    };
    json!({
        "data": display["data"].take(),
        "metadata": match display["metadata"].take() { Value::Null => json!({}), metadata => metadata },
        "transient": transient,
    })
}

/// Sends the items of the queue and welcomes subscribers.
async fn run(mut sender: Sender, queue: Queue) {
    loop {
        tokio::select! {
            item = queue.next() => sender.take(item).await,
            subscription = sender.publisher.subscription() => {
                let topic = String::from_utf8_lossy(&subscription.topic).into_owned();
                let welcome = Message::publication("iopub_welcome", json!({ "subscription": topic }), None);
                if let Some(frames) = sender.seal(welcome) {
                    sender.publisher.welcome(subscription, &frames).await;
                }
            },
        }
    }
}

struct Sender {
    publisher: Publisher,
    envelope: Envelope,
}

impl Sender {
    async fn take(&mut self, item: Item) {
        match item {
            Item::Message(message) | Item::Output(message) | Item::Update { message, .. } => self.send(message).await,
            Item::Text { stream, text, parent } => {
                let content = json!({ "name": stream.name(), "text": text });
                self.send(Message::publication("stream", content, parent.as_ref())).await;
            }
            Item::Flush(done) => drop(done.send(())),
        }
    }

    async fn send(&mut self, message: Message) {
        if let Some(frames) = self.seal(message) {
            self.publisher.send(&frames).await;
        }
    }

    fn seal(&self, message: Message) -> Option<ZmqMessage> {
        self.envelope.seal(message).map_err(|error| log(&format!("iopub: {error}"))).ok()
    }
}
