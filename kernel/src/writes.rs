//! What a cell writes to stdout and to stderr stays in order: one socket carries both.
//!
//! The binary exports `write` and `writev`, and the dynamic linker finds them before libc's, so that
//! std and the cells come here. In the process for cells the text for stderr travels on stdout's
//! socket in frames: a line `\x1e<token> !<length>`, then so many bytes. Linux queues a small message
//! whole or not at all. So there is no lock, and signal handlers and forked processes may write.
//! C's own streams and other programs do not come here: they write to the socket of their stream.

use std::ffi::{c_int, c_void};
use std::io::{Error, IoSlice, Write};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use libc::{STDERR_FILENO, STDOUT_FILENO, iovec, size_t, ssize_t};

/// The text of one frame. Linux splits messages of 32 KB and more.
const FRAME: usize = 16 * 1024;
/// A frame's line and the pieces of its text.
const PARTS: usize = 16;
/// The most slices that `writev` takes.
const SLICES: usize = 1024;
/// How often and after how many nanoseconds it is looked whether the kernel has read stderr.
const LOOKS: usize = 500;
const PAUSE: libc::c_long = 50_000;

static SOCKETS: OnceLock<Sockets> = OnceLock::new();

/// From now on stderr travels with stdout. Both must be sockets to the kernel already; `events` is another
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
    // Safety: as the caller has promised.
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
    // Safety: as the caller has promised.
    unsafe {
        match instead(descriptor, slices, usize::try_from(count).unwrap_or_default()) {
            Some(written) => written,
            None => libc::syscall(libc::SYS_writev, descriptor, slices, count) as ssize_t,
        }
    }
}

/// Writes in frames where that is to be done; nothing where the system call is to be made.
unsafe fn instead(descriptor: c_int, slices: *const iovec, count: usize) -> Option<ssize_t> {
    let sockets = SOCKETS.get()?;
    if ![STDOUT_FILENO, STDERR_FILENO, sockets.events].contains(&descriptor) {
        return None;
    }
    let errno = Errno::now();
    // A cell may have put something else in the place of a stream: that is not our business.
    let ours = identity(STDERR_FILENO) == Some(sockets.stderr);
    if ours {
        let_stderr_pass();
    }
    let framed = ours && descriptor == STDERR_FILENO && identity(STDOUT_FILENO) == Some(sockets.stdout);
    errno.restore();
    if !framed || !(1..=SLICES).contains(&count) {
        return None;
    }
    // Safety: there are so many, and each has its bytes, as the caller of `writev` has promised.
    Some(sockets.write(unsafe { std::slice::from_raw_parts(slices, count) }))
}

struct Sockets {
    stdout: Identity,
    stderr: Identity,
    /// Where the preload writes what it tells the kernel.
    events: c_int,
    /// What every frame begins with.
    start: String,
}

impl Sockets {
    /// How many bytes were written; negative, with errno, where none could be.
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
            // There is room for the length of a frame.
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

/// Puts what follows the first `skip` bytes into `parts`, as much as a frame holds. Gives the number
/// of parts and of bytes.
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
        // Safety: the slice has these bytes, as the caller of `writev` has promised.
        parts[count] =
            IoSlice::new(unsafe { std::slice::from_raw_parts(slice.iov_base.cast::<u8>().add(skip), taken) });
        (count, length, skip) = (count + 1, length + taken, 0);
    }
    (count, length)
}

/// Whether a frame was sent; if not, errno says why.
fn send(mut parts: &mut [IoSlice<'_>]) -> bool {
    let mut begun = false;
    while !parts.is_empty() {
        // Safety: all zeros are a message without anything; `IoSlice` is an `iovec`.
        let sent = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = parts.as_mut_ptr().cast();
            message.msg_iovlen = parts.len() as _;
            libc::sendmsg(STDOUT_FILENO, &raw const message, 0)
        };
        match usize::try_from(sent) {
            Ok(count) => IoSlice::advance_slices(&mut parts, count),
            // Systems that only resemble Linux may cut a frame; the kernel counts on its end.
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

/// Waits until the kernel has read what C and other programs have written to stderr before. Not for
/// long: they may write all the time.
fn let_stderr_pass() {
    for _ in 0..LOOKS {
        let mut waiting: c_int = 0;
        // Safety: the call writes one integer.
        let told = unsafe { libc::ioctl(STDERR_FILENO, libc::TIOCOUTQ, &raw mut waiting) };
        if told != 0 || waiting == 0 {
            return;
        }
        let pause = libc::timespec { tv_sec: 0, tv_nsec: PAUSE };
        // Safety: the time is a valid one.
        unsafe { libc::nanosleep(&raw const pause, std::ptr::null_mut()) };
    }
}

/// What tells one open socket from another.
type Identity = (libc::dev_t, libc::ino_t);

fn identity(descriptor: c_int) -> Option<Identity> {
    let mut facts = MaybeUninit::<libc::stat>::uninit();
    // Safety: the call fills the facts in, or says that it did not.
    unsafe {
        (libc::fstat(descriptor, facts.as_mut_ptr()) == 0).then(|| {
            let facts = facts.assume_init();
            (facts.st_dev, facts.st_ino)
        })
    }
}

/// Calls that succeed leave errno alone, and so must what is called besides.
struct Errno(c_int);

impl Errno {
    fn now() -> Self {
        Self(Error::last_os_error().raw_os_error().unwrap_or_default())
    }

    fn restore(self) {
        // Safety: the place is this thread's own.
        unsafe { *libc::__errno_location() = self.0 };
    }
}
