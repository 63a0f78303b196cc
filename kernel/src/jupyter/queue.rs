//! The queue for the iopub socket, bounded; items are merged where that makes no visible difference.
//!
//! Text of one stream becomes one message, only the last update of a display is sent, and output that
//! is cleared before it was sent is dropped. A cell that is faster than its front end blocks here, so
//! the kernel's memory stays bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{Notify, oneshot};

use super::message::{Header, Message};
use crate::session::Stream;

/// How long output waits for more to be merged with.
const BATCH: Duration = Duration::from_millis(40);
/// How much text is sent at once, without waiting.
const FULL: usize = 1 << 16;
/// The size of the queue, in bytes.
const ROOM: usize = 8 << 20;

/// An item to send.
#[derive(Debug)]
pub(super) enum Item {
    /// Sent at once.
    Message(Message),
    /// Output of a cell that is a separate message.
    Output(Message),
    /// Output that replaces an earlier one with this id.
    Update {
        id: String,
        message: Message,
    },
    Text {
        stream: Stream,
        text: String,
        parent: Option<Header>,
    },
    Flush(oneshot::Sender<()>),
}

/// Shared by the producers and the sender.
#[derive(Clone, Default)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    room: Condvar,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
    /// When the queued output has to be sent.
    due: Option<Instant>,
}

impl Queue {
    /// Queues `item` without waiting: for messages of the kernel itself.
    pub(super) fn push(&self, item: Item) {
        self.lock().push(item);
        self.0.changed.notify_one();
    }

