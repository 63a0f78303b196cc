//! A batch of examples as token ids.

use std::fmt;
use std::sync::Arc;

use crate::data::{Labels, TrainingSet};
use crate::model::Tokens;
use crate::nn::PackedBatch;
use crate::{Error, Result};

/// The token ids of a batch: a column of sequences for queries, one for positives, one for each column of negatives. A
/// cross-encoder has a column of pairs for each column of documents.
///
/// ```
/// use kensaku::nn::PackedBatch;
/// use kensaku::train::TokenBatch;
///
/// let columns = vec![PackedBatch::new([[2, 7, 3]]), PackedBatch::new([[2, 9, 8, 3]])];
/// let batch = TokenBatch { columns, ..Default::default() };
/// assert_eq!((batch.examples(), batch.tokens()), (1, 7));
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct TokenBatch {
    pub columns: Vec<PackedBatch>,
    pub labels: Option<Labels>,
    /// Where the documents of each query begin among the pairs of a cross-encoder's only column, and the end of the last;
    /// empty where there is a column for each document of a query.
    pub lists: Vec<usize>,
    /// The vectors of a guide, by column and row; empty without a guide.
    pub guide: Vec<Vec<Vec<f32>>>,
    /// The rows of the training set that it is made of, for messages; empty where it is made by hand.
    pub rows: Vec<usize>,
    /// The name of that set, if there are several ([`MultiSet`](super::MultiSet)).
    pub set: Option<Arc<str>>,
    /// How many of its texts were longer than the model takes, and lost their end.
    pub truncated: usize,
}

impl TokenBatch {
    /// Some rows of a training set.
    pub(super) fn new(
        tokenize: impl Fn(&[Vec<&str>]) -> Result<Tokens>,
        data: &TrainingSet,
        rows: &[usize],
    ) -> Result<Self> {
        let examples = data.len();
        if let Some(row) = rows.iter().find(|row| **row >= examples) {
            let expected = format!("rows of the training set, which has {examples}");
            return Err(Error::Setting { field: "rows", value: row.to_string(), expected });
        }
        let labels = data.labels().map(|labels| labels.rows(rows));
        let (texts, lists) = data.texts_of(rows);
        let Tokens { columns, truncated } = tokenize(&texts)?;
        Ok(Self { columns, labels, lists, rows: rows.to_vec(), truncated, ..Self::default() })
    }

    /// An error if it is empty. Whether its columns belong together is for the loss to say, which may leave one out.
    pub(super) fn check(&self) -> Result<()> {
        if self.examples() > 0 {
            return Ok(());
        }
        let problem = "a batch without examples".to_owned();
        Err(Error::NothingToTrain { problem, expected: "at least one".to_owned() })
    }

    /// The number of examples: of queries with lists of documents, that of the queries.
    pub fn examples(&self) -> usize {
        match self.lists.as_slice() {
            [] => self.columns.first().map_or(0, PackedBatch::sequences),
            [_, lists @ ..] => lists.len(),
        }
    }

    /// Tokens of all texts.
    pub fn tokens(&self) -> usize {
        self.columns.iter().map(PackedBatch::tokens).sum()
    }

    /// Sequences of all columns.
    pub(super) fn sequences(&self) -> usize {
        self.columns.iter().map(PackedBatch::sequences).sum()
    }
}

/// Its sizes: token ids fill a screen.
impl fmt::Debug for TokenBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens: Vec<usize> = self.columns.iter().map(PackedBatch::tokens).collect();
        write!(f, "TokenBatch {{ examples: {}, tokens of its columns: {tokens:?}", self.examples())?;
        if let Some(labels) = &self.labels {
            write!(f, ", labels: {}", labels.len())?;
        }
        if let Some(set) = &self.set {
            write!(f, ", set: {set:?}")?;
        }
        f.write_str(" }")
    }
}
