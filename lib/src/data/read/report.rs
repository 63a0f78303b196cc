//! What a reader met that is not as it should be.

use std::fmt;

use polars::prelude::*;

use crate::Result;
use crate::data::source::{Oddities, count};
use crate::show::{Message, Show};

/// What a reader met in the files of a data set: how often, where first, and what it did. A cell that ends in one shows it
/// as a table.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// In the order in which the files were read.
    pub notes: Vec<ReadNote>,
}

/// One kind of finding in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadNote {
    /// The name of the file.
    pub file: String,
    /// `duplicate document id`, `unknown document id`, ..
    pub found: &'static str,
    /// How many lines have it.
    pub count: usize,
    /// The first of them, from 1.
    pub first_line: usize,
    /// The first one: an id, mostly.
    pub example: String,
    /// What was done: `kept`, `dropped`, ..
    pub done: &'static str,
}

impl ReadReport {
    /// Counts a finding.
    pub(super) fn note(&mut self, file: &str, found: &'static str, done: &'static str, line: usize, example: &str) {
        match self.notes.iter_mut().find(|note| note.file == file && note.found == found) {
            Some(note) => note.count += 1,
            None => {
                let (file, example) = (file.to_owned(), example.to_owned());
                self.notes.push(ReadNote { file, found, count: 1, first_line: line, example, done });
            }
        }
    }

    pub(super) fn oddities(&mut self, file: &str, oddities: Oddities) {
        let mut mark = None;
        if oddities.byte_order_mark {
            count(&mut mark, 1);
        }
        for (found, done, counted) in [
            ("byte order mark", "left out", mark),
            ("line that ends in a carriage return", "read without it", oddities.carriage_returns),
            ("line that is not UTF-8", "bytes replaced by U+FFFD", oddities.not_utf8),
        ] {
            if let Some((count, first_line)) = counted {
                let (file, example) = (file.to_owned(), String::new());
                self.notes.push(ReadNote { file, found, count, first_line, example, done });
            }
        }
    }

    /// How many lines were dropped.
    pub fn dropped(&self) -> usize {
        self.notes.iter().filter(|note| note.done == DROPPED).map(|note| note.count).sum()
    }

    /// One row per finding: `file`, `found`, `count`, `first_line`, `example`, `done`.
    pub fn frame(&self) -> Result<DataFrame> {
        let texts = |of: fn(&ReadNote) -> &str| self.notes.iter().map(of).collect::<Vec<_>>();
        let numbers = |of: fn(&ReadNote) -> usize| self.notes.iter().map(|note| of(note) as u64).collect::<Vec<_>>();
        Ok(df!(
            "file" => texts(|note| &note.file),
            "found" => texts(|note| note.found),
            "count" => numbers(|note| note.count),
            "first_line" => numbers(|note| note.first_line),
            "example" => texts(|note| &note.example),
            "done" => texts(|note| note.done),
        )?)
    }
}

/// What is done to a line that cannot be used.
pub(super) const DROPPED: &str = "dropped";

/// `corpus.jsonl: 2 x empty document, first in line 7 (471): dropped`
impl fmt::Display for ReadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.notes.is_empty() {
            return f.write_str("nothing unusual");
        }
        for (index, ReadNote { file, found, count, first_line, example, done }) in self.notes.iter().enumerate() {
            let example = if example.is_empty() { String::new() } else { format!(" ({example})") };
            let end = if index + 1 == self.notes.len() { "" } else { "\n" };
            write!(f, "{file}: {count} x {found}, first in line {first_line}{example}: {done}{end}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ReadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Show for ReadReport {
    fn bundle(&self) -> Message {
        let shown = |frame: DataFrame| frame.bundle().with("text/plain", self.to_string());
        match self.frame() {
            Ok(frame) if !self.notes.is_empty() => shown(frame),
            _ => Message::text(self.to_string()),
        }
    }
}
