//! JSON Lines: one object a line.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use polars::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::Table;
use crate::{Error, Result, interrupt};

/// Reads a file of JSON objects, one a line; empty lines are skipped.
///
/// Columns stand in order of first appearance. A column holds strings, booleans, integers or floats
/// (integers and floats mixed are floats); arrays and objects are kept as their JSON text. A missing
/// key is a null. A value of another type than those above it is an error.
pub fn jsonl(path: impl AsRef<Path>) -> Result<Table> {
    let path = path.as_ref();
    let mut reader = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let mut lines = Vec::new();
    let mut columns: Vec<(String, Cells)> = Vec::new();
    let mut text = String::new();
    for line in 1.. {
        interrupt::check("reading a file")?;
        text.clear();
        if reader.read_line(&mut text).map_err(Error::io(path))? == 0 {
            break;
        }
        if text.trim().is_empty() {
            continue;
        }
        let failed = |problem: String, expected: String| Error::Line { path: path.to_owned(), line, problem, expected };
        let Object(object) = serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| failed(problem(&error), "one JSON object".to_owned()))?;
        for (key, value) in object {
            let at = columns.iter().position(|(name, _)| *name == key).unwrap_or_else(|| {
                columns.push((key.clone(), Cells::Nulls));
                columns.len() - 1
            });
            let cells = std::mem::replace(&mut columns[at].1, Cells::Nulls);
            columns[at].1 = cells.push(lines.len(), value).map_err(|(found, expected)| {
                failed(format!("column `{key}` is {found}"), format!("{expected} as in the lines above"))
            })?;
        }
        lines.push(line);
    }
    let columns = columns.into_iter().map(|(name, cells)| cells.column(&name, lines.len())).collect();
    Table::new(path, lines, columns)
}

/// serde_json's message without its "at line 1 column 17": of the line, only the column is news.
fn problem(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    match error.column() {
        0 => message.to_owned(),
        column => format!("{message} at character {column}"),
    }
}

/// A JSON object with its keys in the order they are written; serde_json's own map may sort them.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// The values of a column so far. Rows missing at the end are nulls.
enum Cells {
    Nulls,
    Strings(Vec<Option<String>>),
    Booleans(Vec<Option<bool>>),
    Integers(Vec<Option<i64>>),
    Floats(Vec<Option<f64>>),
    /// Arrays and objects, as JSON.
    Nested(Vec<Option<String>>),
}

impl Cells {
    /// Appends the value of `row`; of a value that does not fit: its type and the column's.
    fn push(self, row: usize, value: Value) -> Result<Self, (&'static str, &'static str)> {
        let integer = value.as_i64();
        Ok(match (self, value) {
            (cells, Value::Null) => cells,
            (Self::Nulls, value) => return Self::empty(&value).push(row, value),
            (Self::Strings(cells), Value::String(text)) => Self::Strings(at(row, cells, text)),
            (Self::Booleans(cells), Value::Bool(flag)) => Self::Booleans(at(row, cells, flag)),
            (Self::Nested(cells), nested @ (Value::Array(_) | Value::Object(_))) => {
                Self::Nested(at(row, cells, nested.to_string()))
            }
            (Self::Integers(cells), Value::Number(number)) => match integer {
                Some(integer) => Self::Integers(at(row, cells, integer)),
                None => {
                    let floats = cells.into_iter().map(|cell| cell.map(|integer| integer as f64)).collect();
                    return Self::Floats(floats).push(row, Value::Number(number));
                }
            },
            (Self::Floats(cells), Value::Number(number)) => {
                Self::Floats(at(row, cells, number.as_f64().unwrap_or(f64::NAN)))
            }
            (cells, value) => return Err((Self::empty(&value).name(), cells.name())),
        })
    }

    fn empty(value: &Value) -> Self {
        match value {
            Value::Null => Self::Nulls,
            Value::String(_) => Self::Strings(Vec::new()),
            Value::Bool(_) => Self::Booleans(Vec::new()),
            Value::Number(_) => Self::Integers(Vec::new()),
            Value::Array(_) | Value::Object(_) => Self::Nested(Vec::new()),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Nulls => "null",
            Self::Strings(_) => "a string",
            Self::Booleans(_) => "a boolean",
            Self::Integers(_) | Self::Floats(_) => "a number",
            Self::Nested(_) => "an array or object",
        }
    }

    fn column(self, name: &str, height: usize) -> Column {
        let name: PlSmallStr = name.into();
        match self {
            Self::Nulls => Column::full_null(name, height, &DataType::Null),
            Self::Strings(cells) | Self::Nested(cells) => Column::new(name, padded(cells, height)),
            Self::Booleans(cells) => Column::new(name, padded(cells, height)),
            Self::Integers(cells) => Column::new(name, padded(cells, height)),
            Self::Floats(cells) => Column::new(name, padded(cells, height)),
        }
    }
}

fn at<T: Clone>(row: usize, cells: Vec<Option<T>>, value: T) -> Vec<Option<T>> {
    let mut cells = padded(cells, row);
    cells.push(Some(value));
    cells
}

fn padded<T: Clone>(mut cells: Vec<Option<T>>, height: usize) -> Vec<Option<T>> {
    cells.resize(height, None);
    cells
}
