//! The iopub socket: an XPUB with a queue for each front end.
//!
//! zeromq's own XPUB writes to one peer after the other and waits for each, so a peer that does not read, such as
//! a suspended console, blocks all others. Here each peer has a queue. A full queue makes the kernel wait, so that
//! cells do not outrun their readers, but only briefly and once: after that the front end misses messages until it
//! has read its queue.

use std::io::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use jupyter_protocol::{ConnectionInfo, Transport};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use zeromq::ZmqMessage;

use super::wire::log;
use super::zmtp::{self, Wish};

/// How long a full queue is waited for before its front end misses messages.
const PATIENCE: Duration = Duration::from_secs(2);
/// The size of a queue, in bytes.
const ROOM: u32 = 8 << 20;
/// The delay after an error in accepting a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// The bound socket.
pub(super) struct Publisher {
    peers: Peers,
    subscriptions: UnboundedReceiver<Subscription>,
}

/// A front end's request for a topic, which takes effect with [`Publisher::welcome`].
pub(super) struct Subscription {
    pub(super) topic: Bytes,
    line: Arc<Line>,
}

/// The front ends and the topics they have subscribed to.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<Vec<Peer>>>);

struct Peer {
    line: Arc<Line>,
    topics: Vec<Bytes>,
}

/// The queue of a front end.
struct Line {
    queue: UnboundedSender<Waiting>,
    /// The free bytes of the queue.
    room: Arc<Semaphore>,
    behind: AtomicBool,
}

/// A queued message, and the bytes that it occupies until it is written.
type Waiting = (Bytes, OwnedSemaphorePermit);

impl Publisher {
    pub(super) async fn bind(info: &ConnectionInfo) -> anyhow::Result<Self> {
        let peers = Peers::default();
        let (sender, subscriptions) = unbounded_channel();
        let what = || format!("listening at {}", info.iopub_url());
        match info.transport {
            Transport::TCP => {
                let host = if info.ip == "*" { "0.0.0.0" } else { &info.ip };
                let listener = TcpListener::bind((host, info.iopub_port)).await.with_context(what)?;
                tokio::spawn(accept_tcp(listener, peers.clone(), sender));
            }
            Transport::IPC => {
                let path = format!("{}-{}", info.ip, info.iopub_port);
                let listener = UnixListener::bind(path).with_context(what)?;
                tokio::spawn(accept_ipc(listener, peers.clone(), sender));
            }
        }
        Ok(Self { peers, subscriptions })
    }

    /// Waits for the next subscription.
    pub(super) async fn subscription(&mut self) -> Subscription {
        match self.subscriptions.recv().await {
            Some(subscription) => subscription,
            None => std::future::pending().await,
        }
    }

    /// Sends the front end a first message, and from now on all messages of the topic.
    pub(super) async fn welcome(&self, subscription: Subscription, message: &ZmqMessage) {
        let Subscription { topic, line } = subscription;
        line.send(&zmtp::message(message.iter()), Instant::now() + PATIENCE).await;
        if let Some(peer) = self.peers.lock().iter_mut().find(|peer| Arc::ptr_eq(&peer.line, &line)) {
            peer.topics.push(topic);
        }
    }

    /// Sends a message, whose first frame is its topic, to the topic's subscribers.
    pub(super) async fn send(&self, message: &ZmqMessage) {
        let topic = message.get(0).cloned().unwrap_or_default();
        let bytes = zmtp::message(message.iter());
        let deadline = Instant::now() + PATIENCE;
        for line in self.peers.who_want(&topic) {
            line.send(&bytes, deadline).await;
        }
    }
}

impl Peers {
    fn who_want(&self, topic: &[u8]) -> Vec<Arc<Line>> {
        let wants = |peer: &&Peer| peer.topics.iter().any(|prefix| topic.starts_with(prefix));
        self.lock().iter().filter(wants).map(|peer| peer.line.clone()).collect()
    }

    fn add(&self, line: Arc<Line>) {
        self.lock().push(Peer { line, topics: Vec::new() });
    }

    fn remove(&self, line: &Arc<Line>) {
        self.lock().retain(|peer| !Arc::ptr_eq(&peer.line, line));
    }

