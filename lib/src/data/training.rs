//! What a model is trained on.

use std::fmt;

use polars::prelude::*;

use super::doc_lists::DocLists;
use super::frames::{as_strings, check_full, columns, texts};
use super::labels::Labels;
use super::origin::Origin;
use super::roles::{Roles, json_lists, negatives};
use super::texts::Texts;
use crate::random::Philox;
use crate::{Error, Result};

pub(crate) use super::roles::{LABELS, negative_column, text_column};

/// Training examples, one per row, in columns with the names that sentence-transformers uses:
///
/// | column | names |
/// |---|---|
/// | query | `query`, `anchor`, `sentence1` or `text1` |
/// | positive | `positive`, `sentence2` or `text2` |
/// | hard negatives, any number | `negative`, `negative_1`, `negative_2`, ..; or one column of lists |
/// | the label: a number or a list of numbers, see [`Labels`] | `score`, `scores`, `label` or `labels` |
///
/// Texts under other names are query and positive by their order, as in `question`, `answer`. Columns
/// of ids (`id`, `query_id`, ..) are kept. Anything else is an error, as it would not be trained on, and
/// so is a null.
///
/// Without negatives the rows are pairs, with one they are triples. One column of texts is enough if there are labels,
/// such as classes.
///
/// Lists of documents of any length, as a search returns them, are one column of lists (`docs`, `documents` or `passages`)
/// beside one of labels, a number for each document, in the place of positives and negatives. Losses of an order
/// ([`ListNet`](crate::loss::ListNet), [`LambdaLoss`](crate::loss::LambdaLoss), ..) train a cross-encoder on them:
///
/// ```
/// # use kensaku::data::{LabelKind, Labels, TrainingSet};
/// # use polars::prelude::*;
/// let docs = [Series::new("".into(), ["Paris", "Lyon", "Nice"]), Series::new("".into(), ["Rome"])];
/// let labels = [Series::new("".into(), [2.0, 1.0, 0.0]), Series::new("".into(), [1.0])];
/// let frame = df!("query" => ["capital of France", "capital of Italy"], "docs" => docs, "labels" => labels)?;
/// let lists = TrainingSet::new(frame)?;
/// assert_eq!((lists.len(), lists.labels().map(Labels::kind)), (2, Some(LabelKind::Ragged)));
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "RankedLists")]
#[derive(Clone)]
pub struct TrainingSet {
    frame: DataFrame,
    texts: Vec<Texts>,
    /// In the place of positives and negatives.
    docs: Option<DocLists>,
    labels: Option<Arc<Labels>>,
    /// Whether names say which column is the query, and not the order.
    named: bool,
}

impl TrainingSet {
    /// Checks the columns.
    pub fn new(frame: DataFrame) -> Result<Self> {
        Self::checked(Origin::Frame("training set"), frame)
    }

    pub(super) fn checked(origin: Origin, mut frame: DataFrame) -> Result<Self> {
        let roles = Roles::of(origin, &frame)?;
        let mut columns = Vec::new();
        for name in std::iter::once(&roles.query).chain(&roles.positive) {
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
        let docs = roles.docs.as_ref().map(|name| DocLists::of(origin, &mut frame, name)).transpose()?;
        let labels = |name: &PlSmallStr| match &docs {
            None => Labels::of(origin, &frame, name),
            Some(docs) => Labels::of_docs(origin, &frame, name, &docs.bounds),
        };
        let labels = roles.label.as_ref().map(labels).transpose()?;
        if let (Some(name), Some(labels)) = (&roles.label, &labels)
            && origin.is_nested(name)
        {
            frame.with_column(labels.lists_column(name))?;
        }
        Ok(Self { frame, texts: columns, docs, labels: labels.map(Arc::new), named: roles.named })
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

    /// The text columns in the order losses see them: query, positive, each negative; of lists the queries, and the
    /// documents of all queries one after the other. No text is copied.
    pub fn columns(&self) -> Vec<Texts> {
        self.texts.iter().chain(self.docs.as_ref().map(|lists| &lists.docs)).cloned().collect()
    }

    /// The texts of some rows by columns, as models read them. Of lists each document has the query beside it, and the second
    /// part tells where the documents of each query begin, and the end of the last.
    pub(crate) fn texts_of(&self, rows: &[usize]) -> (Vec<Vec<&str>>, Vec<usize>) {
        let Some(lists) = &self.docs else {
            let columns = self.texts.iter().map(|column| rows.iter().map(|row| &column[*row]).collect());
            return (columns.collect(), Vec::new());
        };
        let (mut queries, mut docs, mut bounds) = (Vec::new(), Vec::new(), vec![0]);
        for row in rows {
            docs.extend(lists.row(*row));
            queries.resize(docs.len(), &self.texts[0][*row]);
            bounds.push(docs.len());
        }
        (vec![queries, docs], bounds)
    }

    /// Where the documents of each query begin in the last of [`columns`](Self::columns), and the end of the last; nothing
    /// unless they are lists.
    pub(crate) fn list_bounds(&self) -> Option<&[usize]> {
        self.docs.as_ref().map(|lists| &*lists.bounds)
    }

    /// Splits off `share` of the examples at random: the training set without them, and the held-out ones, both in the order
    /// of their rows.
    ///
    /// ```
    /// # use kensaku::data::TrainingSet;
    /// # use polars::prelude::df;
    /// # let texts = |what: &str| (0..10).map(|n| format!("{what} {n}")).collect::<Vec<_>>();
    /// let pairs = TrainingSet::new(df!("query" => texts("where is"), "positive" => texts("here is"))?)?;
    /// let (train, held_out) = pairs.split(0.2, 42)?;
    /// assert_eq!((train.len(), held_out.len()), (8, 2));
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    ///
    /// # Errors
    /// If either would be empty.
    pub fn split(&self, share: f64, seed: u64) -> Result<(Self, Self)> {
        let count = (self.len() as f64 * share).round() as usize;
        if !(0.0..=1.0).contains(&share) || count == 0 || count >= self.len() {
            let expected = format!("a share that leaves some of the {} examples on both sides", self.len());
            return Err(Error::Setting { field: "share", value: share.to_string(), expected });
        }
        let mut rows: Vec<IdxSize> = (0..self.len() as IdxSize).collect();
        Philox::new(seed).shuffle(&mut rows);
        let mut held_out = rows.split_off(self.len() - count);
        let take = |rows: &mut Vec<IdxSize>| {
            rows.sort_unstable();
            Self::new(self.frame.take(&IdxCa::from_slice("rows".into(), rows))?)
        };
        Ok((take(&mut rows)?, take(&mut held_out)?))
    }

    /// The labels, if there are any.
    pub fn labels(&self) -> Option<&Labels> {
        self.labels.as_deref()
    }
}

impl fmt::Debug for TrainingSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrainingSet {{ examples: {}, columns: {}", self.len(), columns(&self.frame))?;
        if !self.named {
            let roles = self.texts.iter().enumerate().map(|(index, texts)| (text_column(index), texts.column().name()));
            let roles: Vec<String> = roles.map(|(role, name)| format!("{role} = `{name}`")).collect();
            write!(f, "; by their order: {}", roles.join(", "))?;
        }
        f.write_str(" }")
    }
}

/// Texts without a null, under the name of their column.
fn full(origin: Origin, column: StringChunked, name: &str) -> Result<Texts> {
    check_full(origin, &column, name)?;
    Ok(Texts::new(column))
}
