//! What a text file held: a frame that knows its lines.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use polars::prelude::*;

use crate::data::origin::Origin;
use crate::data::{Corpus, Qrels, Queries, TrainingSet, frames, training};
use crate::{Error, Result};

/// The most columns a file may have: each costs kilobytes, and a line of commas would be gigabytes.
pub(super) const MOST_COLUMNS: usize = 10_000;

/// A frame and the line of the file each row is from, so that an error of a later check names it.
#[derive(Clone)]
pub struct Table {
    frame: DataFrame,
    path: PathBuf,
    lines: Vec<usize>,
    /// The columns that hold arrays and objects as JSON.
    nested: Vec<PlSmallStr>,
}

impl Table {
    pub(super) fn new(path: &Path, lines: Vec<usize>, columns: Vec<Column>, nested: Vec<PlSmallStr>) -> Result<Self> {
        Ok(Self { frame: DataFrame::new(lines.len(), columns)?, path: path.to_owned(), lines, nested })
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
            frames::column(self.origin(), &self.frame, from, &format!("a column to rename to `{to}`"))?;
            if from != to && self.frame.schema().contains(to) {
                return Err(Error::Setting {
                    field: "rename",
                    value: format!("(\"{from}\", \"{to}\")"),
                    expected: format!("a name that no column of {} has yet", self.path.display()),
                });
            }
            self.frame.rename(from, (*to).into())?;
            self.nested.iter_mut().filter(|name| *name == from).for_each(|name| *name = (*to).into());
        }
        Ok(self)
    }

    /// Keeps the named columns alone, in this order.
    pub fn select(mut self, names: &[&str]) -> Result<Self> {
        for name in names {
            frames::column(self.origin(), &self.frame, name, "a column to keep")?;
        }
        self.frame = self.frame.select(names.iter().copied())?;
        Ok(self)
    }

    /// Turns a column of strings (all columns of a CSV file are) into numbers: integers if all are,
    /// else floats. An empty cell is a null. A column of numbers stays as it is.
    pub fn numbers(mut self, name: &str) -> Result<Self> {
        let column = frames::column(self.origin(), &self.frame, name, "a column of numbers")?;
        if column.dtype().is_primitive_numeric() || column.dtype().is_list() {
            return Ok(self);
        }
        let cells = frames::texts(self.origin(), &self.frame, name)?.into_owned();
        let cells = || cells.iter().map(|cell| cell.filter(|cell| !cell.is_empty()));
        let integers: Option<Vec<Option<i64>>> = cells().map(|cell| cell.map(str::parse).transpose().ok()).collect();
        let column = match integers {
            Some(integers) => Column::new(name.into(), integers),
            None => {
                let parse = |(row, cell): (usize, Option<&str>)| match cell.map(parse_float).transpose() {
                    Ok(number) => Ok(number),
                    Err(expected) => {
                        let problem = format!("`{}`", cell.unwrap_or_default());
                        Err(self.origin().row(row, name, problem, expected.to_owned()))
                    }
                };
                Column::new(name.into(), cells().enumerate().map(parse).collect::<Result<Vec<_>>>()?)
            }
        };
        self.frame.with_column(column)?;
        Ok(self)
    }

    /// Needs columns `doc_id`, `text`; `title` if there is one.
    pub fn corpus(self) -> Result<Corpus> {
        Corpus::checked(self.origin(), self.frame.clone())
    }

    /// Needs columns `query_id`, `text`.
    pub fn queries(self) -> Result<Queries> {
        Queries::checked(self.origin(), self.frame.clone())
    }

    /// Needs columns `query_id`, `doc_id` and `grade` (integers). The same judgement may be there
    /// twice, but not with two grades.
    pub fn qrels(self) -> Result<Qrels> {
        let table = self.numbers("grade")?;
        Qrels::checked(table.origin(), &table.frame)
    }

    /// Needs columns of texts, by name or by order; see [`TrainingSet`].
    pub fn training_set(mut self) -> Result<TrainingSet> {
        for name in training::LABELS {
            if self.frame.schema().contains(name) && !self.origin().is_nested(name) {
                self = self.numbers(name)?;
            }
        }
        TrainingSet::checked(self.origin(), self.frame.clone())
    }

    /// Keeps some rows.
    pub(super) fn filter(mut self, kept: &[bool]) -> Result<Self> {
        let mask: BooleanChunked = kept.iter().copied().map(Some).collect();
        self.frame = self.frame.filter(&mask)?;
        let mut kept = kept.iter();
        self.lines.retain(|_| *kept.next().unwrap_or(&true));
        Ok(self)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The line of each row.
    pub(super) fn lines(&self) -> &[usize] {
        &self.lines
    }

    /// Adds a column, in place of one of that name.
    pub(super) fn with_column(mut self, column: Column) -> Result<Self> {
        self.frame.with_column(column)?;
        Ok(self)
    }

    pub(super) fn texts(&self, name: &str) -> Result<Cow<'_, StringChunked>> {
        frames::texts(self.origin(), &self.frame, name)
    }

    pub(super) fn ids(&self, name: &str) -> Result<Cow<'_, StringChunked>> {
        frames::ids(self.origin(), &self.frame, name)
    }

    pub(super) fn origin(&self) -> Origin<'_> {
        Origin::File { path: &self.path, lines: &self.lines, nested: &self.nested }
    }
}

/// A number, or what was expected.
fn parse_float(cell: &str) -> Result<f64, &'static str> {
    let digits = cell.strip_prefix(['-', '+']).unwrap_or(cell);
    if digits.bytes().all(|byte| byte.is_ascii_digit())
        && cell.parse::<f64>().is_ok_and(|float| float.abs() >= 2f64.powi(63))
    {
        return Err("an integer of 64 bits");
    }
    cell.parse().map_err(|_| "a number")
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, file, columns) = (self.lines.len(), self.path.display(), frames::columns(&self.frame));
        write!(f, "Table {{ file: {file}, rows: {rows}, columns: {columns} }}")
    }
}
