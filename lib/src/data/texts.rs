//! A column of texts.

use std::fmt;
use std::ops::Index;

use polars::prelude::StringChunked;

/// The texts of a column, shared with its frame: a clone copies no text. A null is an empty text.
///
/// ```
/// # use kensaku::data::TrainingSet;
/// # use polars::prelude::df;
/// let pairs = TrainingSet::new(df!("query" => ["a", "b"], "positive" => ["c", "d"])?)?;
/// let [queries, positives] = &pairs.columns()[..] else { unreachable!() };
/// assert_eq!((&queries[1], positives.iter().collect::<Vec<_>>()), ("b", vec!["c", "d"]));
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Texts(StringChunked);

impl Texts {
    /// Of one chunk, so that a row is found at once.
    pub(crate) fn new(column: StringChunked) -> Self {
        Self(column.rechunk().into_owned())
    }

    pub(super) fn column(&self) -> &StringChunked {
        &self.0
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text of a row, if there is one.
    pub fn get(&self, row: usize) -> Option<&str> {
        (row < self.len()).then(|| self.0.get(row).unwrap_or_default())
    }

    /// The texts in the order of rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|row| self.0.get(row).unwrap_or_default())
    }

    /// Copies of the texts.
    pub fn to_vec(&self) -> Vec<String> {
        self.iter().map(str::to_owned).collect()
    }
}

impl Index<usize> for Texts {
    type Output = str;

    /// # Panics
    ///
    /// If there are fewer rows.
    fn index(&self, row: usize) -> &str {
        assert!(row < self.len(), "row {row} of {} texts", self.len());
        self.0.get(row).unwrap_or_default()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Texts {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        Self(texts.into_iter().map(Some).collect())
    }
}

impl<S: AsRef<str>, const N: usize> PartialEq<[S; N]> for Texts {
    fn eq(&self, other: &[S; N]) -> bool {
        self.len() == N && self.iter().zip(other).all(|(one, other)| one == other.as_ref())
    }
}

impl PartialEq for Texts {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
