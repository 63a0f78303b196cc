//! CSV and TSV.

use std::collections::HashSet;
use std::path::Path;

use csv::{ErrorKind, ReaderBuilder, StringRecord, Terminator};
use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::Table;
use super::table::MOST_COLUMNS;
use crate::data::source::Source;
use crate::{Error, Result, interrupt};

/// How a file of separated values is written. The default is CSV as in RFC 4180 with a header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Csv {
    /// One ASCII character; default `,`.
    pub separator: char,
    /// The names of the columns, for a file without a header; by default the first line has them.
    pub names: Option<Vec<String>>,
    /// Whether `"` quotes a cell; default true.
    pub quotes: bool,
}

impl Default for Csv {
    fn default() -> Self {
        Self { separator: ',', names: None, quotes: true }
    }
}

impl Csv {
    /// Tab-separated with a header, quotes are ordinary characters: what BEIR and MS MARCO write.
    pub fn tsv() -> Self {
        Self { separator: '\t', names: None, quotes: false }
    }

    fn separator(&self) -> Result<u8> {
        let usable = |byte: &u8| byte.is_ascii() && !b"\r\n".contains(byte) && !(self.quotes && *byte == b'"');
        u8::try_from(self.separator).ok().filter(usable).ok_or_else(|| Error::Setting {
            field: "separator",
            value: format!("{:?}", self.separator),
            expected: "one ASCII character that ends no line and quotes no cell".to_owned(),
        })
    }
}

/// A last line of one cell. A quote that is not closed swallows it.
const END: &str = "\0end of file\0";
const LAST_LINE: &[u8] = b"\n\0end of file\0";

/// Reads a file of separated values; a gzip file is decompressed. Every column is a column of strings
/// (ids like `007` stay what they are); [`Table::numbers`] turns one into numbers. Each row must have
/// all cells. Empty lines are skipped.
pub fn csv(path: impl AsRef<Path>, settings: &Csv) -> Result<Table> {
    let path = path.as_ref();
    let mut reader = ReaderBuilder::new()
        .delimiter(settings.separator()?)
        .quoting(settings.quotes)
        // A carriage return alone is a part of a text.
        .terminator(Terminator::Any(b'\n'))
        // The first record is looked at as all others are, and rows of another length are reported here.
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(1 << 16)
        .from_reader(Source::open(path)?.followed_by(LAST_LINE));
    let mut record = StringRecord::new();
    let header = match &settings.names {
        Some(names) => Some((1, names.clone())),
        None => {
            next_record(path, &mut reader, &mut record)?.map(|line| (line, cells(&record).map(str::to_owned).collect()))
        }
    };
    let (line, names) = header.unwrap_or((1, Vec::new()));
    let error = |line, problem, expected| Error::Line { path: path.to_owned(), line, problem, expected };
    check_names(&names).map_err(|(problem, expected)| match settings.names {
        Some(_) => Error::Setting { field: "names", value: problem, expected },
        None => error(line, problem, expected),
    })?;
    let mut lines = Vec::new();
    let mut columns: Vec<StringChunkedBuilder> =
        names.iter().map(|name| StringChunkedBuilder::new(name.as_str().into(), 0)).collect();
    while let Some(line) = next_record(path, &mut reader, &mut record)? {
        if record.len() != names.len() {
            return Err(error(
                line,
                format!("{} cells", record.len()),
                format!("{} ({})", names.len(), names.join(", ")),
            ));
        }
        lines.push(line);
        columns.iter_mut().zip(cells(&record)).for_each(|(column, cell)| column.append_value(cell));
    }
    let columns = columns.into_iter().map(|column| column.finish().into_column()).collect();
    Table::new(path, lines, columns, Vec::new())
}

fn check_names(names: &[String]) -> Result<(), (String, String)> {
    if names.len() > MOST_COLUMNS {
        return Err((format!("{} columns", names.len()), format!("at most {MOST_COLUMNS}")));
    }
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(*name)) {
        Some(name) => Err((format!("duplicate column `{name}`"), "unique names".to_owned())),
        None => Ok(()),
    }
}

/// Reads the next record that is not an empty line, and returns the number of its first line.
fn next_record(path: &Path, reader: &mut csv::Reader<Source>, record: &mut StringRecord) -> Result<Option<usize>> {
    loop {
        interrupt::check("reading a file")?;
        reader.get_mut().begin_record();
        if !reader.read_record(record).map_err(broken(path))? {
            return Ok(None);
        }
        // The reader counts from where it was, above empty lines. Its line now is one further, or the last of all.
        let within = record.as_slice().bytes().filter(|byte| *byte == b'\n').count();
        let after = (reader.position().line() as usize).saturating_sub(within);
        if record.len() == 1 && &record[0] == END {
            return Ok(None);
        }
        if record.iter().next_back().is_some_and(|cell| cell.ends_with(END)) {
            return Err(Error::Line {
                path: path.to_owned(),
                line: after,
                problem: "a quote that is never closed".to_owned(),
                expected: "`\"` at both ends of a cell, or `quotes: false` if it is an ordinary character".to_owned(),
            });
        }
        if record.len() != 1 || &record[0] != "\r" {
            return Ok(Some(after.saturating_sub(1)));
        }
    }
}

/// The cells of a record; the line may end in `\r\n`.
fn cells(record: &StringRecord) -> impl Iterator<Item = &str> {
    let last = record.len().saturating_sub(1);
    record
        .iter()
        .enumerate()
        .map(move |(cell, text)| if cell == last { text.strip_suffix('\r').unwrap_or(text) } else { text })
}

fn broken(path: &Path) -> impl Fn(csv::Error) -> Error {
    move |error| {
        if let Err(interrupted) = interrupt::check("reading a file") {
            return interrupted;
        }
        let line = error.position().map_or(0, |position| position.line() as usize);
        let (problem, expected) = match error.into_kind() {
            ErrorKind::Io(source) => return Error::Io { path: path.to_owned(), source },
            ErrorKind::Utf8 { err, .. } => (err.to_string(), "text in UTF-8"),
            other => (format!("{other:?}"), "separated values"),
        };
        Error::Line { path: path.to_owned(), line, problem, expected: expected.to_owned() }
    }
}
