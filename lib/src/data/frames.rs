//! The documents and the queries: a frame with unique ids.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use polars::prelude::*;

use super::place::Place;
use crate::{Error, Result};

/// The documents that are searched. Columns: `doc_id` (string, unique), `title` (string, may be
/// missing), `text` (string); any further columns are kept.
#[derive(Clone)]
pub struct Corpus {
    frame: DataFrame,
}

/// The questions. Columns: `query_id` (string, unique), `text` (string); further columns are kept.
#[derive(Clone)]
pub struct Queries {
    frame: DataFrame,
}

impl Corpus {
    /// Checks the columns and that no `doc_id` stands twice.
    pub fn new(frame: DataFrame) -> Result<Self> {
        Self::checked(Place::Frame("corpus"), frame)
    }

    pub(super) fn checked(place: Place, frame: DataFrame) -> Result<Self> {
        check_ids(place, &frame, "doc_id", "document")?;
        string_column(place, &frame, "text")?;
        if frame.schema().contains("title") {
            string_column(place, &frame, "title")?;
        }
        Ok(Self { frame })
    }

    /// The frame with all columns.
    pub fn frame(&self) -> &DataFrame {
        &self.frame
    }

    /// Some rows.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Self {
        Self { frame: self.frame.slice(rows.start as i64, rows.len()) }
    }

    /// The number of documents.
    pub fn len(&self) -> usize {
        self.frame.height()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The document ids, in order of the frame.
    pub fn doc_ids(&self) -> Vec<String> {
        strings(&self.frame, "doc_id")
    }

    /// What is indexed and encoded, in order of the frame: title, a space and text; the text alone
    /// where there is no title. This is what BEIR's baselines do.
    pub fn texts(&self) -> Vec<String> {
        let texts = strings(&self.frame, "text");
        if !self.frame.schema().contains("title") {
            return texts;
        }
        let titled = strings(&self.frame, "title").into_iter().zip(texts);
        titled.map(|(title, text)| if title.is_empty() { text } else { format!("{title} {text}") }).collect()
    }
}

impl Queries {
    /// Checks the columns and that no `query_id` stands twice.
    pub fn new(frame: DataFrame) -> Result<Self> {
        Self::checked(Place::Frame("queries"), frame)
    }

    pub(super) fn checked(place: Place, frame: DataFrame) -> Result<Self> {
        check_ids(place, &frame, "query_id", "query")?;
        string_column(place, &frame, "text")?;
        Ok(Self { frame })
    }

    /// Queries of one's own, numbered from 1.
    ///
    /// ```
    /// let queries = kensaku::data::Queries::from_texts(["how is a frame filtered?"])?;
    /// assert_eq!(queries.query_ids(), ["1"]);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn from_texts<S: Into<String>>(texts: impl IntoIterator<Item = S>) -> Result<Self> {
        let texts: Vec<String> = texts.into_iter().map(Into::into).collect();
        let query_ids: Vec<String> = (1..=texts.len()).map(|number| number.to_string()).collect();
        Self::new(df!("query_id" => query_ids, "text" => texts)?)
    }

    /// The frame with all columns.
    pub fn frame(&self) -> &DataFrame {
        &self.frame
    }

    /// Some rows.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Self {
        Self { frame: self.frame.slice(rows.start as i64, rows.len()) }
    }

    /// The number of queries.
    pub fn len(&self) -> usize {
        self.frame.height()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The query ids, in order of the frame.
    pub fn query_ids(&self) -> Vec<String> {
        strings(&self.frame, "query_id")
    }

    /// The texts, in order of the frame.
    pub fn texts(&self) -> Vec<String> {
        strings(&self.frame, "text")
    }
}

/// The size and the columns: the frame prints itself.
impl fmt::Debug for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Corpus {{ documents: {}, columns: {} }}", self.len(), columns(&self.frame))
    }
}

impl fmt::Debug for Queries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queries {{ queries: {}, columns: {} }}", self.len(), columns(&self.frame))
    }
}

/// The named column, or an error that says which columns there are.
pub(crate) fn column<'a>(place: Place, frame: &'a DataFrame, name: &str, expected: &str) -> Result<&'a Column> {
    frame.column(name).map_err(|_| Error::MissingColumn {
        place: place.name(),
        column: name.to_owned(),
        found: columns(frame),
        expected: expected.to_owned(),
    })
}

/// The names of the columns: `doc_id, title, text`.
pub(crate) fn columns(frame: &DataFrame) -> String {
    frame.get_column_names().iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The named column if it holds strings.
pub(crate) fn string_column<'a>(place: Place, frame: &'a DataFrame, name: &str) -> Result<&'a StringChunked> {
    let column = column(place, frame, name, "a column of strings")?;
    column.str().map_err(|_| Error::ColumnType {
        place: place.name(),
        column: name.to_owned(),
        found: column.dtype().to_string(),
        expected: "strings".to_owned(),
    })
}

/// The strings of a checked column; a null is an empty text.
pub(crate) fn strings(frame: &DataFrame, name: &str) -> Vec<String> {
    let Ok(column) = frame.column(name).and_then(|column| column.str()) else { return Vec::new() };
    column.iter().map(|value| value.unwrap_or_default().to_owned()).collect()
}

fn check_ids(place: Place, frame: &DataFrame, name: &str, kind: &'static str) -> Result<()> {
    let ids = string_column(place, frame, name)?;
    let mut first_row = HashMap::with_capacity(ids.len());
    for (row, id) in ids.iter().enumerate() {
        let Some(id) = id else {
            return Err(place.row(row, name, "no id".to_owned(), format!("a {kind} id")));
        };
        if let Some(first) = first_row.insert(id, row) {
            return Err(place.duplicate(kind, id, first, row));
        }
    }
    Ok(())
}
