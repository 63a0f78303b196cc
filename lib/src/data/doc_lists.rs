//! The documents of each query as lists of any length.

use polars::prelude::*;

use super::Texts;
use super::frames::column;
use super::labels::bounds;
use super::origin::Origin;
use super::roles::json_lists;
use crate::Result;

/// A column of lists of documents: the documents one after the other.
#[derive(Clone)]
pub(super) struct DocLists {
    pub(super) docs: Texts,
    /// Where those of each row begin, and the end of the last.
    pub(super) bounds: Arc<[usize]>,
}

impl DocLists {
    /// The lists of a column; lists that a file has as JSON replace it in the frame.
    ///
    /// # Errors
    /// For a list without documents, and for a null.
    pub(super) fn of(origin: Origin, frame: &mut DataFrame, name: &str) -> Result<Self> {
        if origin.is_nested(name) {
            frame.with_column(json_lists(origin, frame, name)?)?;
        }
        let found = column(origin, frame, name, "lists of texts")?;
        if !found.dtype().inner_dtype().is_some_and(|inner| matches!(inner, DataType::String | DataType::Null)) {
            return Err(origin.column_type(name, found.dtype().to_string(), "lists of strings"));
        }
        let lists = found.cast(&DataType::List(Box::new(DataType::String)))?;
        let lists = lists.list()?;
        let lengths = lists.lst_lengths();
        for (row, length) in lengths.iter().enumerate() {
            match length {
                None => return Err(origin.row(row, name, "null", "a list of texts")),
                Some(0) => return Err(origin.row(row, name, "no document", "at least one")),
                Some(_) => {}
            }
        }
        let bounds = bounds(lengths.iter().flatten().map(|length| length as usize));
        let docs = lists.explode(ExplodeOptions { empty_as_null: true, keep_nulls: true })?;
        let docs = docs.str()?;
        if let Some(place) = docs.first_null() {
            let row = bounds.partition_point(|bound| *bound <= place) - 1;
            return Err(origin.row(row, name, "null in a list", "texts"));
        }
        Ok(Self { docs: Texts::new(docs.clone()), bounds })
    }

    /// The documents of a row.
    pub(super) fn row(&self, row: usize) -> impl ExactSizeIterator<Item = &str> {
        (self.bounds[row]..self.bounds[row + 1]).map(|doc| &self.docs[doc])
    }
}
