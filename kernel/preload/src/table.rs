//! The interface between the library for cells and the process that loads it. Both compile this file; each has its own
//! copy of std, so only plain values cross.

/// Changes whenever this file changes.
pub const VERSION: u64 = hash(include_bytes!("table.rs"));

/// The functions of the library that the process calls.
#[repr(C)]
pub struct Table {
    /// [`VERSION`]. It stays the first field: it is compared before any other is used.
    pub version: u64,
    /// Called once, before the first cell, on the thread that runs cells, with the bytes of the token, their number, and
    /// the sockets to the kernel for both streams.
    pub init: extern "C" fn(*const u8, usize, i32, i32),
    /// Asks the running cell to stop, or cancels the request.
    pub interrupt: extern "C" fn(bool),
    /// Flushes buffered output; the argument is the number of the round.
    pub flush: extern "C" fn(u64),
    /// Passes a line that the user typed: its bytes and their number.
    pub answer: extern "C" fn(*const u8, usize),
}

/// FNV-1a.
const fn hash(bytes: &[u8]) -> u64 {
    let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}
