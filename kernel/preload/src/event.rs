//! Events to the kernel, written between the user's own output, so that both stay in order.
//!
//! An event is one line: a record separator, the session's token, a space, JSON. The token is
//! random, so that no text of a user is taken for an event.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::Duration;

use kensaku::serde_json::Value;

/// The variable in which the kernel hands the token over.
const TOKEN_VARIABLE: &str = "KENSAKU_TOKEN";

/// Whether this program runs under the kernel.
pub(crate) fn connected() -> bool {
    token().is_some()
}

/// Sends `event` in the order of stdout.
pub(crate) fn emit(event: &Value) {
    if let Some(line) = line(event) {
        let mut out = std::io::stdout().lock();
        // Where the kernel has gone away there is nobody left to tell.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

/// Sends `event` past the lock of stdout, whose holder may be waiting for what comes of it.
pub(crate) fn emit_between(event: &Value) {
    let Some(line) = line(event) else { return };
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        // Safety: the bytes are there, as many as said.
        let written = unsafe { libc::write(libc::STDOUT_FILENO, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(written) {
            Ok(count) => rest = &rest[count..],
            // The kernel has gone away.
            Err(_) => return,
        }
    }
}

/// Sends `event` on stderr's own socket, behind what C and other programs wrote there. What std writes
/// to stderr goes to stdout's, see the kernel's `writes.rs`.
pub(crate) fn emit_behind_stderr(event: &Value) {
    let Some(line) = line(event) else { return };
    // Safety: the bytes are there, as many as said.
    let sent = unsafe { libc::send(libc::STDERR_FILENO, line.as_ptr().cast(), line.len(), 0) };
    // A cell may have put a file in its place, or closed it: nothing can come there any more.
    if sent < 0 {
        emit_between(event);
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

/// The line that carries `event`; none outside the kernel.
pub(crate) fn line(event: &Value) -> Option<String> {
    Some(format!("\u{1e}{} {event}\n", token()?))
}

fn token() -> Option<&'static str> {
    static TOKEN: OnceLock<Option<String>> = OnceLock::new();
    TOKEN.get_or_init(|| std::env::var(TOKEN_VARIABLE).ok()).as_deref()
}
