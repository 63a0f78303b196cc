//! An allocator with a limit: what goes beyond it fails, and Rust then aborts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts the bytes of the whole process.
pub struct Limited;

static USED: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Allows `bytes` more than are in use.
pub fn allow(bytes: usize) {
    LIMIT.store(USED.load(Relaxed).saturating_add(bytes), Relaxed);
}

// SAFETY: the system's allocator does all the work.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let before = USED.fetch_add(layout.size(), Relaxed);
        if before.saturating_add(layout.size()) > LIMIT.load(Relaxed) {
            USED.fetch_sub(layout.size(), Relaxed);
            // There is room for the message about it.
            LIMIT.fetch_add(1 << 20, Relaxed);
            return std::ptr::null_mut();
        }
        // SAFETY: by the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: by the caller's word.
        unsafe { System.dealloc(pointer, layout) }
    }
}
