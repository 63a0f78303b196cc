//! What a loss sees: the outputs of a model, and what the training set says about them.

use std::sync::Arc;

use candle_core::Tensor;

use super::max_sim::check_rows;
use super::{Interaction, Scoring};
use crate::{Error, Result};

/// What a model makes of one training batch: row `i` of every tensor belongs to example `i`.
///
/// ```
/// use kensaku::loss::Batch;
/// # use kensaku::candle_core::{Device, Tensor};
/// # let rows = |x: f32| Tensor::new(&[[1.0, x], [x, 1.0]], &Device::Cpu);
/// let batch = Batch::new(vec![rows(0.0)?, rows(0.1)?, rows(0.2)?]);
/// assert_eq!((batch.examples()?, batch.negatives().len()), (2, 1));
/// // Each query with the documents of all examples: the positives first.
/// assert_eq!((batch.docs()?.dims(), batch.scores()?.dims()), (&[4, 2][..], &[2, 4][..]));
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// One tensor `(B, dim)` per column: queries, positives, each column of negatives. Of a cross-encoder `(B, labels)` per
    /// column of documents, each read with the queries: positives, each column of negatives. Of a late-interaction model
    /// `(tokens, dim)`, the tokens of all texts of a column one after the other.
    pub columns: Vec<Tensor>,
    /// Of each column where the rows of each text begin, and the end of the last; empty where a text has one row.
    pub bounds: Vec<Vec<usize>>,
    /// The label of each example, if there are any: a score or a class `(B,)`, or several numbers
    /// `(B, k)`, such as margins or the vector of a teacher.
    pub labels: Option<Tensor>,
    /// The columns as a guide model embeds them, without gradients; empty without a guide.
    pub guide: Vec<Tensor>,
    /// Where the documents of each query begin among the pairs of a cross-encoder's only column, and the end of the last;
    /// empty where there is a column for each document of a query.
    pub lists: Vec<usize>,
    /// How the model scores a query with a document.
    pub scoring: Scoring,
    /// The columns as layers before the last output them, with the number of the layer, for a loss that needs them
    /// ([`AdaptiveLayer`](super::AdaptiveLayer)).
    pub layers: Vec<(usize, Vec<Tensor>)>,
    /// The parameters of the loss by their names ([`Batch::parameter`]).
    pub parameters: Vec<(String, Tensor)>,
    /// How much of its training is done, from 0: steps over those that its schedule spans. `None` outside of one, and where
    /// no end is known, as for steps by hand without `total_steps`.
    pub progress: Option<f64>,
    /// The training set it is of, if there are several ([`MultiSet`](crate::train::MultiSet)).
    pub set: Option<Arc<str>>,
}

impl Batch {
    /// A batch of columns, compared by cosine.
    pub fn new(columns: Vec<Tensor>) -> Self {
        Self { columns, ..Self::default() }
    }

    /// A batch of pairs that a cross-encoder has read: one column `(B, labels)` per document of an example.
    pub fn read_pairs(columns: Vec<Tensor>) -> Self {
        Self { columns, scoring: Scoring::Pairs, ..Self::default() }
    }

