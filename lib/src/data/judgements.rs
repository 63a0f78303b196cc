//! The judgements of one query.

use std::{iter, slice};

use polars::prelude::PlSmallStr;

/// Document id -> grade, in order of ids: 32 bytes per judgement, as most ids are short.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judgements(Vec<(PlSmallStr, i64)>);

impl Judgements {
    /// Appends a judgement; the ids are in order after [`sort`](Self::sort).
    pub(super) fn push(&mut self, doc_id: &str, grade: i64) {
        self.0.push((doc_id.into(), grade));
    }

    /// Sorts by id and gives each document that is judged twice, with its grades.
    pub(super) fn sort(&mut self) -> impl Iterator<Item = (&str, i64, i64)> {
        self.0.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.0.shrink_to_fit();
        let pairs = self.0.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        pairs.map(|pair| (pair[0].0.as_str(), pair[0].1, pair[1].1))
    }

    /// Leaves each document once.
    pub(super) fn dedup(&mut self) {
        self.0.dedup_by(|one, other| one.0 == other.0);
    }

    pub(super) fn insert(&mut self, doc_id: &str, grade: i64) {
        match self.position(doc_id) {
            Ok(found) => self.0[found].1 = grade,
            Err(place) => self.0.insert(place, (doc_id.into(), grade)),
        }
    }

    /// The number of judged documents.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The grade of a document, if it is judged.
    pub fn get(&self, doc_id: &str) -> Option<&i64> {
        self.position(doc_id).ok().map(|found| &self.0[found].1)
    }

    /// Document id and grade, by document id.
    pub fn iter(&self) -> Iter<'_> {
        self.into_iter()
    }

    /// The document ids, sorted.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.iter().map(|(doc_id, _)| doc_id)
    }

    /// The grades, by document id.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &i64> {
        self.iter().map(|(_, grade)| grade)
    }

    fn position(&self, doc_id: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(id, _)| id.as_str().cmp(doc_id))
    }
}

type Iter<'a> = iter::Map<slice::Iter<'a, (PlSmallStr, i64)>, fn(&(PlSmallStr, i64)) -> (&str, &i64)>;

impl<'a> IntoIterator for &'a Judgements {
    type Item = (&'a str, &'a i64);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.0.iter().map(|(doc_id, grade)| (doc_id.as_str(), grade))
    }
}
