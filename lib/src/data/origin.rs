//! Where a value is from, for error messages.

use std::path::Path;

use polars::prelude::PlSmallStr;

use crate::Error;

/// What a frame is called, and where its rows are if they come from a text file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// A frame in memory; rows count from 0, as in Polars.
    Frame(&'a str),
    /// A text file: row -> line, from 1; the columns that hold arrays and objects as JSON.
    File { path: &'a Path, lines: &'a [usize], nested: &'a [PlSmallStr] },
}

impl Origin<'_> {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Frame(name) => (*name).to_owned(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }

    /// Whether a column holds arrays and objects as JSON.
    pub(crate) fn is_nested(&self, column: &str) -> bool {
        matches!(self, Self::File { nested, .. } if nested.iter().any(|name| name == column))
    }

    /// The value at `row` of `column` cannot be used.
    pub(crate) fn row(
        &self,
        row: usize,
        column: &str,
        problem: impl Into<String>,
        expected: impl Into<String>,
    ) -> Error {
        let (column, problem, expected) = (column.to_owned(), problem.into(), expected.into());
        match self {
            Self::Frame(name) => Error::Row { place: (*name).to_owned(), row, column, problem, expected },
            Self::File { path, lines, .. } => Error::Line {
                path: path.to_path_buf(),
                line: lines[row],
                problem: format!("column `{column}`: {problem}"),
                expected,
            },
        }
    }

    /// The id at `second` was at `first` already.
    pub(crate) fn duplicate(&self, kind: &'static str, id: &str, first: usize, second: usize) -> Error {
        match self {
            Self::Frame(name) => {
                Error::DuplicateId { place: (*name).to_owned(), kind, id: id.to_owned(), first, second }
            }
            Self::File { path, lines, .. } => Error::Line {
                path: path.to_path_buf(),
                line: lines[second],
                problem: format!("duplicate {kind} id `{id}`, as in line {}", lines[first]),
                expected: "unique ids".to_owned(),
            },
        }
    }

    /// The column holds another type than its name promises.
    pub(crate) fn column_type(&self, column: &str, found: impl Into<String>, expected: &str) -> Error {
        let (found, expected) = (found.into(), expected.to_owned());
        Error::ColumnType { place: self.name(), column: column.to_owned(), found, expected }
    }
}
