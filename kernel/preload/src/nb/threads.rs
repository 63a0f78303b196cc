//! Which threads work for the running cell: an interrupt ends their loops, not those of threads left over from an
//! earlier cell.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    static RUNS_CELLS: Cell<bool> = const { Cell::new(false) };
}

/// When the cell began, in clock ticks since boot.
static BEGAN: AtomicU64 = AtomicU64::new(0);

/// To be called on the thread that runs the cell.
pub(super) fn cell_begins() {
    RUNS_CELLS.set(true);
    BEGAN.store(now(), Ordering::Relaxed);
    STOPPED.store(0, Ordering::Relaxed);
}

/// Whether an interrupt may end this thread's loops: it runs cells, is one of rayon's, or started during the cell.
pub(super) fn may_end() -> bool {
    if RUNS_CELLS.get() {
        return true;
    }
    if kensaku::rayon::current_thread_index().is_some() {
        // Parts that end at once are stolen, and stolen parts are split again: a loop over billions of items would be
        // split into as many parts. Running to its end is faster.
        let now = now();
        let first =
            STOPPED.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).map_or_else(|first| first, |_| now);
        return now.saturating_sub(first) < ENOUGH;
    }
    started().is_some_and(|started| started >= BEGAN.load(Ordering::Relaxed))
}

/// For how many ticks an interrupt ends the parts of a parallel loop (ten seconds), and since when.
const ENOUGH: u64 = 1000;
static STOPPED: AtomicU64 = AtomicU64::new(0);

/// When this thread started, in ticks.
fn started() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
    // The name in parentheses may contain anything; field 22 is the 20th after it.
    status.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // Safety: the calls write one time and read one number.
    let ticks = unsafe {
        libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time);
        libc::sysconf(libc::_SC_CLK_TCK)
    };
    let ticks = u64::try_from(ticks).unwrap_or(100);
    let whole = |part: i64| u64::try_from(part).unwrap_or_default();
    whole(time.tv_sec) * ticks + whole(time.tv_nsec) * ticks / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_starts_after_what_was_before_it() {
        let before = now();
        let (started, after) = std::thread::spawn(|| (started(), now())).join().expect("the thread ends");
        let started = started.expect("a start time");
        assert!(before <= started && started <= after, "{before} {started} {after}");
    }
}
