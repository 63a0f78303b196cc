//! A cell's stdin is what the user types.
//!
//! Between cells stdin is empty. While a cell runs it is a socket. A program does not announce that it
//! waits for input, so a thread polls: the system shows the system call that each thread is in, also
//! for C code.

use std::io::Write;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kensaku::interrupt;

use crate::answers::{Answer, Turn};

/// How often the thread that runs the cell is polled.
const POLL: Duration = Duration::from_millis(20);
/// Every 25th poll checks all threads: there may be hundreds, and they seldom read.
const ALL: u32 = 25;

/// The stdin of a running cell.
struct Cell {
    /// The stdin between cells.
    before: OwnedFd,
    /// The other end of the cell's stdin; `None` once it is cut.
    typed: Option<UnixStream>,
    round: u64,
    /// The thread that runs the cell.
    thread: libc::pid_t,
    polls: u32,
}

static CELL: Mutex<Option<Cell>> = Mutex::new(None);
static BEGUN: Condvar = Condvar::new();

/// Replaces stdin. To be called at the start of a cell, on its thread.
pub fn cell_begins() {
    static ROUND: Mutex<u64> = Mutex::new(0);
    let mut cell = lock();
    if cell.is_some() {
        return;
    }
    let mut round = ROUND.lock().unwrap_or_else(PoisonError::into_inner);
    *round += 1;
    // Out of file descriptors, the cell runs without input.
    if let Ok(new) = Cell::new(*round) {
        *cell = Some(new);
        watch();
        BEGUN.notify_all();
    }
}

/// Restores stdin. To be called at the end of a cell.
pub fn cell_ends() {
    if let Some(cell) = lock().take() {
        // Safety: both file descriptors are open. A thread that still reads sees the end of its input.
        unsafe { libc::dup2(cell.before.as_raw_fd(), libc::STDIN_FILENO) };
    }
}

impl Cell {
    fn new(round: u64) -> std::io::Result<Self> {
        let (mut ours, typed) = UnixStream::pair()?;
        // Never read: closing a socket with unread data makes its peer's read fail, see `cut`.
        ours.write_all(b"!")?;
        let before = duplicate(libc::STDIN_FILENO)?;
        // Safety: both descriptors are open.
        if unsafe { libc::dup2(ours.as_raw_fd(), libc::STDIN_FILENO) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Self { before, typed: Some(typed), round, thread: thread(), polls: 0 })
    }

    /// The reader sees the end of the input, now and on later reads.
    fn end_input(&self) {
        if let Some(typed) = &self.typed {
            // Fails if the cell has closed its stdin.
            let _ = typed.shutdown(Shutdown::Write);
        }
    }

    /// Makes the reader's call fail, so that an interrupted cell does not continue with an empty line.
    fn cut(&mut self) {
        self.typed = None;
    }
}

/// Starts the polling thread, once.
fn watch() {
    static STARTED: std::sync::Once = std::sync::Once::new();
    STARTED.call_once(|| {
        // Without the thread, cells wait for input until interrupted.
        let _ = std::thread::Builder::new().name("kensaku-stdin".to_owned()).spawn(|| {
            let mut waited = None;
            loop {
                waited = poll(waited);
                std::thread::sleep(POLL);
            }
        });
    });
}

/// Asks for a line if the cell was waiting in two polls in a row; returns the cell that is waiting now.
fn poll(waited: Option<u64>) -> Option<u64> {
    let mut cell = lock();
    while cell.is_none() {
        cell = BEGUN.wait(cell).unwrap_or_else(PoisonError::into_inner);
    }
    let running = cell.as_mut()?;
    if interrupt::requested() {
        running.cut();
    }
    let round = running.round;
    running.polls += 1;
    // If a poll of all threads found one waiting, the next poll confirms it.
    let everywhere = running.polls.is_multiple_of(ALL) || waited == Some(round);
    let thread = running.thread;
    let typed = running.typed.as_ref()?.try_clone().ok()?;
    // Polling takes time, and a process that the cell forks meanwhile would hold the lock for ever.
    drop(cell);
    if unread() > 0 || !(is_reading(&thread.to_string()) || everywhere && is_waiting()) {
        return None;
    }
    if waited != Some(round) {
        return Some(round);
    }
    let turn = Turn::try_take()?;
    let goes_on = || lock().as_ref().is_some_and(|cell| cell.round == round);
    match turn.ask("", false, goes_on) {
        Answer::Text(line) => type_line(typed, &line),
        Answer::Refused => {
            eprintln!("[kensaku: this cell cannot ask for input; its stdin is empty]");
            if let Some(cell) = lock().as_ref().filter(|cell| cell.round == round) {
                cell.end_input();
            }
        }
        // The next poll cuts it.
        Answer::Cut => {}
    }
    None
}

/// Called without the lock: a long line waits for its reader.
fn type_line(mut typed: UnixStream, line: &str) {
    // The cell may have ended meanwhile.
    let _ = typed.write_all(format!("{line}\n").as_bytes());
}

/// The number of unread bytes in stdin.
fn unread() -> libc::c_int {
    let mut count: libc::c_int = 0;
    // Safety: the call writes one integer.
    unsafe { libc::ioctl(libc::STDIN_FILENO, libc::FIONREAD, &mut count) };
    count
}

/// Whether any thread of this process is reading stdin.
fn is_waiting() -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks.filter_map(|task| task.file_name().into_string().ok()).any(|thread| is_reading(&thread))
}

/// Whether `thread` is reading stdin.
fn is_reading(thread: &str) -> bool {
    let call = std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall"));
    call.is_ok_and(|call| is_read_of_stdin(&call))
}

/// The id of this thread.
#[cfg(target_os = "linux")]
fn thread() -> libc::pid_t {
    // Safety: the call has no preconditions.
    unsafe { libc::gettid() }
}

#[cfg(not(target_os = "linux"))]
fn thread() -> libc::pid_t {
    0
}

/// `0 0x0 ..`: the number of the system call and its first argument.
fn is_read_of_stdin(call: &str) -> bool {
    let mut words = call.split_whitespace();
    let number = words.next().and_then(|number| number.parse().ok());
    let reads = [libc::SYS_read, libc::SYS_readv];
    number.is_some_and(|number: libc::c_long| reads.contains(&number)) && words.next() == Some("0x0")
}

fn duplicate(descriptor: RawFd) -> std::io::Result<OwnedFd> {
    // Safety: the call takes plain integers.
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // Safety: the new file descriptor has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

fn lock() -> MutexGuard<'static, Option<Cell>> {
    CELL.lock().unwrap_or_else(PoisonError::into_inner)
}
