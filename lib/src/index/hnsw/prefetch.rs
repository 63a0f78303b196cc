//! Memory that is asked for before it is needed.

/// Bytes that the processor fetches together.
const LINE: usize = 64;

/// Asks for numbers that will soon be read.
#[inline(always)]
pub(super) fn prefetch<T>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks(LINE / size_of::<T>()) {
        // SAFETY: every x86-64 processor has the instruction, and it changes nothing, wherever the address points.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}
