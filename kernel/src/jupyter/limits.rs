//! How much one cell may put out. A front end keeps all of it, and most die of a hundred megabytes.

use serde_json::{Value, json};

use super::queue::weight;
use crate::session::{Event, Stream};

/// Text of a cell, in bytes.
const TEXT: usize = 10_000_000;
/// Displays of a cell, in number and in bytes. Updates are not counted: they replace each other.
const DISPLAYS: usize = 1_000;
const DISPLAYED: usize = 100_000_000;

/// What a cell has put out so far.
#[derive(Debug, Default)]
pub(crate) struct Output {
    text: usize,
    displays: usize,
    displayed: usize,
}

impl Output {
    /// What of `event` is to be sent, and what is said where a limit is passed: once for each.
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
        vec![Event::Stream { stream, text }, notice(&format!("its text passed {} MB", TEXT / 1_000_000))]
    }

    fn admit_display(&mut self, display: Value) -> Vec<Event> {
        let over = |output: &Self| output.displays > DISPLAYS || output.displayed > DISPLAYED;
        if over(self) {
            return Vec::new();
        }
        self.displays += 1;
        self.displayed += weight(&display);
        if over(self) {
            let limits = format!("it made more than {DISPLAYS} displays or {} MB of them", DISPLAYED / 1_000_000);
            return vec![notice(&limits)];
        }
        vec![Event::Display(display)]
    }
}

fn notice(why: &str) -> Event {
    let text = format!("\n[kensaku: the output of this cell is cut here, {why}; the cell runs on]\n");
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
    fn what_is_cleared_no_longer_counts() {
        let mut output = Output::default();
        output.admit(text("a".repeat(TEXT + 1)));
        output.admit(Event::Clear { wait: true });
        assert_eq!(output.admit(text("b".to_owned())).len(), 1);
    }
}
