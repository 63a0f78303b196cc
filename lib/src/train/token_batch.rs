//! A batch of examples as token ids.

use crate::data::{Labels, Texts};
use crate::model::{BiEncoder, Role};
use crate::{Error, Result};

/// The token ids of a batch: column (query, positive, negatives..), row, ids.
///
/// ```
/// use kensaku::train::TokenBatch;
/// let columns = vec![vec![vec![2, 7, 3]], vec![vec![2, 9, 8, 3]]];
/// let batch = TokenBatch { columns, ..Default::default() };
/// assert_eq!((batch.examples(), batch.tokens()), (1, 7));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenBatch {
    pub columns: Vec<Vec<Vec<u32>>>,
    pub labels: Option<Labels>,
    /// The vectors of a guide, like `columns`; empty without a guide.
    pub guide: Vec<Vec<Vec<f32>>>,
    /// The rows of the training set that it is made of, for messages; empty where it is made by hand.
    pub rows: Vec<usize>,
    /// How many of its texts were longer than the model takes, and lost their end.
    pub truncated: usize,
}

impl TokenBatch {
    /// Some rows of the columns of a training set.
    pub(super) fn new(model: &BiEncoder, columns: &[Texts], labels: Option<&Labels>, rows: &[usize]) -> Result<Self> {
        let examples = columns.iter().map(Texts::len).min().unwrap_or(0);
        if let Some(row) = rows.iter().find(|row| **row >= examples) {
            let expected = format!("rows of the training set, which has {examples}");
            return Err(Error::Setting { field: "rows", value: row.to_string(), expected });
        }
        let mut batch = Self { labels: labels.map(|labels| labels.rows(rows)), rows: rows.to_vec(), ..Self::default() };
        for (index, column) in columns.iter().enumerate() {
            let texts: Vec<&str> = rows.iter().map(|row| &column[*row]).collect();
            let encodings = model.encodings(&texts, role(index))?;
            batch.truncated += encodings.truncated;
            batch.columns.push(encodings.ids);
        }
        Ok(batch)
    }

    /// An error if it is empty. Whether its columns belong together is for the loss to say, which may leave one out.
    pub(super) fn check(&self) -> Result<()> {
        if self.examples() > 0 {
            return Ok(());
        }
        let problem = "a batch without examples".to_owned();
        Err(Error::NothingToTrain { problem, expected: "at least one".to_owned() })
    }

    /// The number of examples.
    pub fn examples(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }

    /// Tokens of all texts.
    pub fn tokens(&self) -> usize {
        self.columns.iter().flatten().map(Vec::len).sum()
    }
}

/// The first column holds queries, all others documents.
pub(super) fn role(column: usize) -> Role {
    if column == 0 { Role::Query } else { Role::Doc }
}
