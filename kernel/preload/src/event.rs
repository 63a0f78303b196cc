//! Events to the kernel, written into the user's own output so that both stay in order.
//!
//! An event is one line: a record separator, the session's token, a space, JSON. The token is
//! random, so that user output is never mistaken for an event.

use std::io::{ErrorKind, Write};
use std::os::fd::RawFd;
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::Duration;

use kensaku::serde_json::Value;

/// The connection to the kernel.
struct Kernel {
    token: String,
    /// The sockets that were stdout and stderr at the start. A cell may close or replace its streams.
    stdout: RawFd,
    stderr: RawFd,
    /// Events are only sent from this process, not from its forks.
    process: u32,
}

static KERNEL: OnceLock<Kernel> = OnceLock::new();

/// Sets the connection to the kernel, once.
pub(crate) fn connect(token: &str, stdout: RawFd, stderr: RawFd) {
    KERNEL.get_or_init(|| Kernel { token: token.to_owned(), stdout, stderr, process: std::process::id() });
}

/// Whether this process runs cells for the kernel.
pub(crate) fn connected() -> bool {
    kernel().is_some()
}

/// Sends `event` in order with stdout.
pub(crate) fn emit(event: &Value) {
    let mut out = std::io::stdout().lock();
    // Fails if the kernel is gone.
    let _ = out.flush();
    emit_between(event);
}

/// Sends `event` without the lock of stdout, whose holder may be waiting for the reply.
pub(crate) fn emit_between(event: &Value) {
    if let Some(kernel) = kernel() {
        send(kernel.stdout, &line(&kernel.token, event));
    }
}

/// Sends `event` on stderr's own socket, after the output of C and other programs. std's stderr is
/// written to stdout's socket, see the kernel's `writes.rs`.
pub(crate) fn emit_behind_stderr(event: &Value) {
    if let Some(kernel) = kernel() {
        send(kernel.stderr, &line(&kernel.token, event));
    }
}

/// Flushes std's buffers and live displays, on another thread with a timeout of `limit`: a cell may
/// hold the lock of stdout while it waits, or keep it in a variable.
pub(crate) fn flush(limit: Duration) {
    let (done, flushed) = channel();
    let started = std::thread::Builder::new().spawn(move || {
        kensaku::show::flush();
        // Fails if the kernel is gone.
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
        // Safety: `rest` is valid for its length.
        let written = unsafe { libc::write(socket, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(written) {
            Ok(count) => rest = &rest[count..],
            Err(_) if std::io::Error::last_os_error().kind() == ErrorKind::Interrupted => {}
            // The kernel is gone, or the cell has closed the file descriptor.
            Err(_) => return,
        }
    }
}

fn kernel() -> Option<&'static Kernel> {
    KERNEL.get().filter(|kernel| kernel.process == std::process::id())
}
