//! Splits the output of a cell into the user's text, events of the preload and evcxr's marker lines. It only knows the
//! markers that the program of a cell can print.

use serde_json::{Map, Value, json};

/// Printed if a panic reached evcxr; the preload catches those of the statements.
const PANICKED: &str = "EVCXR_PANIC_NOTIFICATION";
/// A display in stock evcxr's format, as printed by crates.
const BEGIN_CONTENT: &str = "EVCXR_BEGIN_CONTENT ";
const END_CONTENT: &str = "EVCXR_END_CONTENT";

const MARKERS: [&str; 3] = [PANICKED, BEGIN_CONTENT, END_CONTENT];

/// One part of the output.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// A line of the preload.
    Event(Value),
    Panicked,
}

/// The state between two reads.
pub(super) struct Filter {
    /// The start of a line of the preload.
    event: String,
    pending: Vec<u8>,
    /// An unfinished display for stock evcxr.
    content: Option<(String, String)>,
    bundle: Map<String, Value>,
}

impl Filter {
    pub(super) fn new(token: &str) -> Self {
        let event = format!("\u{1e}{token} ");
        Self { event, pending: Vec::new(), content: None, bundle: Map::new() }
    }

    /// Returns the pieces that `bytes` complete. Text is returned as soon as it cannot be the start of anything else.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        // A line end can only be among the new bytes.
        let searched = self.pending.len();
        self.pending.extend_from_slice(bytes);
        let mut pieces = Pieces::default();
        if let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') {
            let rest = self.pending.split_off(searched + last + 1);
            let lines = std::mem::replace(&mut self.pending, rest);
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                self.take_line(&String::from_utf8_lossy(&line[..line.len() - 1]), &mut pieces);
            }
        }
        if self.content.is_none() {
            self.take_ready(&MARKERS, &mut pieces);
        }
        pieces.0
    }

    /// Returns text that was held as a possible start of a marker. To be called before other output: markers come in
    /// one piece, and only events are long enough to be interrupted.
    pub(super) fn settle(&mut self) -> Vec<Piece> {
        let mut pieces = Pieces::default();
        if self.content.is_none() {
            self.take_ready(&[], &mut pieces);
        }
        pieces.0
    }

    /// Returns the rest at the end of the stream.
    pub(super) fn finish(&mut self) -> Vec<Piece> {
        let mut pieces = Pieces::default();
        let rest = std::mem::take(&mut self.pending);
        self.take_text(&String::from_utf8_lossy(&rest), &mut pieces);
        self.end_bundle(&mut pieces);
        pieces.0
    }

    fn take_line(&mut self, line: &str, pieces: &mut Pieces) {
        if let Some(at) = line.find(&self.event) {
            self.take_text(&line[..at], pieces);
            self.end_bundle(pieces);
            // A line that another thread has written into is lost, including its text.
            if let Ok(event) = serde_json::from_str(&line[at + self.event.len()..]) {
                pieces.0.push(Piece::Event(event));
            }
            return;
        }
        let at = marker(line);
        if let Some((mime, mut content)) = self.content.take() {
            match at {
                Some(at) if &line[at..] == END_CONTENT => self.end_content(mime, content, pieces),
                // Any other marker means that the display was cut off.
                Some(at) => self.take_marker(&line[at..], pieces),
                None => {
                    content.push_str(line);
                    content.push('\n');
                    self.content = Some((mime, content));
                }
            }
            return;
        }
        match at {
            Some(at) => {
                self.take_text(&line[..at], pieces);
                self.take_marker(&line[at..], pieces);
            }
            None => {
                self.take_text(line, pieces);
                self.take_text("\n", pieces);
            }
        }
    }

    fn take_marker(&mut self, marker: &str, pieces: &mut Pieces) {
        if let Some(mime) = marker.strip_prefix(BEGIN_CONTENT) {
            self.content = Some((mime.to_owned(), String::new()));
        } else if marker != END_CONTENT {
            self.end_bundle(pieces);
            pieces.0.push(Piece::Panicked);
        }
    }

    /// Consecutive contents are one display in several types.
    fn end_content(&mut self, mime: String, content: String, pieces: &mut Pieces) {
        if self.bundle.contains_key(&mime) {
            self.end_bundle(pieces);
        }
        self.bundle.insert(mime, Value::String(content.trim_end_matches('\n').to_owned()));
    }

    fn end_bundle(&mut self, pieces: &mut Pieces) {
        let data = std::mem::take(&mut self.bundle);
        if !data.is_empty() {
            pieces.0.push(Piece::Event(json!({ "display": { "data": data, "metadata": {} } })));
        }
    }

    fn take_text(&mut self, text: &str, pieces: &mut Pieces) {
        if !text.is_empty() {
            self.end_bundle(pieces);
            pieces.text(text);
        }
    }

    /// Takes the pending bytes that are neither an event nor one of `markers`, as far as can be told:
    /// no line end follows them yet.
    fn take_ready(&mut self, markers: &[&str], pieces: &mut Pieces) {
        let ready = self.ready(markers);
        let text: Vec<u8> = self.pending.drain(..ready).collect();
        self.take_text(&String::from_utf8_lossy(&text), pieces);
    }

    fn ready(&self, markers: &[&str]) -> usize {
        let starts: Vec<&[u8]> =
            markers.iter().map(|marker| marker.as_bytes()).chain([self.event.as_bytes()]).collect();
        held_from(&self.pending, &starts).unwrap_or_else(|| whole_characters(&self.pending))
    }
}

#[derive(Default)]
struct Pieces(Vec<Piece>);

