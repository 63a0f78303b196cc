//! Events to the kernel, written between the user's own output, so that both stay in order.
//!
//! An event is one line: a record separator, the session's token, a space, JSON. The token is
//! random, so that no text of a user is taken for an event.

use std::io::{ErrorKind, Write};
use std::os::fd::RawFd;
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::Duration;

use kensaku::serde_json::Value;

/// The way to the kernel.
struct Kernel {
    token: String,
    /// The sockets that were stdout and stderr at the start. A cell may close or replace its streams.
    stdout: RawFd,
    stderr: RawFd,
    /// What this process forks does not speak for it.
    process: u32,
}

static KERNEL: OnceLock<Kernel> = OnceLock::new();

/// Notes the way to the kernel, once.
pub(crate) fn connect(token: &str, stdout: RawFd, stderr: RawFd) {
    KERNEL.get_or_init(|| Kernel { token: token.to_owned(), stdout, stderr, process: std::process::id() });
}

/// Whether this process runs cells for the kernel.
pub(crate) fn connected() -> bool {
    kernel().is_some()
}

/// Sends `event` in the order of stdout.
pub(crate) fn emit(event: &Value) {
    let mut out = std::io::stdout().lock();
    // Where the kernel has gone away there is nobody left to tell.
    let _ = out.flush();
    emit_between(event);
}

/// Sends `event` past the lock of stdout, whose holder may be waiting for what comes of it.
pub(crate) fn emit_between(event: &Value) {
    if let Some(kernel) = kernel() {
        send(kernel.stdout, &line(&kernel.token, event));
    }
}

/// Sends `event` on stderr's own socket, behind what C and other programs wrote there. What std writes
/// to stderr goes to stdout's, see the kernel's `writes.rs`.
pub(crate) fn emit_behind_stderr(event: &Value) {
    if let Some(kernel) = kernel() {
        send(kernel.stderr, &line(&kernel.token, event));
    }
}

/// Writes out what std holds back, and what live displays do. On a thread that is waited for no
/// longer than `limit`: a cell may hold the lock of stdout while it waits itself, or in a variable.
pub(crate) fn flush(limit: Duration) {
    let (done, flushed) = channel();
    let started = std::thread::Builder::new().spawn(move || {
        kensaku::show::flush();
        // Where the kernel has gone away there is nobody left to tell.
        let _ = std::io::stdout().flush();
        let _ = done.send(());
    });
    if started.is_ok() {
        let _ = flushed.recv_timeout(limit);
    }
}

fn line(token: &str, event: &Value) -> String {
    format!("\u{1e}{token} {event}\n")
}

fn send(socket: RawFd, line: &str) {
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        // Safety: the bytes are there, as many as said.
        let written = unsafe { libc::write(socket, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(written) {
            Ok(count) => rest = &rest[count..],
            Err(_) if std::io::Error::last_os_error().kind() == ErrorKind::Interrupted => {}
            // The kernel has gone away, or the cell has closed what it does not know.
            Err(_) => return,
        }
    }
}

fn kernel() -> Option<&'static Kernel> {
    KERNEL.get().filter(|kernel| kernel.process == std::process::id())
}
