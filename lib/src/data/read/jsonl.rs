//! JSON Lines: one object per line.

use std::path::Path;

use serde::de::DeserializeSeed;

use super::Table;
use super::cells::Columns;
use super::object::Object;
use crate::data::source::Lines;
use crate::{Result, interrupt};

/// Reads a file of JSON objects, one per line; a gzip file is decompressed. Empty lines are skipped.
///
/// Columns are in order of first appearance. A column holds strings, booleans, integers or floats
/// (integers and floats mixed are floats); arrays and objects are kept as their JSON text. A missing
/// key is a null. A value of another type than those above it is an error, and so are a key that a
/// line has twice, an integer outside the 64-bit range, and keys that differ from line to line.
pub fn jsonl(path: impl AsRef<Path>) -> Result<Table> {
    let path = path.as_ref();
    table(path, &mut Lines::open(path)?)
}

/// The same of lines.
pub(super) fn table(path: &Path, lines: &mut Lines) -> Result<Table> {
    let mut numbers = Vec::new();
    let mut columns = Columns::default();
    while let Some(line) = lines.next_line()? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let mut json = serde_json::Deserializer::from_str(line);
        let read = Object(&mut columns).deserialize(&mut json).and_then(|()| json.end());
        if let Err(error) = read {
            interrupt::check("reading a file")?;
            let (problem, expected) =
                columns.take_fault().unwrap_or_else(|| (problem(&error, line), "one JSON object".to_owned()));
            return Err(lines.error(problem, expected));
        }
        if let Err((problem, expected)) = columns.end_line(line) {
            return Err(lines.error(problem, expected));
        }
        numbers.push(lines.number());
    }
    let (columns, nested) = columns.finish();
    Table::new(path, numbers, columns, nested)
}

/// serde_json's message without its "at line 1 column 17": of the line, only the character is news.
pub(super) fn problem(error: &serde_json::Error, line: &str) -> String {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    match error.column() {
        0 => message.to_owned(),
        // A column counts bytes, and may be within a character.
        column => {
            let before = line.bytes().take(column).filter(|byte| byte & 0xc0 != 0x80);
            format!("{message} at character {}", before.count())
        }
    }
}