impl Pieces {
    fn text(&mut self, more: &str) {
        match self.0.last_mut() {
            Some(Piece::Text(text)) => text.push_str(more),
            _ => self.0.push(Piece::Text(more.to_owned())),
        }
    }
}

/// Where evcxr's marker begins in a line that ends in one: text without a line end precedes it.
fn marker(line: &str) -> Option<usize> {
    let at = line.rfind("EVCXR_")?;
    let candidate = &line[at..];
    let known = [PANICKED, END_CONTENT].contains(&candidate) || candidate.starts_with(BEGIN_CONTENT);
    known.then_some(at)
}

/// The number of bytes up to the last complete character.
pub(super) fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

/// The byte from which `pending` may be one of `starts`.
///
/// The held text begins there, so the next call, with more text, matches at its first byte: every byte of a long line
/// is only examined once.
fn held_from(pending: &[u8], starts: &[&[u8]]) -> Option<usize> {
    let begins = |tail: &[u8], start: &[u8]| tail.starts_with(start) || start.starts_with(tail);
    let mut from = 0;
    // All markers of evcxr begin with the same letter, events with a separator.
    while let Some(at) = pending[from..].iter().position(|byte| matches!(byte, b'E' | 0x1e)).map(|at| from + at) {
        if starts.iter().any(|start| begins(&pending[at..], start)) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    #[test]
    fn partial_lines_are_shown_immediately() {
        let mut filter = Filter::new("t");
        assert_eq!(filter.push(b"10%\r20%"), [text("10%\r20%")]);
        assert_eq!(filter.push(b"E"), []);
        assert_eq!(filter.push(b"nd"), [text("End")]);
    }

    #[test]
    fn only_events_are_held_before_other_output() {
        let mut filter = Filter::new("t");
        assert_eq!(filter.push(b"DONE"), [text("DON")]);
        assert_eq!(filter.settle(), [text("E")]);
        assert_eq!(filter.push("検\u{1e}t {\"beg".as_bytes()), [text("検")]);
        assert_eq!(filter.settle(), []);
        assert_eq!(filter.push(b"in\":true}\n"), [Piece::Event(json!({ "begin": true }))]);
    }

    #[test]
    fn markers_are_found_after_text() {
        let mut filter = Filter::new("t");
        let mut pieces = filter.push(b"abcEVCXR_PANIC");
        pieces.extend(filter.push(b"_NOTIFICATION\nx"));
        assert_eq!(pieces, [text("abc"), Piece::Panicked, text("x")]);
        // evcxr waits for this one elsewhere.
        assert_eq!(filter.push(b"EVCXR_EXECUTION_COMPLETE\n"), [text("EVCXR_EXECUTION_COMPLETE\n")]);
        assert_eq!(filter.push(b"EVCXR_PANIC_NOTIFICATION!\n"), [text("EVCXR_PANIC_NOTIFICATION!\n")]);
        assert_eq!(filter.push(b"EVCXR_PANIC_NOTIFICATION\n"), [Piece::Panicked]);
    }

    #[test]
    fn events_carry_the_token() {
        let mut filter = Filter::new("t");
        let pieces = filter.push(b"a\x1et {\"begin\":true}\n\x1eother {}\n");
        assert_eq!(pieces, [text("a"), Piece::Event(json!({ "begin": true })), text("\u{1e}other {}\n")]);
    }

    #[test]
    fn displays_for_stock_evcxr_are_parsed() {
        let mut filter = Filter::new("t");
        let lines = b"EVCXR_BEGIN_CONTENT text/plain\na\nb\nEVCXR_END_CONTENT\n\
                      EVCXR_BEGIN_CONTENT text/html\n<p>\nEVCXR_END_CONTENT\nnext\n";
        let data = json!({ "text/plain": "a\nb", "text/html": "<p>" });
        let display = Piece::Event(json!({ "display": { "data": data, "metadata": {} } }));
        assert_eq!(filter.push(lines), [display, text("next\n")]);
    }

    #[test]
    fn characters_are_not_cut() {
        let mut filter = Filter::new("t");
        let bytes = "検索".as_bytes();
        assert_eq!(filter.push(&bytes[..4]), [text("検")]);
        assert_eq!(filter.push(&bytes[4..]), [text("索")]);
    }

    /// A value of 100 MB, as the process for cells sends it: one line, in the chunks of a socket.
    #[test]
    fn a_long_line_is_read_once() {
        let text = "0.0123456, E".repeat((100 << 20) / 12);
        let line = format!("\u{1e}t {{\"result\":\"{text}\"}}\n");
        let started = Instant::now();
        let mut filter = Filter::new("t");
        let mut pieces = Vec::new();
        for bytes in line.as_bytes().chunks(1 << 16) {
            pieces.extend(filter.push(bytes));
        }
        let taken = started.elapsed();
        println!("{} MB of an event: {taken:.2?}", line.len() >> 20);
        assert_eq!(pieces, [Piece::Event(json!({ "result": text }))]);
        // Scanning it again with each chunk would take minutes.
        assert!(taken < Duration::from_secs(10), "{taken:?}");

        let started = Instant::now();
        let parts: Vec<Piece> = text.as_bytes().chunks(1 << 16).flat_map(|bytes| filter.push(bytes)).collect();
        let taken = started.elapsed();
        println!("{} MB of text: {taken:.2?}", text.len() >> 20);
        assert_eq!(
            parts.iter().map(|piece| if let Piece::Text(text) = piece { text.len() } else { 0 }).sum::<usize>(),
            text.len() - 1
        );
        assert!(taken < Duration::from_secs(10), "{taken:?}");
    }
}
