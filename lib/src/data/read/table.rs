//! What a text file held: a frame that knows its lines.

use std::fmt;
use std::path::{Path, PathBuf};

use polars::prelude::*;

use crate::data::place::Place;
use crate::data::{Corpus, Qrels, Queries, TrainingSet, frames};
use crate::{Error, Result};

/// A frame and the line of the file each row stands in, so that an error of a later check names it.
#[derive(Clone)]
pub struct Table {
    frame: DataFrame,
    path: PathBuf,
    lines: Vec<usize>,
}

impl Table {
    pub(super) fn new(path: &Path, lines: Vec<usize>, columns: Vec<Column>) -> Result<Self> {
        Ok(Self { frame: DataFrame::new(lines.len(), columns)?, path: path.to_owned(), lines })
    }

    /// The frame with all columns.
    pub fn frame(&self) -> &DataFrame {
        &self.frame
    }

    pub fn into_frame(self) -> DataFrame {
        self.frame
    }

    /// Renames columns, `(from, to)` each.
    pub fn rename(mut self, names: &[(&str, &str)]) -> Result<Self> {
        for (from, to) in names {
            frames::column(self.place(), &self.frame, from, &format!("a column to rename to `{to}`"))?;
            if from != to && self.frame.schema().contains(to) {
                return Err(Error::Setting {
                    field: "rename",
                    value: format!("(\"{from}\", \"{to}\")"),
                    expected: format!("a name that no column of {} has yet", self.path.display()),
                });
            }
            self.frame.rename(from, (*to).into())?;
        }
        Ok(self)
    }

    /// Turns a column of strings (all columns of a CSV file are) into numbers: integers if all are,
    /// else floats. An empty cell is a null. A column of numbers stays as it is.
    pub fn numbers(mut self, name: &str) -> Result<Self> {
        let column = frames::column(self.place(), &self.frame, name, "a column of numbers")?;
        if column.dtype().is_primitive_numeric() {
            return Ok(self);
        }
        let cells = frames::string_column(self.place(), &self.frame, name)?;
        let cells: Vec<Option<&str>> = cells.iter().map(|cell| cell.filter(|cell| !cell.is_empty())).collect();
        let integers: Option<Vec<Option<i64>>> =
            cells.iter().map(|cell| cell.map(str::parse).transpose().ok()).collect();
        let column = match integers {
            Some(integers) => Column::new(name.into(), integers),
            None => {
                let parse = |(row, cell): (usize, &Option<&str>)| match cell.map(str::parse::<f64>).transpose() {
                    Ok(number) => Ok(number),
                    Err(_) => Err(self.place().row(
                        row,
                        name,
                        format!("`{}`", cell.unwrap_or_default()),
                        "a number".to_owned(),
                    )),
                };
                Column::new(name.into(), cells.iter().enumerate().map(parse).collect::<Result<Vec<_>>>()?)
            }
        };
        self.frame.with_column(column)?;
        Ok(self)
    }

    /// Needs columns `doc_id`, `text`; `title` if there is one.
    pub fn corpus(self) -> Result<Corpus> {
        let Self { frame, path, lines } = self;
        Corpus::checked(Place::File { path: &path, lines: &lines }, frame)
    }

    /// Needs columns `query_id`, `text`.
    pub fn queries(self) -> Result<Queries> {
        let Self { frame, path, lines } = self;
        Queries::checked(Place::File { path: &path, lines: &lines }, frame)
    }

    /// Needs columns `query_id`, `doc_id` and `grade` (integers). The same judgement may stand twice,
    /// but not with two grades.
    pub fn qrels(self) -> Result<Qrels> {
        let table = self.numbers("grade")?;
        Qrels::checked(table.place(), &table.frame)
    }

    /// Needs columns `query`, `positive`; see [`TrainingSet`] for the others.
    pub fn training_set(self) -> Result<TrainingSet> {
        let table = if self.frame.schema().contains("score") { self.numbers("score")? } else { self };
        let Self { frame, path, lines } = table;
        TrainingSet::checked(Place::File { path: &path, lines: &lines }, frame)
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place::File { path: &self.path, lines: &self.lines }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, file, columns) = (self.lines.len(), self.path.display(), frames::columns(&self.frame));
        write!(f, "Table {{ file: {file}, rows: {rows}, columns: {columns} }}")
    }
}
