//! The iopub socket: everything front ends see of a running cell.

use std::time::Duration;

use jupyter_protocol::{Header, JupyterMessage};
use jupyter_zmq_client::{KernelIoPubXPubConnection, SubscriptionEvent};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::wire::{log, publication};
use crate::session::{Event, Stream};

/// How long text may wait for more of its kind.
const BATCH: Duration = Duration::from_millis(40);
/// How much text is sent without waiting.
const FULL: usize = 1 << 16;

/// Sends to the iopub socket, from any thread, in order.
#[derive(Clone)]
pub(super) struct IoPub(UnboundedSender<Item>);

enum Item {
    Message(Box<JupyterMessage>),
    Text { stream: Stream, text: String, parent: Option<Header> },
    Flush(oneshot::Sender<()>),
}

/// Starts the task that owns the socket.
pub(super) fn start(socket: KernelIoPubXPubConnection) -> IoPub {
    let (sender, receiver) = unbounded_channel();
    let iopub = IoPub(sender);
    iopub.status("starting", None);
    tokio::spawn(run(socket, receiver));
    iopub
}

impl IoPub {
    /// Sends one message.
    pub(super) fn publish(&self, kind: &str, content: Value, parent: Option<&Header>) {
        self.give(Item::Message(Box::new(publication(kind, content, parent))));
    }

    pub(super) fn status(&self, state: &str, parent: Option<&Header>) {
        self.publish("status", json!({ "execution_state": state }), parent);
    }

    /// Sends what a cell puts out.
    pub(super) fn event(&self, event: Event, parent: Option<&Header>, count: u64) {
        match event {
            Event::Stream { stream, text } => {
                self.give(Item::Text { stream, text, parent: parent.cloned() });
            }
            Event::Display(display) => {
                let update = display["update"] == json!(true);
                let kind = if update { "update_display_data" } else { "display_data" };
                self.publish(kind, bundle(display), parent);
            }
            Event::Value(value) => {
                let mut content = bundle(value);
                content["execution_count"] = json!(count);
                self.publish("execute_result", content, parent);
            }
        }
    }

    /// Waits until everything so far has been handed to the socket.
    pub(super) async fn flush(&self) {
        let (sender, receiver) = oneshot::channel();
        self.give(Item::Flush(sender));
        // The task lives as long as the kernel.
        let _ = receiver.await;
    }

    fn give(&self, item: Item) {
        let _ = self.0.send(item);
    }
}

/// A display of the library as the protocol has it.
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

async fn run(mut socket: KernelIoPubXPubConnection, mut items: UnboundedReceiver<Item>) {
    let mut waiting: Option<Text> = None;
    loop {
        tokio::select! {
            item = items.recv() => match item {
                Some(Item::Text { stream, text, parent }) => {
                    let same = waiting.as_ref().is_some_and(|waiting| waiting.continues(stream, &parent));
                    if !same {
                        send_text(&mut socket, waiting.take()).await;
                    }
                    let batch = waiting.get_or_insert_with(|| Text::new(stream, parent));
                    batch.text.push_str(&text);
                    if batch.text.len() > FULL {
                        send_text(&mut socket, waiting.take()).await;
                    }
                }
                Some(Item::Message(message)) => {
                    send_text(&mut socket, waiting.take()).await;
                    send(&mut socket, *message).await;
                }
                Some(Item::Flush(done)) => {
                    send_text(&mut socket, waiting.take()).await;
                    let _ = done.send(());
                }
                None => return,
            },
            event = socket.recv_subscription() => match event {
                Ok(SubscriptionEvent::Subscribe(topic)) => {
                    let welcome = publication("iopub_welcome", json!({ "subscription": topic }), None);
                    send(&mut socket, welcome).await;
                }
                Ok(SubscriptionEvent::Unsubscribe(_)) => {}
                Err(error) => {
                    log(&format!("iopub: {error}"));
                    tokio::time::sleep(BATCH).await;
                }
            },
            () = sleep_until(waiting.as_ref()) => send_text(&mut socket, waiting.take()).await,
        }
    }
}

/// Text that waits for more.
struct Text {
    stream: Stream,
    text: String,
    parent: Option<Header>,
    due: tokio::time::Instant,
}

impl Text {
    fn new(stream: Stream, parent: Option<Header>) -> Self {
        Self { stream, text: String::new(), parent, due: tokio::time::Instant::now() + BATCH }
    }

    fn continues(&self, stream: Stream, parent: &Option<Header>) -> bool {
        let id = |header: &Option<Header>| header.as_ref().map(|header| header.msg_id.clone());
        self.stream == stream && id(&self.parent) == id(parent)
    }
}

async fn sleep_until(waiting: Option<&Text>) {
    match waiting {
        Some(text) => tokio::time::sleep_until(text.due).await,
        None => std::future::pending().await,
    }
}

async fn send_text(socket: &mut KernelIoPubXPubConnection, text: Option<Text>) {
    if let Some(Text { stream, text, parent, .. }) = text {
        let content = json!({ "name": stream.name(), "text": text });
        send(socket, publication("stream", content, parent.as_ref())).await;
    }
}

async fn send(socket: &mut KernelIoPubXPubConnection, message: JupyterMessage) {
    if let Err(error) = socket.send(message).await {
        log(&format!("iopub: {error}"));
    }
}
