//! Judgements: which document is how relevant to which query.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use polars::prelude::*;

use super::frames::{column, string_column};
use super::place::Place;
use super::{Corpus, Queries};
use crate::{Error, Result};

/// Relevance judgements: query id -> document id -> grade; above 0 is relevant.
#[derive(Clone, Default, PartialEq)]
pub struct Qrels {
    grades: BTreeMap<String, BTreeMap<String, i64>>,
}

impl Qrels {
    pub fn new() -> Self {
        Self::default()
    }

    /// From columns `query_id` and `doc_id` (strings) and `grade` (integers). The same judgement may
    /// stand twice, but not with two grades.
    pub fn from_frame(frame: &DataFrame) -> Result<Self> {
        Self::checked(Place::Frame("qrels"), frame)
    }

    pub(super) fn checked(place: Place, frame: &DataFrame) -> Result<Self> {
        let query_ids = string_column(place, frame, "query_id")?;
        let doc_ids = string_column(place, frame, "doc_id")?;
        let grades = column(place, frame, "grade", "a column of integers")?;
        if !grades.dtype().is_integer() {
            return Err(Error::ColumnType {
                place: place.name(),
                column: "grade".to_owned(),
                found: grades.dtype().to_string(),
                expected: "integers".to_owned(),
            });
        }
        let grades = grades.cast(&DataType::Int64)?;
        let mut qrels = Self::new();
        for (row, ((query_id, doc_id), grade)) in
            query_ids.iter().zip(doc_ids.iter()).zip(grades.i64()?.iter()).enumerate()
        {
            let value = |column: &str| place.row(row, column, "null".to_owned(), "a value".to_owned());
            let query_id = query_id.ok_or_else(|| value("query_id"))?;
            let doc_id = doc_id.ok_or_else(|| value("doc_id"))?;
            let grade = grade.ok_or_else(|| value("grade"))?;
            let judged = qrels.grades.entry(query_id.to_owned()).or_default();
            if let Some(before) = judged.insert(doc_id.to_owned(), grade).filter(|before| *before != grade) {
                let problem =
                    format!("{grade}, but query `{query_id}` and document `{doc_id}` were judged {before} above");
                return Err(place.row(row, "grade", problem, "one grade for a query and a document".to_owned()));
            }
        }
        Ok(qrels)
    }

    /// Judges one document for one query; a second judgement replaces the first.
    pub fn insert(&mut self, query_id: impl Into<String>, doc_id: impl Into<String>, grade: i64) {
        self.grades.entry(query_id.into()).or_default().insert(doc_id.into(), grade);
    }

    /// The judged documents of a query with their grades, by document id; `None` for a query without any.
    pub fn judgements(&self, query_id: &str) -> Option<&BTreeMap<String, i64>> {
        self.grades.get(query_id)
    }

    /// Whether the document is relevant to the query (grade above 0).
    pub fn is_relevant(&self, query_id: &str, doc_id: &str) -> bool {
        self.grades.get(query_id).and_then(|docs| docs.get(doc_id)).is_some_and(|grade| *grade > 0)
    }

    /// Query id and judged documents, by query id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, i64>)> {
        self.grades.iter().map(|(query_id, docs)| (query_id.as_str(), docs))
    }

    /// The number of judged queries.
    pub fn len(&self) -> usize {
        self.grades.len()
    }

    pub fn is_empty(&self) -> bool {
        self.grades.is_empty()
    }

    /// The judgements as a frame: `query_id`, `doc_id`, `grade`.
    pub fn frame(&self) -> Result<DataFrame> {
        let rows = || {
            self.iter().flat_map(|(query_id, docs)| docs.iter().map(move |(doc_id, grade)| (query_id, doc_id, grade)))
        };
        Ok(df!(
            "query_id" => rows().map(|(query_id, ..)| query_id).collect::<Vec<_>>(),
            "doc_id" => rows().map(|(_, doc_id, _)| doc_id.as_str()).collect::<Vec<_>>(),
            "grade" => rows().map(|(.., grade)| *grade).collect::<Vec<_>>(),
        )?)
    }

    /// An error for the first judgement whose query or document does not exist. `place` names the source.
    pub fn check(&self, place: &str, queries: &Queries, corpus: &Corpus) -> Result<()> {
        let query_ids: HashSet<String> = queries.query_ids().into_iter().collect();
        let doc_ids: HashSet<String> = corpus.doc_ids().into_iter().collect();
        let unknown = |kind, id: &str, known, within: &str| {
            Err(Error::UnknownId { place: place.to_owned(), kind, id: id.to_owned(), known, within: within.to_owned() })
        };
        for (query_id, docs) in self.iter() {
            if !query_ids.contains(query_id) {
                return unknown("query", query_id, query_ids.len(), "the queries");
            }
            if let Some(doc_id) = docs.keys().find(|doc_id| !doc_ids.contains(*doc_id)) {
                return unknown("document", doc_id, doc_ids.len(), "the corpus");
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Qrels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let judgements: usize = self.grades.values().map(BTreeMap::len).sum();
        write!(f, "Qrels {{ queries: {}, judgements: {judgements} }}", self.len())
    }
}
