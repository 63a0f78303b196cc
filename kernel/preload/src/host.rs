//! What the process that runs the cells calls by name. It has its own copy of std, so only plain
//! values cross.

use std::time::Duration;

use kensaku::interrupt;
use kensaku::serde_json::json;

use crate::{answers, event, logs, panics, sink};

/// How long the end of a cell waits for what is still to be written.
const FLUSH: Duration = Duration::from_secs(1);

/// Called once, before the first cell.
#[unsafe(no_mangle)]
extern "C" fn kensaku_init() {
    sink::install();
    panics::install();
    logs::install();
}

/// Asks the running cell to stop, or takes that back.
#[unsafe(no_mangle)]
extern "C" fn kensaku_interrupt(requested: bool) {
    interrupt::set(requested);
}

/// Hands over what the user typed: a line of `length` bytes at `line`, see [`answers::take`].
#[unsafe(no_mangle)]
extern "C" fn kensaku_answer(line: *const u8, length: usize) {
    // Safety: the caller's bytes stay until this returns.
    let bytes = unsafe { std::slice::from_raw_parts(line, length) };
    if let Ok(line) = std::str::from_utf8(bytes) {
        answers::take(line);
    }
}

/// Writes out what std and C still hold back, then tells the kernel on both streams that nothing
/// of this cell follows.
#[unsafe(no_mangle)]
extern "C" fn kensaku_flush(round: u64) {
    // A live chart that a variable keeps shows its last points.
    event::flush(FLUSH);
    // Safety: flushing every C stream takes no argument that could be wrong.
    unsafe { libc::fflush(std::ptr::null_mut()) };
    event::emit_between(&json!({ "flushed": round, "stderr": false }));
    event::emit_behind_stderr(&json!({ "flushed": round, "stderr": true }));
}
