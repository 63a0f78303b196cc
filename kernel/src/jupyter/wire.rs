//! The sockets, around jupyter-zmq-client. Nothing that arrives or fails here ends a loop.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use jupyter_protocol::ConnectionInfo;
use jupyter_zmq_client::{
    Connection, KernelHeartbeatConnection, KernelIoPubXPubConnection, RouterRecvConnection, RouterSendConnection,
    create_kernel_control_connection, create_kernel_heartbeat_connection, create_kernel_iopub_xpub_connection,
    create_kernel_shell_connection, create_kernel_stdin_connection,
};
use serde_json::Value;
use tokio::sync::mpsc;
use zeromq::{RouterSendHalf, RouterSocket, SocketRecv, SocketSend};

use super::message::{Envelope, Message, Request, Seen, random_id};

/// How many requests may wait. A front end that sends more waits for its socket.
const WAITING: usize = 10_000;

/// The five sockets, bound.
pub(super) struct Channels {
    pub(super) shell: Channel,
    pub(super) control: Channel,
    pub(super) stdin: Channel,
    pub(super) iopub: KernelIoPubXPubConnection,
    pub(super) heartbeat: KernelHeartbeatConnection,
    pub(super) envelope: Envelope,
}

/// One of the sockets that requests come from.
pub(super) struct Channel {
    /// In the order of their arrival.
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) replies: Replies,
}

/// Sends to the peers of a socket, from any task.
#[derive(Clone)]
pub(super) struct Replies {
    socket: RouterSendHalf,
    envelope: Envelope,
}

/// Binds the sockets of a connection file.
pub(super) async fn bind(connection_file: &Path) -> Result<Channels> {
    let text =
        std::fs::read_to_string(connection_file).with_context(|| format!("reading {}", connection_file.display()))?;
    let info: ConnectionInfo =
        serde_json::from_str(&text).with_context(|| format!("{} is no connection file", connection_file.display()))?;
    let session = random_id();
    let iopub = create_kernel_iopub_xpub_connection(&info, &session).await?;
    let envelope = Envelope { key: iopub.mac.clone(), session: session.clone() };
    Ok(Channels {
        shell: Channel::of(create_kernel_shell_connection(&info, &session).await?),
        control: Channel::of(create_kernel_control_connection(&info, &session).await?),
        stdin: Channel::of(create_kernel_stdin_connection(&info, &session).await?),
        iopub,
        heartbeat: create_kernel_heartbeat_connection(&info).await?,
        envelope,
    })
}

impl Channel {
    fn of(connection: Connection<RouterSocket>) -> Self {
        let (sending, receiving): (RouterSendConnection, _) = connection.split();
        let envelope = Envelope { key: sending.mac, session: sending.session_id };
        let (sender, requests) = mpsc::channel(WAITING);
        tokio::spawn(read_all(receiving, envelope.clone(), sender));
        Self { requests, replies: Replies { socket: sending.socket, envelope } }
    }
}

impl Replies {
    /// Answers `request`.
    pub(super) async fn reply(&self, request: &Request, content: Value) {
        self.send(request.reply(content)).await;
    }

    /// Sends `message`. A front end that has gone away is not an error.
    pub(super) async fn send(&self, message: Message) {
        let kind = message.kind.clone();
        let sent = match self.envelope.seal(message) {
            Ok(frames) => self.socket.clone().send(frames).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            log(&format!("{kind} could not be sent: {error}"));
        }
    }
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

/// The kernel's own log, which front ends show apart from notebooks.
pub(super) fn log(text: &str) {
    eprintln!("kensaku: {text}");
}

/// Until nobody takes requests any more.
async fn read_all(mut socket: RouterRecvConnection, envelope: Envelope, requests: mpsc::Sender<Request>) {
    let mut seen = Seen::default();
    while !requests.is_closed() {
        let request = match socket.socket.recv().await {
            Ok(frames) => envelope.open(frames, &mut seen),
            Err(error) => {
                // A broken peer must not make this loop spin.
                pause().await;
                Err(error.into())
            }
        };
        match request {
            // The loop that takes requests ends only with the kernel.
            Ok(request) => drop(requests.send(request).await),
            Err(error) => log(&format!("a message was not accepted: {error:#}")),
        }
    }
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}
