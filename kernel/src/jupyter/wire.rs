//! The sockets, around jupyter-zmq-client. No message and no error ends a loop here.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use jupyter_protocol::ConnectionInfo;
use jupyter_zmq_client::{
    Connection, KernelHeartbeatConnection, RouterRecvConnection, RouterSendConnection,
    create_kernel_control_connection, create_kernel_heartbeat_connection, create_kernel_shell_connection,
    create_kernel_stdin_connection,
};
use serde_json::Value;
use tokio::sync::mpsc;
use zeromq::{RouterSendHalf, RouterSocket, SocketRecv, SocketSend};

use super::message::{Envelope, Message, Request, Seen, random_id};
use super::publisher::Publisher;

/// How many requests are queued. A front end that sends more has to wait for its socket.
const WAITING: usize = 10_000;

/// How long a reply waits if the queue of its front end is full. The queue holds 100,000 messages: a front end that
/// has not read that many must not delay others.
const PATIENCE: Duration = Duration::from_millis(100);

/// The five sockets, bound.
pub(super) struct Channels {
    pub(super) shell: Channel,
    pub(super) control: Channel,
    pub(super) stdin: Channel,
    pub(super) iopub: Publisher,
    pub(super) heartbeat: KernelHeartbeatConnection,
    pub(super) envelope: Envelope,
}

/// A socket that receives requests.
pub(super) struct Channel {
    /// In order of arrival.
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
    let info: ConnectionInfo = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a connection file", connection_file.display()))?;
    let session = random_id();
    let shell = create_kernel_shell_connection(&info, &session).await?;
    let envelope = Envelope { key: shell.mac.clone(), session: session.clone() };
    Ok(Channels {
        shell: Channel::of(shell),
        control: Channel::of(create_kernel_control_connection(&info, &session).await?),
        stdin: Channel::of(create_kernel_stdin_connection(&info, &session).await?),
        iopub: Publisher::bind(&info).await?,
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

    /// Sends `message`. A disconnected front end is not an error.
    pub(super) async fn send(&self, message: Message) {
        let kind = message.kind.clone();
        let sent = match self.envelope.seal(message) {
            Ok(frames) => match tokio::time::timeout(PATIENCE, self.socket.clone().send(frames)).await {
                Ok(sent) => sent.map_err(Into::into),
                Err(_) => Err(anyhow!("the front end does not read its messages")),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            log(&format!("sending {kind} failed: {error}"));
        }
    }
}

/// Echoes every message, as the protocol requires.
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

/// Reads until the receiver of requests is dropped.
async fn read_all(mut socket: RouterRecvConnection, envelope: Envelope, requests: mpsc::Sender<Request>) {
    let mut seen = Seen::default();
    while !requests.is_closed() {
        let request = match socket.socket.recv().await {
            Ok(frames) => envelope.open(frames, &mut seen),
            Err(error) => {
                // A broken peer must not cause a busy loop.
                pause().await;
                Err(error.into())
            }
        };
        match request {
            // The receiver lives as long as the kernel.
            Ok(request) => drop(requests.send(request).await),
            Err(error) => log(&format!("rejected a message: {error:#}")),
        }
    }
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;
    use serde_json::json;
    use zeromq::util::PeerIdentity;
    use zeromq::{DealerSocket, Socket, SocketOptions};

    use super::*;

    async fn front_end(identity: &'static str, endpoint: &str) -> DealerSocket {
        let mut options = SocketOptions::default();
        options.peer_identity(PeerIdentity::try_from(identity.as_bytes()).expect("it is short"));
        let mut socket = DealerSocket::with_options(options);
        socket.connect(endpoint).await.expect("somebody listens");
        socket
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_front_end_that_reads_no_reply_holds_up_no_other() {
        let mut router = RouterSocket::new();
        let endpoint = router.bind("tcp://127.0.0.1:0").await.expect("there is a port").to_string();
        let channel = Channel::of(Connection::new(router, "key", "session"));
        let _suspended = front_end("suspended", &endpoint).await;
        let mut reads = front_end("reads", &endpoint).await;
        let message = |identity: &'static str| Message {
            identities: vec![Bytes::from_static(identity.as_bytes())],
            kind: "kernel_info_reply".to_owned(),
            parent: None,
            content: json!({}),
        };
        // More than the queue and the sockets hold.
        let mut waits = 0;
        for _ in 0..250_000 {
            let begun = Instant::now();
            channel.replies.send(message("suspended")).await;
            waits += usize::from(begun.elapsed() >= PATIENCE);
            if waits == 2 {
                break;
            }
        }
        assert_eq!(waits, 2, "its queue is not full");
        channel.replies.send(message("reads")).await;
        let read = tokio::time::timeout(Duration::from_secs(5), reads.recv()).await;
        assert!(read.is_ok_and(|read| read.is_ok()));
    }
}