    /// A batch of texts that have a row per token, as those of a late-interaction model: per column their rows
    /// `(tokens, dim)`, and where those of each text begin, with the end of the last.
    ///
    /// ```
    /// use kensaku::loss::{Batch, Interaction};
    /// # use kensaku::candle_core::{Device, Tensor};
    /// let rows = Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8], [0.0, 1.0]], &Device::Cpu)?;
    /// // Two examples: of both columns the first text has two tokens, the second one.
    /// let column = (rows, vec![0, 2, 3]);
    /// let batch = Batch::tokens(vec![column.clone(), column], Interaction::Sum);
    /// assert_eq!(batch.scores()?.dims(), [2, 2]);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn tokens(columns: Vec<(Tensor, Vec<usize>)>, interaction: Interaction) -> Self {
        let (columns, bounds) = columns.into_iter().unzip();
        Self { columns, bounds, scoring: Scoring::Tokens(interaction), ..Self::default() }
    }

    /// A batch of queries and positives.
    pub fn pairs(queries: Tensor, positives: Tensor) -> Self {
        Self::new(vec![queries, positives])
    }

    /// The vectors of the first column `(B, dim)`. A cross-encoder has none, a late-interaction model many per text.
    pub fn queries(&self) -> Result<&Tensor> {
        self.column(0, "query")
    }

    /// The vectors of the second column `(B, dim)`. A cross-encoder has none, a late-interaction model many per text.
    pub fn positives(&self) -> Result<&Tensor> {
        self.column(1, "positive")
    }

    /// The scores of each example's first pair, one per label `(B, labels)`, of a cross-encoder.
    pub fn logits(&self) -> Result<&Tensor> {
        match (self.scoring, self.columns.first()) {
            (Scoring::Pairs, Some(logits)) => Ok(logits),
            _ => Err(Error::Shape {
                what: "logits of a batch".to_owned(),
                found: self.scoring.spoken().to_owned(),
                expected: "the outputs of a cross-encoder; `batch.scores()` are those of any model".to_owned(),
            }),
        }
    }

    /// All further columns, each `(B, dim)`.
    pub fn negatives(&self) -> &[Tensor] {
        self.columns.get(2..).unwrap_or_default()
    }

    /// The same; an error if there are none.
    pub(super) fn some_negatives(&self) -> Result<&[Tensor]> {
        match self.negatives() {
            [] => Err(self.missing("negative")),
            negatives => Ok(negatives),
        }
    }

    /// The documents of all columns, one column after the other `((1 + negatives) * B, dim)`: row `i`
    /// is the positive of query `i`.
    pub fn docs(&self) -> Result<Tensor> {
        self.positives()?;
        Ok(Tensor::cat(&self.columns[1..], 0)?)
    }

    /// The labels.
    pub fn labels(&self) -> Result<&Tensor> {
        self.labels.as_ref().ok_or_else(|| self.missing("label"))
    }

    /// One label per example `(B,)`.
    pub(super) fn numbers(&self) -> Result<&Tensor> {
        let labels = self.labels()?;
        match labels.rank() {
            1 => Ok(labels),
            _ => Err(Error::Shape {
                what: "labels of a batch".to_owned(),
                found: format!("{:?}", labels.dims()),
                expected: "one number per example".to_owned(),
            }),
        }
    }

    /// `B`; an error if there is no example, or if the tensors do not belong together.
    pub fn examples(&self) -> Result<usize> {
        let queries = self.columns.first().ok_or_else(|| self.missing("query"))?;
        let shape = |tensor: &Tensor| format!("{:?}", tensor.dims());
        let problem = |what: &str, found: String, expected: String| {
            Err(Error::Shape { what: format!("{what} of a batch"), found, expected })
        };
        let &[rows, width] = queries.dims() else {
            return problem("queries", shape(queries), "(B, dim)".to_owned());
        };
        let of_tokens = matches!(self.scoring, Scoring::Tokens(_));
        let examples = if of_tokens { self.check_tokens()? } else { rows };
        if examples == 0 {
            return problem("queries", shape(queries), "at least one example".to_owned());
        }
        for (index, docs) in self.columns.iter().enumerate().skip(1) {
            let fits = if of_tokens { docs.dims().get(1) == Some(&width) } else { docs.dims() == queries.dims() };
            if !fits {
                let what = if index == 1 { "positives" } else { "negatives" };
                return problem(what, shape(docs), format!("that of the queries, {}", shape(queries)));
            }
        }
        if let Some(guide) = self.guide.iter().find(|guide| guide.dims().first() != Some(&examples)) {
            return problem("guide's vectors", shape(guide), format!("({examples}, dim), one row per example"));
        }
        match &self.labels {
            Some(labels) if labels.dims().first() != Some(&examples) => {
                problem("labels", shape(labels), format!("[{examples}], one per example"))
            }
            _ => Ok(examples),
        }
    }

    /// The number of texts of each column; an error if rows and bounds do not belong together.
    fn check_tokens(&self) -> Result<usize> {
        let problem = |found: String, expected: String| {
            Err(Error::Shape { what: "bounds of a batch of tokens".to_owned(), found, expected })
        };
        if self.bounds.len() != self.columns.len() {
            let (found, expected) = (self.bounds.len(), self.columns.len());
            return problem(format!("{found} lists"), format!("one per column, {expected}"));
        }
        let examples = self.bounds.first().map_or(0, Vec::len);
        for (index, (rows, bounds)) in self.columns.iter().zip(&self.bounds).enumerate() {
            let kind = crate::data::text_column(index);
            check_rows(&kind, rows, bounds)?;
            if bounds.len() != examples {
                let expected = format!("{}, as of the queries", examples.saturating_sub(1));
                return problem(format!("{} texts of column `{kind}`", bounds.len() - 1), expected);
            }
        }
        Ok(examples.saturating_sub(1))
    }

    fn column(&self, index: usize, name: &str) -> Result<&Tensor> {
        if !matches!(self.scoring, Scoring::Vectors(_)) {
            return Err(Error::Shape {
                what: format!("vectors of column `{name}`"),
                found: self.scoring.spoken().to_owned(),
                expected: "a model with one vector per text, or a loss of `batch.scores()`".to_owned(),
            });
        }
        self.columns.get(index).ok_or_else(|| self.missing(name))
    }

    pub(super) fn missing(&self, column: &str) -> Error {
        let names = (0..self.columns.len()).map(crate::data::text_column).collect::<Vec<_>>();
        Error::MissingColumn {
            place: "batch".to_owned(),
            column: column.to_owned(),
            found: if names.is_empty() { "no columns".to_owned() } else { names.join(", ") },
            expected: match column {
                "negative" => "a training set with negatives (kensaku::mine makes them)",
                _ => "a training set that has it",
            }
            .to_owned(),
        }
    }
}
