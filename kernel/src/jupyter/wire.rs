//! The sockets, around jupyter-zmq-client and jupyter-protocol.
//!
//! Contents stay JSON: the crates' types leave out fields of the protocol, and refuse requests
//! that leave out fields. Nothing that arrives or fails here ends a loop.

use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use jupyter_protocol::{ConnectionInfo, Header, JupyterMessage, JupyterMessageContent, UnknownMessage};
use jupyter_zmq_client::{
    KernelControlConnection, KernelHeartbeatConnection, KernelIoPubXPubConnection, KernelShellConnection,
    KernelStdinConnection, RawMessage, RouterRecvConnection, RouterSendConnection, create_kernel_control_connection,
    create_kernel_heartbeat_connection, create_kernel_iopub_xpub_connection, create_kernel_shell_connection,
    create_kernel_stdin_connection,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use zeromq::{SocketRecv, SocketSend};

/// The version of the messages, and what the kernel claims.
pub(super) const PROTOCOL: &str = "5.4";

/// The five sockets, bound.
pub(super) struct Channels {
    pub(super) shell: KernelShellConnection,
    pub(super) control: KernelControlConnection,
    pub(super) stdin: KernelStdinConnection,
    pub(super) iopub: KernelIoPubXPubConnection,
    pub(super) heartbeat: KernelHeartbeatConnection,
}

/// A request of a front end.
#[derive(Clone)]
pub(super) struct Request {
    /// Header and return address.
    pub(super) message: JupyterMessage,
    pub(super) kind: String,
    pub(super) content: Value,
}

/// Binds the sockets of a connection file.
pub(super) async fn bind(connection_file: &Path) -> Result<Channels> {
    let text =
        std::fs::read_to_string(connection_file).with_context(|| format!("reading {}", connection_file.display()))?;
    let info: ConnectionInfo =
        serde_json::from_str(&text).with_context(|| format!("{} is no connection file", connection_file.display()))?;
    let session = message_id();
    Ok(Channels {
        shell: create_kernel_shell_connection(&info, &session).await?,
        control: create_kernel_control_connection(&info, &session).await?,
        stdin: create_kernel_stdin_connection(&info, &session).await?,
        iopub: create_kernel_iopub_xpub_connection(&info, &session).await?,
        heartbeat: create_kernel_heartbeat_connection(&info).await?,
    })
}

/// Reads requests into a queue, so that those waiting behind a cell can be seen.
pub(super) fn queue(mut socket: RouterRecvConnection) -> mpsc::UnboundedReceiver<Request> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while !sender.is_closed() {
            match read(&mut socket).await {
                Ok(request) => {
                    // The loop that takes requests ends only with the kernel.
                    let _ = sender.send(request);
                }
                Err(error) => log(&format!("a message could not be read: {error:#}")),
            }
        }
    });
    receiver
}

/// Answers `request`. A front end that has gone away is not an error.
pub(super) async fn reply(socket: &mut RouterSendConnection, request: &Request, content: Value) {
    let kind = request.kind.replace("_request", "_reply");
    let mut message = message(&kind, content, Some(&request.message.header));
    message.zmq_identities.clone_from(&request.message.zmq_identities);
    if let Err(error) = socket.send(message).await {
        log(&format!("{kind} could not be sent: {error}"));
    }
}

/// A message for the iopub socket, whose first frame is a topic.
pub(super) fn publication(kind: &str, content: Value, parent: Option<&Header>) -> JupyterMessage {
    let mut message = message(kind, content, parent);
    message.zmq_identities = vec![Bytes::from(format!("kernel.{kind}"))];
    message
}

/// Gives back whatever arrives, as the protocol asks.
pub(super) async fn echo_heartbeats(mut connection: KernelHeartbeatConnection) {
    loop {
        let echoed = match connection.socket.recv().await {
            Ok(beat) => connection.socket.send(beat).await,
            Err(error) => Err(error),
        };
        if let Err(error) = echoed {
            log(&format!("heartbeat: {error}"));
            pause().await;
        }
    }
}

/// Keeps the stdin socket open; cells cannot ask for input.
pub(super) async fn ignore_input(mut connection: KernelStdinConnection) {
    loop {
        if let Err(error) = connection.read().await {
            log(&format!("stdin: {error}"));
            pause().await;
        }
    }
}

/// The kernel's own log, which front ends show apart from notebooks.
pub(super) fn log(text: &str) {
    eprintln!("kensaku: {text}");
}

async fn read(socket: &mut RouterRecvConnection) -> Result<Request> {
    let frames = match socket.socket.recv().await {
        Ok(frames) => frames,
        Err(error) => {
            // A broken peer must not make this loop spin.
            pause().await;
            return Err(error.into());
        }
    };
    let raw = RawMessage::from_multipart(frames, &socket.mac)?;
    let [header, _, metadata, content] = [0, 1, 2, 3].map(|part| raw.jparts[part].clone());
    let header: Header = serde_json::from_slice(&header).context("a header without its fields")?;
    let kind = header.msg_type.clone();
    let message = JupyterMessage {
        zmq_identities: raw.zmq_identities,
        header,
        parent_header: None,
        metadata: serde_json::from_slice(&metadata)?,
        content: unknown(&kind, json!({})),
        buffers: Vec::new(),
        channel: None,
    };
    Ok(Request { message, kind, content: serde_json::from_slice(&content)? })
}

fn message(kind: &str, content: Value, parent: Option<&Header>) -> JupyterMessage {
    let mut message = JupyterMessage::new(unknown(kind, content), None);
    message.header.version = PROTOCOL.to_owned();
    message.header.username = "kensaku".to_owned();
    message.parent_header = parent.cloned();
    message
}

fn unknown(kind: &str, content: Value) -> JupyterMessageContent {
    UnknownMessage { msg_type: kind.to_owned(), content }.into()
}

/// A random id, as the crate makes them.
fn message_id() -> String {
    JupyterMessage::new(unknown("status", json!({})), None).header.msg_id
}

async fn pause() {
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
}
