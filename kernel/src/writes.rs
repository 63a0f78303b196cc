//! Keeps the output of cells to stdout and stderr in order: one socket carries both.
//!
//! The binary exports `write` and `writev`, which the dynamic linker finds before libc's, so that std and cells
//! call them. In the process for cells, text for stderr is sent on stdout's socket in frames: a line
//! `\x1e<token> !<length>`, then that number of bytes. Linux queues small messages atomically, so this needs no
//! lock, and signal handlers and forked processes may write. C's streams and other programs bypass this and write
//! to the socket of their stream.

use std::ffi::{c_int, c_void};
use std::io::{Error, IoSlice, Write};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use libc::{STDERR_FILENO, STDOUT_FILENO, iovec, size_t, ssize_t};

/// The most text in a frame. Linux splits messages of 32 KB and more.
const FRAME: usize = 16 * 1024;
/// The most slices in a frame, its line included.
const PARTS: usize = 16;
/// The most slices that `writev` takes.
const SLICES: usize = 1024;
/// How often to check whether the kernel has read stderr, and how many nanoseconds apart.
const LOOKS: usize = 500;
const PAUSE: libc::c_long = 50_000;

static SOCKETS: OnceLock<Sockets> = OnceLock::new();

/// Sends stderr on stdout's socket from now on. Both must already be sockets to the kernel; `events` is another
/// descriptor of stdout's.
pub(crate) fn join(token: &str, events: c_int) {
    if let (Some(stdout), Some(stderr)) = (identity(STDOUT_FILENO), identity(STDERR_FILENO)) {
        SOCKETS.get_or_init(|| Sockets { stdout, stderr, events, start: format!("\u{1e}{token} !") });
    }
}

/// `write(2)`.
///
/// # Safety
///
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(descriptor: c_int, bytes: *const c_void, length: size_t) -> ssize_t {
    let slice = iovec { iov_base: bytes.cast_mut(), iov_len: length };
    // Safety: guaranteed by the caller.
    unsafe {
        match instead(descriptor, &raw const slice, 1) {
            Some(written) => written,
            None => libc::syscall(libc::SYS_write, descriptor, bytes, length) as ssize_t,
        }
    }
}

/// `writev(2)`.
///
/// # Safety
///
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn writev(descriptor: c_int, slices: *const iovec, count: c_int) -> ssize_t {
    // Safety: guaranteed by the caller.
    unsafe {
        match instead(descriptor, slices, usize::try_from(count).unwrap_or_default()) {
            Some(written) => written,
            None => libc::syscall(libc::SYS_writev, descriptor, slices, count) as ssize_t,
        }
    }
}

/// Writes in frames; `None` if the caller must use the system call.
unsafe fn instead(descriptor: c_int, slices: *const iovec, count: usize) -> Option<ssize_t> {
    let sockets = SOCKETS.get()?;
    if ![STDOUT_FILENO, STDERR_FILENO, sockets.events].contains(&descriptor) {
        return None;
    }
    let errno = Errno::now();
    // Streams that a cell has replaced are left alone.
    let ours = identity(STDERR_FILENO) == Some(sockets.stderr);
    if ours {
        let_stderr_pass();
    }
    let framed = ours && descriptor == STDERR_FILENO && identity(STDOUT_FILENO) == Some(sockets.stdout);
    errno.restore();
    if !framed || !(1..=SLICES).contains(&count) {
        return None;
    }
    // Safety: the caller of `writev` guarantees the slices and their bytes.
    Some(sockets.write(unsafe { std::slice::from_raw_parts(slices, count) }))
}

struct Sockets {
    stdout: Identity,
    stderr: Identity,
    /// Where the preload writes its messages to the kernel.
    events: c_int,
    /// The start of every frame.
    start: String,
}

