//! Messages and their frames: parsed and verified, signed and serialised.
//!
//! Contents and headers stay JSON: the types of the Jupyter crates lack fields of the protocol, reject
//! requests that omit fields, and drop unknown ones.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use jupyter_protocol::{JupyterMessage, UnknownMessage};
use jupyter_zmq_client::RawMessage;
use ring::hmac;
use serde_json::{Value, json};
use zeromq::ZmqMessage;

/// The version of the protocol.
pub(super) const PROTOCOL: &str = "5.5";
/// Separates the identities from the signature.
const DELIMITER: &[u8] = b"<IDS|MSG>";
/// How many signatures are kept to detect replays.
const REMEMBERED: usize = 1 << 16;

/// The header of a request as received: unknown fields are returned, too.
pub(super) type Header = Arc<Value>;

/// A request from a front end.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// The address for replies.
    pub(super) identities: Vec<Bytes>,
    pub(super) header: Header,
    pub(super) kind: String,
    pub(super) content: Value,
    pub(super) arrived: Instant,
}

/// A message from the kernel.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The recipient; on iopub the topic.
    pub(super) identities: Vec<Bytes>,
    pub(super) kind: String,
    pub(super) parent: Option<Header>,
    pub(super) content: Value,
}

/// Signs outgoing messages and verifies incoming ones.
#[derive(Clone)]
pub(super) struct Envelope {
    pub(super) key: Option<hmac::Key>,
    pub(super) session: String,
}

/// The signatures of the last messages: each is accepted once.
#[derive(Default)]
pub(super) struct Seen {
    known: HashSet<Bytes>,
    order: VecDeque<Bytes>,
}

impl Request {
    /// The answer to this request.
    pub(super) fn reply(&self, content: Value) -> Message {
        Message {
            identities: self.identities.clone(),
            kind: self.kind.replace("_request", "_reply"),
            parent: Some(self.header.clone()),
            content,
        }
    }
}

impl Message {
    /// A message for the iopub socket, whose first frame is a topic.
    pub(super) fn publication(kind: &str, content: Value, parent: Option<&Header>) -> Self {
        let identities = vec![Bytes::from(format!("kernel.{kind}"))];
        Self { identities, kind: kind.to_owned(), parent: parent.cloned(), content }
    }
}

impl Envelope {
    /// The frames of `message`.
    pub(super) fn seal(&self, message: Message) -> Result<ZmqMessage> {
        let Message { identities, kind, parent, content } = message;
        let parent = parent.as_deref().cloned().unwrap_or_else(|| json!({}));
        let parts = [self.header(&kind)?, parent, json!({}), content];
        let parts = parts.iter().map(serde_json::to_vec).collect::<Result<Vec<_>, _>>()?;
        let signature = self.key.as_ref().map(|key| sign(key, &parts)).unwrap_or_default();
        let mut frames = identities;
        frames.push(Bytes::from_static(DELIMITER));
        frames.push(signature.into());
        frames.extend(parts.into_iter().map(Bytes::from));
        ZmqMessage::try_from(frames).map_err(|_| anyhow::anyhow!("the message has no frames"))
    }

    /// The request in `frames`, if its signature is valid and new.
    pub(super) fn open(&self, frames: ZmqMessage, seen: &mut Seen) -> Result<Request> {
        let signature = frames.iter().skip_while(|frame| &frame[..] != DELIMITER).nth(1).cloned();
        let raw = RawMessage::from_multipart(frames, &self.key)?;
        if self.key.is_some() {
            ensure!(seen.is_new(signature.unwrap_or_default()), "its signature was used before");
        }
        let part = |index: usize, name: &str| -> Result<Value> {
            let value: Value = serde_json::from_slice(&raw.jparts[index]).with_context(|| format!("its {name}"))?;
            ensure!(value.is_object(), "its {name} is not an object");
            Ok(value)
        };
        let (header, content) = (part(0, "header")?, part(3, "content")?);
        let (Some(kind), Some(_)) = (header["msg_type"].as_str(), header["msg_id"].as_str()) else {
            bail!("its header lacks msg_type or msg_id");
        };
        let kind = kind.to_owned();
        Ok(Request { identities: raw.zmq_identities, header: Arc::new(header), kind, content, arrived: Instant::now() })
    }

    fn header(&self, kind: &str) -> Result<Value> {
        // The crate sets the id and the time.
        let mut header = serde_json::to_value(draft(kind).header)?;
        header["version"] = json!(PROTOCOL);
        header["username"] = json!("kensaku");
        header["session"] = json!(self.session);
        Ok(header)
    }
}

impl Seen {
    fn is_new(&mut self, signature: Bytes) -> bool {
        if !self.known.insert(signature.clone()) {
            return false;
        }
        self.order.push_back(signature);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// A random id.
pub(super) fn random_id() -> String {
    draft("status").header.msg_id
}

fn draft(kind: &str) -> JupyterMessage {
    JupyterMessage::new(UnknownMessage { msg_type: kind.to_owned(), content: json!({}) }, None)
}

fn sign(key: &hmac::Key, parts: &[Vec<u8>]) -> String {
    let mut context = hmac::Context::with_key(key);
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(key: &str) -> Envelope {
        let key = Some(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()));
        Envelope { key, session: "s".to_owned() }
    }

    fn frames(key: &str) -> ZmqMessage {
        let header = Arc::new(json!({ "msg_id": "1", "subshell_id": "索" }));
        let message = Message::publication("kernel_info_request", json!({ "a": 1 }), Some(&header));
        envelope(key).seal(message).expect("it is sealed")
    }

    #[test]
    fn a_message_is_accepted_once() {
        let mut seen = Seen::default();
        let request = envelope("k").open(frames("k"), &mut seen).expect("it opens");
        assert_eq!((request.kind.as_str(), &request.content), ("kernel_info_request", &json!({ "a": 1 })));
        assert_eq!(request.header["version"], PROTOCOL);
        let sent = frames("k");
        assert!(envelope("k").open(sent.clone(), &mut seen).is_ok());
        assert!(envelope("k").open(sent, &mut seen).is_err());
    }

    #[test]
    fn another_key_is_refused() {
        assert!(envelope("k").open(frames("other"), &mut Seen::default()).is_err());
    }
}
