//! Large pages for large buffers.

/// A page of 2 MiB is worth its while from here on.
const LARGE: usize = 1 << 21;

/// Zeros, in memory that nothing has touched yet.
pub(crate) fn zeros<N: Copy + Default>(length: usize) -> Vec<N> {
    let buffer = vec![N::default(); length];
    prefer_large(&buffer);
    buffer
}

/// Asks for large pages for memory that has not been touched: the system clears and finds 512 small ones at once.
/// It may refuse; the memory is as good without.
pub(crate) fn prefer_large<N>(memory: &[N]) {
    #[cfg(target_os = "linux")]
    {
        let range = memory.as_ptr_range();
        let (start, end) = (range.start.addr().next_multiple_of(LARGE), range.end.addr() / LARGE * LARGE);
        if start < end {
            let start = range.start.with_addr(start) as *mut libc::c_void;
            // SAFETY: whole pages inside of the slice; the advice does not change what they hold.
            unsafe { libc::madvise(start, end - start.addr(), libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (memory, LARGE);
}
