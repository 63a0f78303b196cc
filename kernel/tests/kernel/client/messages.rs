//! Messages of a front end, without the kernel's code.

use anyhow::{Context, Result};
use jupyter_protocol::{JupyterMessage, UnknownMessage};
use jupyter_zmq_client::{Connection, RawMessage};
use serde_json::{Value, json};
use zeromq::{SocketRecv, SocketSend, ZmqMessage};

use super::PATIENCE;

/// The outcome of a request.
#[derive(Debug)]
pub(crate) struct Transcript {
    /// The messages on iopub in order, from busy to idle.
    pub(crate) messages: Vec<Message>,
    pub(crate) reply: Value,
    /// The reply's parent header.
    pub(crate) parent: Value,
}

/// One message, as type and content.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) kind: String,
    pub(crate) header: Value,
    pub(crate) parent: Value,
    pub(crate) content: Value,
}

impl Transcript {
    /// The kinds of messages between busy and idle.
    pub(crate) fn kinds(&self) -> Vec<&str> {
        let inner = &self.messages[1..self.messages.len() - 1];
        inner.iter().map(|message| message.kind.as_str()).collect()
    }

    /// All text of one stream.
    pub(crate) fn text(&self, stream: &str) -> String {
        let streams = self.messages.iter().filter(|message| message.kind == "stream");
        streams
            .filter(|message| message.content["name"] == stream)
            .filter_map(|message| message.content["text"].as_str())
            .collect()
    }

    /// The cell's value as plain text.
    pub(crate) fn value(&self) -> Option<&str> {
        let result = self.messages.iter().find(|message| message.kind == "execute_result")?;
        result.content["data"]["text/plain"].as_str()
    }

    pub(crate) fn status(&self) -> &str {
        self.reply["status"].as_str().unwrap_or_default()
    }

    /// The traceback of a failed cell.
    pub(crate) fn traceback(&self) -> String {
        let lines = self.reply["traceback"].as_array().into_iter().flatten().filter_map(Value::as_str);
        plain(&lines.collect::<Vec<_>>().join("\n"))
    }

    /// Panics with all details unless the cell succeeded.
    pub(crate) fn expect_ok(self) -> Self {
        assert_eq!(self.reply["status"], json!("ok"), "{self:#?}");
        self
    }
}

/// The text without its colours.
fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or("", |(_, rest)| rest))
}

/// A request with a content that is JSON.
pub(crate) fn raw(kind: &str, content: Value) -> JupyterMessage {
    JupyterMessage::new(UnknownMessage { msg_type: kind.to_owned(), content }, None)
}

/// The frames of a message, built without the kernel's code.
pub(crate) fn frames(key: &str, header: &Value, content: &Value) -> Result<Vec<Vec<u8>>> {
    let parts = [header, &json!({}), &json!({}), content].map(|part| part.to_string().into_bytes());
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
    let signature = ring::hmac::sign(&key, &parts.concat());
    let signature: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut frames = vec![b"<IDS|MSG>".to_vec(), signature.into_bytes()];
    frames.extend(parts);
    Ok(frames)
}

/// Sends raw frames.
pub(crate) async fn send_frames<S: SocketSend>(connection: &mut Connection<S>, frames: &[Vec<u8>]) -> Result<()> {
    let frames: Vec<bytes::Bytes> = frames.iter().cloned().map(Into::into).collect();
    let message = ZmqMessage::try_from(frames).map_err(|_| anyhow::anyhow!("no frames"))?;
    Ok(connection.socket.send(message).await?)
}

/// The next message of a socket, its signature checked.
pub(crate) async fn read<S: SocketRecv>(connection: &mut Connection<S>) -> Result<Message> {
    let frames = tokio::time::timeout(PATIENCE, connection.socket.recv()).await.context("the kernel is silent")??;
    let raw = RawMessage::from_multipart(frames, &connection.mac)?;
    let part = |index: usize| serde_json::from_slice::<Value>(&raw.jparts[index]);
    let (header, parent, content) = (part(0)?, part(1)?, part(3)?);
    let kind = header["msg_type"].as_str().context("a message without a type")?.to_owned();
    Ok(Message { kind, header, parent, content })
}

/// The state in a status message.
pub(crate) fn state(message: &Message) -> String {
    message.content["execution_state"].as_str().unwrap_or_default().to_owned()
}