impl Sockets {
    /// The number of bytes written; negative, with errno set, if none could be.
    fn write(&self, slices: &[iovec]) -> ssize_t {
        let mut written = 0;
        loop {
            let mut parts = [IoSlice::new(&[]); PARTS];
            let (count, length) = fill(&mut parts[2..], slices, written);
            if length == 0 {
                return written.cast_signed();
            }
            let mut digits = [0; 8];
            let mut room = &mut digits[..];
            // The length of a frame fits.
            let _ = writeln!(room, "{length}");
            let used = 8 - room.len();
            parts[0] = IoSlice::new(self.start.as_bytes());
            parts[1] = IoSlice::new(&digits[..used]);
            match send(&mut parts[..count + 2]) {
                true => written += length,
                false if written > 0 => return written.cast_signed(),
                false => return -1,
            }
        }
    }
}

/// Fills `parts` with the bytes after the first `skip`, as many as fit into a frame. Returns the number of parts
/// and of bytes.
fn fill<'bytes>(parts: &mut [IoSlice<'bytes>], slices: &'bytes [iovec], mut skip: usize) -> (usize, usize) {
    let (mut count, mut length) = (0, 0);
    for slice in slices {
        if skip >= slice.iov_len {
            skip -= slice.iov_len;
            continue;
        }
        if count == parts.len() || length == FRAME {
            break;
        }
        let taken = (slice.iov_len - skip).min(FRAME - length);
        // Safety: the caller of `writev` guarantees these bytes.
        parts[count] =
            IoSlice::new(unsafe { std::slice::from_raw_parts(slice.iov_base.cast::<u8>().add(skip), taken) });
        (count, length, skip) = (count + 1, length + taken, 0);
    }
    (count, length)
}

/// Sends a frame; on `false`, errno has the reason.
fn send(mut parts: &mut [IoSlice<'_>]) -> bool {
    let mut begun = false;
    while !parts.is_empty() {
        // Safety: all zeros are an empty message; `IoSlice` is an `iovec`.
        let sent = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = parts.as_mut_ptr().cast();
            message.msg_iovlen = parts.len() as _;
            libc::sendmsg(STDOUT_FILENO, &raw const message, 0)
        };
        match usize::try_from(sent) {
            Ok(count) => IoSlice::advance_slices(&mut parts, count),
            // Emulations of Linux may split a frame; the kernel relies on its end.
            Err(_) if begun && is_passing() => {}
            Err(_) => return false,
        }
        begun = true;
    }
    true
}

fn is_passing() -> bool {
    matches!(Errno::now().0, libc::EINTR | libc::EAGAIN)
}

/// Waits until the kernel has read what C and other programs have written to stderr so far. The wait is short, as
/// they may write all the time.
fn let_stderr_pass() {
    for _ in 0..LOOKS {
        let mut waiting: c_int = 0;
        // Safety: the call writes one integer.
        let told = unsafe { libc::ioctl(STDERR_FILENO, libc::TIOCOUTQ, &raw mut waiting) };
        if told != 0 || waiting == 0 {
            return;
        }
        let pause = libc::timespec { tv_sec: 0, tv_nsec: PAUSE };
        // Safety: the time is valid.
        unsafe { libc::nanosleep(&raw const pause, std::ptr::null_mut()) };
    }
}

/// What identifies an open socket.
type Identity = (libc::dev_t, libc::ino_t);

fn identity(descriptor: c_int) -> Option<Identity> {
    let mut facts = MaybeUninit::<libc::stat>::uninit();
    // Safety: the facts are only used if the call has filled them in.
    unsafe {
        (libc::fstat(descriptor, facts.as_mut_ptr()) == 0).then(|| {
            let facts = facts.assume_init();
            (facts.st_dev, facts.st_ino)
        })
    }
}

/// A successful write must not change errno, so our additional calls restore it.
struct Errno(c_int);

impl Errno {
    fn now() -> Self {
        Self(Error::last_os_error().raw_os_error().unwrap_or_default())
    }

    fn restore(self) {
        // Safety: errno is local to the thread.
        unsafe { *libc::__errno_location() = self.0 };
    }
}