    fn cancel(&self, line: &Arc<Line>, topic: &Bytes) {
        for peer in self.lock().iter_mut().filter(|peer| Arc::ptr_eq(&peer.line, line)) {
            if let Some(at) = peer.topics.iter().position(|known| known == topic) {
                peer.topics.remove(at);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Peer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn new() -> (Arc<Self>, UnboundedReceiver<Waiting>) {
        let (queue, waiting) = unbounded_channel();
        let room = Arc::new(Semaphore::new(ROOM as usize));
        (Arc::new(Self { queue, room, behind: AtomicBool::new(false) }), waiting)
    }

    /// Queues a message; waits until `deadline` if the queue is full.
    async fn send(&self, message: &Bytes, deadline: Instant) {
        if self.behind.load(Ordering::Relaxed) {
            if self.room.available_permits() < ROOM as usize {
                return;
            }
            self.behind.store(false, Ordering::Relaxed);
        }
        // A message larger than the queue occupies all of it.
        let size = u32::try_from(message.len()).unwrap_or(ROOM).min(ROOM);
        match timeout_at(deadline, self.room.clone().acquire_many_owned(size)).await {
            // Fails if the front end is gone.
            Ok(Ok(room)) => drop(self.queue.send((message.clone(), room))),
            Ok(Err(_)) => {}
            Err(_) => {
                log("iopub: a front end does not read its messages; it will miss some");
                self.behind.store(true, Ordering::Relaxed);
            }
        }
    }
}

async fn accept_tcp(listener: TcpListener, peers: Peers, subscriptions: UnboundedSender<Subscription>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it messages are only delayed.
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream, peers.clone(), subscriptions.clone()));
            }
            Err(error) => refuse(&error).await,
        }
    }
}

async fn accept_ipc(listener: UnixListener, peers: Peers, subscriptions: UnboundedSender<Subscription>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, peers.clone(), subscriptions.clone()))),
            Err(error) => refuse(&error).await,
        }
    }
}

async fn refuse(error: &std::io::Error) {
    log(&format!("iopub: {error}"));
    tokio::time::sleep(PAUSE).await;
}

/// Serves one front end until it disconnects.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    peers: Peers,
    subscriptions: UnboundedSender<Subscription>,
) {
    if let Err(error) = zmtp::greet(&mut stream).await {
        return log(&format!("iopub: {error}"));
    }
    let (mut reading, writing) = tokio::io::split(stream);
    let (line, waiting) = Line::new();
    peers.add(line.clone());
    let hear = async {
        loop {
            match zmtp::read_wish(&mut reading).await? {
                // The receiver lives as long as the kernel.
                Wish::Subscribe(topic) => drop(subscriptions.send(Subscription { topic, line: line.clone() })),
                Wish::Cancel(topic) => peers.cancel(&line, &topic),
            }
        }
    };
    // Either fails when the front end disconnects.
    let _: Result<()> = tokio::select! {
        ended = hear => ended,
        ended = write_all(writing, waiting) => ended,
    };
    peers.remove(&line);
}

async fn write_all(mut peer: impl AsyncWrite + Unpin, mut waiting: UnboundedReceiver<Waiting>) -> Result<()> {
    while let Some((message, room)) = waiting.recv().await {
        peer.write_all(&message).await?;
        drop(room);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long the tests wait for a full queue.
    const MOMENT: Duration = Duration::from_millis(50);

    fn soon() -> Instant {
        Instant::now() + MOMENT
    }

    #[tokio::test]
    async fn one_that_does_not_read_is_waited_for_once() {
        let (line, mut waiting) = Line::new();
        let message = Bytes::from(vec![0; 3 << 20]);
        let mut waits = Vec::new();
        for _ in 0..5 {
            let begun = Instant::now();
            line.send(&message, begun + MOMENT).await;
            waits.push(begun.elapsed() >= MOMENT);
        }
        assert_eq!(waits, [false, false, true, false, false]);
        // It reads again: first its queue, then new messages.
        drop(waiting.recv().await);
        line.send(&Bytes::from_static(b"missed"), soon()).await;
        drop(waiting.recv().await);
        line.send(&Bytes::from_static(b"new"), soon()).await;
        assert_eq!(waiting.recv().await.map(|(message, _)| message), Some(Bytes::from_static(b"new")));
    }

    #[tokio::test]
    async fn a_message_may_be_larger_than_the_room() {
        let (line, mut waiting) = Line::new();
        let message = Bytes::from(vec![0; 2 * ROOM as usize]);
        line.send(&message, soon()).await;
        assert_eq!(waiting.recv().await.map(|(message, _)| message.len()), Some(2 * ROOM as usize));
    }
}
