//! Limits on the output of a cell. Front ends keep all of it, and most crash at a hundred megabytes.

use serde_json::{Value, json};

use super::queue::weight;
use crate::session::{Event, Stream};

/// The text of a cell, in bytes.
const TEXT: usize = 10_000_000;
/// The displays of a cell, in number and in bytes. Updates do not count: they replace each other.
const DISPLAYS: usize = 1_000;
const DISPLAYED: usize = 100_000_000;

/// The output of a cell so far.
#[derive(Debug, Default)]
pub(crate) struct Output {
    text: usize,
    displays: usize,
    displayed: usize,
}

impl Output {
    /// The part of `event` to be sent; at the first event over a limit, a notice.
    pub(crate) fn admit(&mut self, event: Event) -> Vec<Event> {
        match event {
            Event::Stream { stream, text } => self.admit_text(stream, text),
            Event::Display(display) if display["update"] != json!(true) => self.admit_display(display),
            Event::Clear { .. } => {
                *self = Self::default();
                vec![event]
            }
            other => vec![other],
        }
    }

    fn admit_text(&mut self, stream: Stream, mut text: String) -> Vec<Event> {
        if self.text > TEXT {
            return Vec::new();
        }
        self.text += text.len();
        if self.text <= TEXT {
            return vec![Event::Stream { stream, text }];
        }
        let excess = self.text - TEXT;
        text.truncate(text.floor_char_boundary(text.len() - excess));
        vec![Event::Stream { stream, text }, notice(&format!("after {} MB of text", TEXT / 1_000_000))]
    }

    fn admit_display(&mut self, display: Value) -> Vec<Event> {
        let over = |output: &Self| output.displays > DISPLAYS || output.displayed > DISPLAYED;
        if over(self) {
            return Vec::new();
        }
        self.displays += 1;
        self.displayed += weight(&display);
        if over(self) {
            let limits = format!("after {DISPLAYS} displays or {} MB of them", DISPLAYED / 1_000_000);
            return vec![notice(&limits)];
        }
        vec![Event::Display(display)]
    }
}

fn notice(why: &str) -> Event {
    let text = format!("\n[kensaku: output cut {why}; the cell keeps running]\n");
    Event::Stream { stream: Stream::Stderr, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: String) -> Event {
        Event::Stream { stream: Stream::Stdout, text }
    }

    #[test]
    fn text_is_cut_once_and_at_a_character() {
        let mut output = Output::default();
        assert_eq!(output.admit(text("a".repeat(TEXT - 1))).len(), 1);
        let cut = output.admit(text("検索".to_owned()));
        assert_eq!(cut[0], text(String::new()));
        assert!(matches!(&cut[1], Event::Stream { stream: Stream::Stderr, text } if text.contains("10 MB")));
        assert_eq!(output.admit(text("more".to_owned())), []);
    }

    #[test]
    fn displays_are_counted_and_updates_are_not() {
        let mut output = Output::default();
        let display = |update: bool| Event::Display(json!({ "update": update, "data": {} }));
        let sent: usize = (0..2 * DISPLAYS).map(|_| output.admit(display(false)).len()).sum();
        assert_eq!(sent, DISPLAYS + 1);
        assert_eq!(output.admit(display(true)).len(), 1);
    }

    #[test]
    fn cleared_output_no_longer_counts() {
        let mut output = Output::default();
        output.admit(text("a".repeat(TEXT + 1)));
        output.admit(Event::Clear { wait: true });
        assert_eq!(output.admit(text("b".to_owned())).len(), 1);
    }
}
