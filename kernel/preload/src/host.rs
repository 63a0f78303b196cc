//! What the process that runs the cells calls by name. It has its own copy of std, so only plain
//! values cross.

use std::io::Write;

use kensaku::interrupt;
use kensaku::serde_json::json;

use crate::{event, logs, panics, sink};

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

/// Writes out what std and C still hold back, then tells the kernel on both streams that nothing
/// of this cell follows.
#[unsafe(no_mangle)]
extern "C" fn kensaku_flush(round: u64) {
    // A live chart that a variable keeps shows its last points.
    kensaku::show::flush();
    // Safety: flushing every C stream takes no argument that could be wrong.
    unsafe { libc::fflush(std::ptr::null_mut()) };
    let done = json!({ "flushed": round });
    event::emit(&done);
    if let Some(line) = event::line(&done) {
        // stderr may be closed; the kernel then sees the end of the stream instead.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}
