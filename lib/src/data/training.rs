//! What a model is trained on.

use std::fmt;

use polars::prelude::*;

use super::frames::{column, columns, string_column};
use super::place::Place;
use super::texts::Texts;
use crate::{Error, Result};

/// Training examples, one a row. Columns: `query`, `positive` (strings); then any of `negative`,
/// `negative_2`, `negative_3`, .. (strings, hard negatives) and `score` (a number: how similar query
/// and positive are, for [`CosineSimilarity`](crate::loss::CosineSimilarity)).
///
/// Without negatives the rows are pairs, with one they are triples.
#[derive(Clone)]
pub struct TrainingSet {
    frame: DataFrame,
    negatives: Vec<String>,
}

impl TrainingSet {
    /// Checks the columns.
    pub fn new(frame: DataFrame) -> Result<Self> {
        Self::checked(Place::Frame("training set"), frame)
    }

    pub(super) fn checked(place: Place, frame: DataFrame) -> Result<Self> {
        string_column(place, &frame, "query")?;
        string_column(place, &frame, "positive")?;
        let negatives: Vec<String> =
            (1..).map(negative_column).take_while(|name| frame.schema().contains(name)).collect();
        for name in &negatives {
            string_column(place, &frame, name)?;
        }
        if frame.schema().contains("score") {
            let scores = column(place, &frame, "score", "numbers")?;
            if !scores.dtype().is_primitive_numeric() {
                return Err(Error::ColumnType {
                    place: place.name(),
                    column: "score".to_owned(),
                    found: scores.dtype().to_string(),
                    expected: "numbers".to_owned(),
                });
            }
        }
        Ok(Self { frame, negatives })
    }

    /// The frame with all columns.
    pub fn frame(&self) -> &DataFrame {
        &self.frame
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.frame.height()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text columns in the order losses see them: query, positive, each negative. No text is copied.
    pub fn columns(&self) -> Vec<Texts> {
        let names = ["query", "positive"].into_iter().chain(self.negatives.iter().map(String::as_str));
        let columns = names.map(|name| self.frame.column(name).and_then(|column| column.str()));
        columns.map(|column| column.map(Texts::new).unwrap_or_default()).collect()
    }

    /// The column `score`, if there is one.
    pub fn scores(&self) -> Result<Option<Vec<f32>>> {
        if !self.frame.schema().contains("score") {
            return Ok(None);
        }
        let scores = self.frame.column("score")?.cast(&DataType::Float32)?;
        Ok(Some(scores.f32()?.iter().map(|score| score.unwrap_or(f32::NAN)).collect()))
    }
}

impl fmt::Debug for TrainingSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrainingSet {{ examples: {}, columns: {} }}", self.len(), columns(&self.frame))
    }
}

/// The name of the `n`th column of negatives, from 1: `negative`, `negative_2`, `negative_3`, ..
pub(crate) fn negative_column(n: usize) -> String {
    if n == 1 { "negative".to_owned() } else { format!("negative_{n}") }
}