    /// Queues output of a cell; waits while the queue is full. Not to be called by the sender's thread.
    pub(super) fn push_output(&self, item: Item) {
        let mut waiting = self.lock();
        while waiting.bytes >= ROOM {
            waiting = self.0.room.wait(waiting).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        waiting.push(item);
        drop(waiting);
        self.0.changed.notify_one();
    }

    /// The next item, once it is due.
    pub(super) async fn next(&self) -> Item {
        loop {
            let due = {
                let mut waiting = self.lock();
                match waiting.due {
                    Some(due) if due <= Instant::now() => {
                        if let Some(item) = waiting.pop() {
                            self.0.room.notify_all();
                            return item;
                        }
                        None
                    }
                    due => due,
                }
            };
            match due {
                Some(due) => {
                    // A more urgent item may arrive.
                    let _ = tokio::time::timeout_at(due.into(), self.0.changed.notified()).await;
                }
                None => self.0.changed.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Waiting {
    fn push(&mut self, item: Item) {
        let delay = match &item {
            Item::Message(_) | Item::Flush(_) => Duration::ZERO,
            _ => BATCH,
        };
        self.bytes += item.bytes();
        if let Item::Output(message) = &item
            && message.kind == "clear_output"
        {
            self.forget_output_of(message.parent.as_ref());
        }
        if let Some(item) = self.join(item) {
            self.items.push_back(item);
        }
        let due = Instant::now() + if self.bytes >= FULL { Duration::ZERO } else { delay };
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front();
        match &item {
            Some(item) => self.bytes -= item.bytes(),
            None => self.due = None,
        }
        item
    }

    /// Merges `item` with a queued one, or returns it.
    fn join(&mut self, item: Item) -> Option<Item> {
        match item {
            Item::Text { stream, text, parent } => match self.items.back_mut() {
                Some(Item::Text { stream: last, text: before, parent: same })
                    if *last == stream && is_same(same.as_ref(), parent.as_ref()) && before.len() < FULL =>
                {
                    before.push_str(&text);
                    None
                }
                _ => Some(Item::Text { stream, text, parent }),
            },
            Item::Update { id, message } => {
                let earlier = self.items.iter_mut().find_map(|item| match item {
                    Item::Update { id: other, message: earlier }
                        if *other == id && is_same(earlier.parent.as_ref(), message.parent.as_ref()) =>
                    {
                        Some(earlier)
                    }
                    _ => None,
                });
                match earlier {
                    Some(earlier) => {
                        self.bytes -= weight(&earlier.content);
                        *earlier = message;
                        None
                    }
                    None => Some(Item::Update { id, message }),
                }
            }
            other => Some(other),
        }
    }

    fn forget_output_of(&mut self, parent: Option<&Header>) {
        let bytes = &mut self.bytes;
        self.items.retain(|item| {
            let cleared = match item {
                Item::Text { parent: of, .. } => is_same(of.as_ref(), parent),
                Item::Output(message) => is_same(message.parent.as_ref(), parent),
                // An update may be of a display in another cell.
                Item::Update { .. } | Item::Message(_) | Item::Flush(_) => false,
            };
            if cleared {
                *bytes -= item.bytes();
            }
            !cleared
        });
    }
}

impl Item {
    /// Its size in the queue. The kernel's own messages are few and small.
    fn bytes(&self) -> usize {
        match self {
            Self::Text { text, .. } => text.len(),
            Self::Output(message) | Self::Update { message, .. } => weight(&message.content),
            Self::Message(_) | Self::Flush(_) => 0,
        }
    }
}

/// The approximate length of a content as JSON.
pub(super) fn weight(content: &Value) -> usize {
    match content {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(weight).sum::<usize>(),
        Value::Object(fields) => 2 + fields.iter().map(|(name, value)| name.len() + 4 + weight(value)).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

fn is_same(one: Option<&Header>, other: Option<&Header>) -> bool {
    let id = |header: Option<&Header>| header.map(|header| header["msg_id"].clone());
    id(one) == id(other)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(text: &str) -> Item {
        Item::Text { stream: Stream::Stdout, text: text.to_owned(), parent: None }
    }

    fn update(id: &str, value: u32) -> Item {
        Item::Update {
            id: id.to_owned(),
            message: Message::publication("update_display_data", json!({ "value": value }), None),
        }
    }

    fn output(kind: &str) -> Item {
        Item::Output(Message::publication(kind, json!({}), None))
    }

    async fn sent(items: Vec<Item>) -> Vec<String> {
        let queue = Queue::default();
        let count = items.len();
        items.into_iter().for_each(|item| queue.push_output(item));
        queue.push(Item::Flush(oneshot::channel().0));
        let mut sent = Vec::new();
        for _ in 0..=count {
            match queue.next().await {
                Item::Text { text, .. } => sent.push(text),
                Item::Update { message, .. } => sent.push(message.content["value"].to_string()),
                Item::Output(message) | Item::Message(message) => sent.push(message.kind),
                Item::Flush(_) => break,
            }
        }
        assert_eq!(queue.lock().bytes, 0);
        sent
    }

    #[tokio::test]
    async fn text_is_joined_and_the_last_update_wins() {
        let items = vec![text("a"), text("b"), update("x", 1), update("y", 2), update("x", 3), text("c")];
        assert_eq!(sent(items).await, ["ab", "3", "2", "c"]);
    }

    #[tokio::test]
    async fn what_is_cleared_is_not_sent() {
        let items = vec![text("a"), output("display_data"), update("x", 1), output("clear_output"), text("b")];
        assert_eq!(sent(items).await, ["1", "clear_output", "b"]);
    }

    #[tokio::test]
    async fn a_full_queue_makes_its_writer_wait() {
        let queue = Queue::default();
        let writer = queue.clone();
        let line = "x".repeat(1 << 20);
        let thread = std::thread::spawn(move || (0..100).for_each(|_| writer.push_output(text(&line))));
        let mut bytes = 0;
        while bytes < 100 << 20 {
            if let Item::Text { text, .. } = queue.next().await {
                bytes += text.len();
            }
            assert!(queue.lock().bytes <= ROOM + (1 << 20));
        }
        assert!(thread.join().is_ok());
    }
}
