//! Where a value stands, for error messages.

use std::path::Path;

use crate::Error;

/// What a frame is called, and where its rows stand if they come from a text file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// A frame in memory; rows count from 0, as in Polars.
    Frame(&'a str),
    /// A text file: row -> line, from 1.
    File { path: &'a Path, lines: &'a [usize] },
}

impl Place<'_> {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Frame(name) => (*name).to_owned(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }

    /// The value at `row` of `column` cannot be used.
    pub(crate) fn row(&self, row: usize, column: &str, problem: String, expected: String) -> Error {
        match self {
            Self::Frame(name) => {
                Error::Row { place: (*name).to_owned(), row, column: column.to_owned(), problem, expected }
            }
            Self::File { path, lines } => Error::Line {
                path: path.to_path_buf(),
                line: lines[row],
                problem: format!("column `{column}`: {problem}"),
                expected,
            },
        }
    }

    /// The id at `second` stood at `first` already.
    pub(crate) fn duplicate(&self, kind: &'static str, id: &str, first: usize, second: usize) -> Error {
        match self {
            Self::Frame(name) => {
                Error::DuplicateId { place: (*name).to_owned(), kind, id: id.to_owned(), first, second }
            }
            Self::File { path, lines } => Error::Line {
                path: path.to_path_buf(),
                line: lines[second],
                problem: format!("the {kind} id `{id}` stands in line {} already", lines[first]),
                expected: format!("a {kind} id only once"),
            },
        }
    }
}
