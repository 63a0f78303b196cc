//! Functions that the process that runs cells calls.

use std::os::fd::RawFd;
use std::time::Duration;

use kensaku::serde_json::json;

use crate::table::{Table, VERSION};
use crate::{answers, event, logs, panics, sink};

/// How long the end of a cell waits for its output to be flushed.
const FLUSH: Duration = Duration::from_secs(1);

#[unsafe(no_mangle)]
static KENSAKU_HOST: Table = Table { version: VERSION, init, interrupt, flush, answer };

extern "C" fn init(token: *const u8, length: usize, stdout: RawFd, stderr: RawFd) {
    // Safety: the caller's bytes stay until this returns.
    let token = unsafe { std::slice::from_raw_parts(token, length) };
    event::connect(&String::from_utf8_lossy(token), stdout, stderr);
    sink::install();
    panics::install();
    logs::install();
}

extern "C" fn interrupt(requested: bool) {
    kensaku::interrupt::set(requested);
}

/// See [`answers::take`].
extern "C" fn answer(line: *const u8, length: usize) {
    // Safety: the caller's bytes stay until this returns.
    let bytes = unsafe { std::slice::from_raw_parts(line, length) };
    if let Ok(line) = std::str::from_utf8(bytes) {
        answers::take(line);
    }
}

/// Flushes std's and C's buffers, then tells the kernel on both streams that the cell's output is
/// complete.
extern "C" fn flush(round: u64) {
    // A live chart held in a variable draws its last points.
    event::flush(FLUSH);
    // Safety: null flushes all C streams.
    unsafe { libc::fflush(std::ptr::null_mut()) };
    event::emit_between(&json!({ "flushed": round, "stderr": false }));
    event::emit_behind_stderr(&json!({ "flushed": round, "stderr": true }));
}
