//! What a model is trained on.

use std::fmt;

use polars::prelude::*;

use super::frames::{as_strings, check_full, column, columns, texts};
use super::origin::Origin;
use super::roles::{Roles, json_lists, negatives};
use super::texts::Texts;
use crate::Result;

pub(crate) use super::roles::{SCORES, negative_column};

/// Training examples, one per row, in columns with the names that sentence-transformers uses:
///
/// | column | names |
/// |---|---|
/// | query | `query`, `anchor`, `sentence1` or `text1` |
/// | positive | `positive`, `sentence2` or `text2` |
/// | hard negatives, any number | `negative`, `negative_1`, `negative_2`, ..; or one column of lists |
/// | how similar query and positive are, a number | `score`, `label` or `labels` |
///
/// Texts under other names are query and positive by their order, as in `question`, `answer`. Columns
/// of ids (`id`, `query_id`, ..) are kept. Anything else is an error, as it would not be trained on, and
/// so is a null.
///
/// Without negatives the rows are pairs, with one they are triples.
#[derive(Clone)]
pub struct TrainingSet {
    frame: DataFrame,
    texts: Vec<Texts>,
    score: Option<PlSmallStr>,
}

impl TrainingSet {
    /// Checks the columns.
    pub fn new(frame: DataFrame) -> Result<Self> {
        Self::checked(Origin::Frame("training set"), frame)
    }

    pub(super) fn checked(origin: Origin, mut frame: DataFrame) -> Result<Self> {
        let roles = Roles::of(origin, &frame)?;
        let mut columns = Vec::new();
        for name in [&roles.query, &roles.positive] {
            as_strings(origin, &mut frame, name, texts)?;
            columns.push(full(origin, texts(origin, &frame, name)?.into_owned(), name)?);
        }
        for name in &roles.negatives {
            if origin.is_nested(name) {
                let lists = json_lists(origin, &frame, name)?;
                frame.with_column(lists)?;
            }
            for negatives in negatives(origin, &frame, name)? {
                columns.push(full(origin, negatives, name)?);
            }
        }
        // The frame shares the texts, even where its chunks were many.
        for column in &columns {
            let column = column.column();
            if frame.column(column.name()).is_ok_and(|held| *held.dtype() == DataType::String) {
                frame.with_column(column.clone().into_column())?;
            }
        }
        if let Some(name) = &roles.score {
            check_scores(origin, &frame, name)?;
        }
        Ok(Self { frame, texts: columns, score: roles.score })
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
        self.texts.clone()
    }

    /// The column of scores or labels, if there is one.
    pub fn scores(&self) -> Result<Option<Vec<f32>>> {
        let Some(name) = &self.score else { return Ok(None) };
        let scores = self.frame.column(name)?.cast(&DataType::Float32)?;
        Ok(Some(scores.f32()?.iter().map(|score| score.unwrap_or(f32::NAN)).collect()))
    }
}

impl fmt::Debug for TrainingSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrainingSet {{ examples: {}, columns: {} }}", self.len(), columns(&self.frame))
    }
}

/// Texts without a null, under the name of their column.
fn full(origin: Origin, column: StringChunked, name: &str) -> Result<Texts> {
    check_full(origin, &column, name)?;
    Ok(Texts::new(column))
}

fn check_scores(origin: Origin, frame: &DataFrame, name: &str) -> Result<()> {
    let scores = column(origin, frame, name, "numbers")?;
    if !scores.dtype().is_primitive_numeric() && !scores.dtype().is_bool() {
        return Err(origin.column_type(name, scores.dtype().to_string(), "numbers"));
    }
    match scores.is_null().first_true_idx() {
        Some(row) => Err(origin.row(row, name, "null", "a number")),
        None => Ok(()),
    }
}
