//! Separates the text for stderr from stdout's socket, see `writes.rs`.

use super::Stream;

/// The most bytes of a frame's length, the line end included.
const LENGTH: usize = 8;

/// The state between two reads.
pub(super) struct Frames {
    /// The start of a frame, followed by its length.
    start: Vec<u8>,
    /// Bytes that may be the start of a frame.
    held: Vec<u8>,
    /// The number of bytes left in a frame.
    left: usize,
}

enum Found {
    /// A frame whose line extends from `at` to `end`.
    Frame {
        at: usize,
        end: usize,
        length: usize,
    },
    /// A possible start of a frame.
    Open {
        at: usize,
    },
    Nothing,
}

impl Frames {
    pub(super) fn new(token: &str) -> Self {
        Self { start: format!("\u{1e}{token} !").into_bytes(), held: Vec::new(), left: 0 }
    }

    /// Splits `bytes` by stream, in order. Frames may begin anywhere, even within a line of stdout.
    pub(super) fn split(&mut self, bytes: &[u8], mut take: impl FnMut(Stream, &[u8])) {
        let mut joined = std::mem::take(&mut self.held);
        let mut rest = bytes;
        if !joined.is_empty() {
            joined.extend_from_slice(bytes);
            rest = &joined;
        }
        while !rest.is_empty() {
            if self.left > 0 {
                let (text, more) = rest.split_at(self.left.min(rest.len()));
                take(Stream::Stderr, text);
                self.left -= text.len();
                rest = more;
                continue;
            }
            let (at, end) = match self.find(rest) {
                Found::Frame { at, end, length } => {
                    self.left = length;
                    (at, end)
                }
                Found::Open { at } => {
                    self.held = rest[at..].to_vec();
                    (at, rest.len())
                }
                Found::Nothing => (rest.len(), rest.len()),
            };
            if at > 0 {
                take(Stream::Stdout, &rest[..at]);
            }
            rest = &rest[end..];
        }
    }

    /// Returns the rest at the end of the stream, which is text of stdout.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn find(&self, bytes: &[u8]) -> Found {
        let mut from = 0;
        while let Some(at) = bytes[from..].iter().position(|byte| *byte == self.start[0]).map(|at| from + at) {
            let tail = &bytes[at..];
            if let Some(line) = tail.strip_prefix(&self.start[..]) {
                match line.iter().take(LENGTH).position(|byte| !byte.is_ascii_digit()) {
                    Some(digits) if line[digits] == b'\n' => {
                        let length = std::str::from_utf8(&line[..digits]).ok().and_then(|length| length.parse().ok());
                        if let Some(length) = length {
                            return Found::Frame { at, end: at + self.start.len() + digits + 1, length };
                        }
                    }
                    None if line.len() < LENGTH => return Found::Open { at },
                    _ => {}
                }
            } else if self.start.starts_with(tail) {
                return Found::Open { at };
            }
            from = at + 1;
        }
        Found::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &[u8] = b"a\x1et !3\nb\nc{\x1e\x1et {}\n\x1et !x\n\x1et !2\n\x1et\x1et !1\n\nend";

    fn split(chunk: usize) -> Vec<(Stream, u8)> {
        let mut frames = Frames::new("t");
        let mut told = Vec::new();
        for bytes in SENT.chunks(chunk) {
            frames.split(bytes, |stream, bytes| told.extend(bytes.iter().map(|byte| (stream, *byte))));
        }
        assert!(frames.finish().is_empty());
        told
    }

    #[test]
    fn frames_are_separated_wherever_reads_end() {
        let parts: [(Stream, &[u8]); 6] = [
            (Stream::Stdout, b"a"),
            (Stream::Stderr, b"b\nc"),
            (Stream::Stdout, b"{\x1e\x1et {}\n\x1et !x\n"),
            (Stream::Stderr, b"\x1et"),
            (Stream::Stderr, b"\n"),
            (Stream::Stdout, b"end"),
        ];
        let expected: Vec<_> =
            parts.iter().flat_map(|(stream, bytes)| bytes.iter().map(|byte| (*stream, *byte))).collect();
        for chunk in 1..=SENT.len() {
            assert_eq!(split(chunk), expected, "in chunks of {chunk}");
        }
    }

    #[test]
    fn only_possible_frames_are_held() {
        let mut frames = Frames::new("t");
        let mut told = Vec::new();
        frames.split(b"a\x1et", |_, bytes| told.extend_from_slice(bytes));
        assert_eq!(told, b"a");
        assert_eq!(frames.finish(), b"\x1et");
    }
}
