//! Reads both streams of the process for cells in the order of writing.

use std::io::{BufReader, ErrorKind};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use super::Stream;
use super::filter::{Filter, Piece};
use super::frames::Frames;

/// More than a socket holds, so that one read gets everything.
const BUFFER: usize = 1 << 18;

/// Reads both streams to their end. Stdout's socket carries most of both, see [`Frames`]. Only output of C and other
/// programs to stderr has its own socket. It is read after the current content of stdout's, and the process for cells
/// waits for that before it writes more, see `writes.rs`.
pub(super) fn read(
    stdout: BufReader<UnixStream>,
    stderr: BufReader<UnixStream>,
    token: &str,
    take: impl FnMut(Stream, Vec<Piece>),
) {
    let mut output = Output::new(token, take);
    output.push_stdout(stdout.buffer());
    output.push(Source::Stderr, stderr.buffer());
    let mut sockets = Sockets { stdout: Some(stdout.into_inner()), stderr: Some(stderr.into_inner()) };
    let mut buffer = vec![0; BUFFER];
    while let Some(stderr_is_ready) = sockets.wait() {
        // Counted before reading stdout: later bytes may belong after output that is still unread.
        let count = sockets.stderr.as_ref().map_or(0, unread).min(BUFFER);
        if let Some(stdout) = &mut sockets.stdout {
            match receive(stdout, &mut buffer) {
                Some(0) => {}
                Some(count) => output.push_stdout(&buffer[..count]),
                None => sockets.stdout = None,
            }
        }
        if let Some(stderr) = &mut sockets.stderr
            && stderr_is_ready
        {
            match receive(stderr, &mut buffer[..count.max(1)]) {
                Some(0) => {}
                Some(count) => output.push(Source::Stderr, &buffer[..count]),
                None => sockets.stderr = None,
            }
        }
    }
    output.finish();
}

struct Sockets {
    stdout: Option<UnixStream>,
    stderr: Option<UnixStream>,
}

impl Sockets {
    /// Waits for input, and returns whether stderr is ready. `None` if both have ended.
    fn wait(&self) -> Option<bool> {
        if self.stdout.is_none() && self.stderr.is_none() {
            return None;
        }
        // Negative descriptors are ignored.
        let descriptor = |socket: &Option<UnixStream>| socket.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let wish = |fd: RawFd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut wishes = [wish(descriptor(&self.stdout)), wish(descriptor(&self.stderr))];
        // Safety: the array has two elements. If the call is interrupted, the loop repeats it.
        unsafe { libc::poll(wishes.as_mut_ptr(), 2, -1) };
        Some(wishes[1].revents != 0)
    }
}

/// Reads without waiting, and returns the number of bytes; `None` at the end.
fn receive(socket: &UnixStream, buffer: &mut [u8]) -> Option<usize> {
    // Safety: the length is that of the buffer.
    let count = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT) };
    match usize::try_from(count) {
        Ok(0) => None,
        Ok(count) => Some(count),
        Err(_) => {
            let problem = std::io::Error::last_os_error().kind();
            matches!(problem, ErrorKind::WouldBlock | ErrorKind::Interrupted).then_some(0)
        }
    }
}

/// The number of bytes that can be read.
fn unread(socket: &UnixStream) -> usize {
    let mut count: libc::c_int = 0;
    // Safety: the call writes one integer.
    unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    usize::try_from(count).unwrap_or_default()
}

/// The source of bytes. Lines and characters do not cross sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Stdout,
    /// The frames for stderr on stdout's socket.
    Framed,
    Stderr,
}

struct Output<T> {
    frames: Frames,
    filters: [Filter; 3],
    last: Source,
    take: T,
}

impl<T: FnMut(Stream, Vec<Piece>)> Output<T> {
    fn new(token: &str, take: T) -> Self {
        let filters = std::array::from_fn(|_| Filter::new(token));
        Self { frames: Frames::new(token), filters, last: Source::Stdout, take }
    }

    fn push_stdout(&mut self, bytes: &[u8]) {
        // There may be thousands of consecutive frames, which form one text.
        let mut runs: Vec<(Source, Vec<u8>)> = Vec::new();
        self.frames.split(bytes, |stream, bytes| {
            let source = match stream {
                Stream::Stdout => Source::Stdout,
                Stream::Stderr => Source::Framed,
            };
            match runs.last_mut() {
                Some((last, run)) if *last == source => run.extend_from_slice(bytes),
                _ => runs.push((source, bytes.to_vec())),
            }
        });
        runs.iter().for_each(|(source, run)| self.push(*source, run));
    }

    fn push(&mut self, source: Source, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if source != self.last {
            let settled = self.filters[self.last as usize].settle();
            (self.take)(self.last.stream(), settled);
            self.last = source;
        }
        let pieces = self.filters[source as usize].push(bytes);
        (self.take)(source.stream(), pieces);
    }

    fn finish(mut self) {
        let held = self.frames.finish();
        self.push(Source::Stdout, &held);
        for source in [Source::Stdout, Source::Framed, Source::Stderr] {
            let pieces = self.filters[source as usize].finish();
            (self.take)(source.stream(), pieces);
        }
    }
}

impl Source {
    fn stream(self) -> Stream {
        match self {
            Self::Stdout => Stream::Stdout,
            Self::Framed | Self::Stderr => Stream::Stderr,
        }
    }
}
