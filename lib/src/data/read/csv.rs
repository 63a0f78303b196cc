//! CSV and TSV.

use std::path::Path;

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::Table;
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
}

/// Reads a file of separated values. Every column is a column of strings (ids like `007` stay what
/// they are); [`Table::numbers`] turns one into numbers. Each row must have all cells.
pub fn csv(path: impl AsRef<Path>, settings: &Csv) -> Result<Table> {
    let path = path.as_ref();
    let separator = u8::try_from(settings.separator).ok().filter(u8::is_ascii).ok_or_else(|| Error::Setting {
        field: "separator",
        value: format!("{:?}", settings.separator),
        expected: "one ASCII character".to_owned(),
    })?;
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .quoting(settings.quotes)
        .has_headers(settings.names.is_none())
        // A row of another length is reported here, against the names of the columns.
        .flexible(true)
        .from_reader(file);
    let names = match &settings.names {
        Some(names) => names.clone(),
        None => reader
            .headers()
            .map_err(broken(path))?
            .iter()
            .map(|name| name.trim_start_matches('\u{feff}').to_owned())
            .collect(),
    };
    let mut lines = Vec::new();
    let mut cells: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(broken(path))? {
        interrupt::check("reading a file")?;
        let line = record.position().map_or(0, |position| position.line() as usize);
        if record.len() != names.len() {
            return Err(Error::Line {
                path: path.to_owned(),
                line,
                problem: format!("{} cells", record.len()),
                expected: format!("{} ({})", names.len(), names.join(", ")),
            });
        }
        lines.push(line);
        cells.iter_mut().zip(&record).for_each(|(column, cell)| column.push(cell.to_owned()));
    }
    let columns = names.iter().zip(cells).map(|(name, cells)| Column::new(name.as_str().into(), cells)).collect();
    Table::new(path, lines, columns)
}

fn broken(path: &Path) -> impl Fn(csv::Error) -> Error {
    move |error| {
        let line = error.position().map_or(0, |position| position.line() as usize);
        match error.into_kind() {
            ErrorKind::Io(source) => Error::Io { path: path.to_owned(), source },
            ErrorKind::Utf8 { err, .. } => Error::Line {
                path: path.to_owned(),
                line,
                problem: err.to_string(),
                expected: "text in UTF-8".to_owned(),
            },
            other => Error::Line {
                path: path.to_owned(),
                line,
                problem: format!("{other:?}"),
                expected: "separated values".to_owned(),
            },
        }
    }
}
