//! Judgements: which document is how relevant to which query.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use polars::prelude::*;

use super::frames::{column, ids};
use super::origin::Origin;
use super::{Corpus, Judgements, Queries};
use crate::{Error, Result};

/// Relevance judgements: query id -> document id -> grade; above 0 is relevant.
#[derive(Clone, Default, PartialEq)]
pub struct Qrels {
    grades: BTreeMap<PlSmallStr, Judgements>,
}

/// A document that a query has twice: both ids and the two grades.
pub(super) struct Twice {
    pub(super) query_id: String,
    pub(super) doc_id: String,
    pub(super) grades: [i64; 2],
}

impl Qrels {
    pub fn new() -> Self {
        Self::default()
    }

    /// From columns `query_id` and `doc_id` (strings or integers) and `grade` (whole numbers). The same
    /// judgement may be there twice, but not with two grades.
    pub fn from_frame(frame: &DataFrame) -> Result<Self> {
        Self::checked(Origin::Frame("qrels"), frame)
    }

    pub(super) fn checked(origin: Origin, frame: &DataFrame) -> Result<Self> {
        let query_ids = ids(origin, frame, "query_id")?;
        let doc_ids = ids(origin, frame, "doc_id")?;
        let grades = grades(origin, frame)?;
        let rows = || query_ids.iter().zip(doc_ids.iter()).zip(grades.iter()).enumerate();
        let mut qrels = Self::new();
        for (row, ((query_id, doc_id), grade)) in rows() {
            let value = |column: &str| origin.row(row, column, "null", "a value");
            let query_id = query_id.ok_or_else(|| value("query_id"))?;
            let doc_id = doc_id.ok_or_else(|| value("doc_id"))?;
            qrels.push(query_id, doc_id, grade.ok_or_else(|| value("grade"))?);
        }
        let Some(Twice { query_id, doc_id, grades: [before, grade] }) = qrels.sort(|one, other| one != other) else {
            return Ok(qrels);
        };
        let second = (Some(query_id.as_str()), Some(doc_id.as_str()), Some(grade));
        let row = rows().position(|(_, ((query, doc), found))| (query, doc, found) == second).unwrap_or_default();
        let problem = format!("{grade}, but query `{query_id}` and document `{doc_id}` were judged {before} above");
        Err(origin.row(row, "grade", problem, "one grade for a query and a document"))
    }

    /// Appends a judgement; they are in order after [`sort`](Self::sort).
    pub(super) fn push(&mut self, query_id: &str, doc_id: &str, grade: i64) {
        if let Some(judged) = self.grades.get_mut(query_id) {
            return judged.push(doc_id, grade);
        }
        self.grades.entry(query_id.into()).or_default().push(doc_id, grade);
    }

    /// Sorts what was pushed, and returns the first document that is judged twice, if its two grades are a `fault`.
    pub(super) fn sort(&mut self, fault: impl Fn(i64, i64) -> bool) -> Option<Twice> {
        for (query_id, judged) in &mut self.grades {
            let twice = judged.sort().find(|(_, one, other)| fault(*one, *other));
            if let Some((doc_id, one, other)) = twice {
                let (query_id, doc_id) = (query_id.to_string(), doc_id.to_owned());
                return Some(Twice { query_id, doc_id, grades: [one, other] });
            }
            judged.dedup();
        }
        None
    }

    /// Judges one document for one query; a second judgement replaces the first.
    pub fn insert(&mut self, query_id: impl Into<String>, doc_id: impl Into<String>, grade: i64) {
        self.grades.entry(query_id.into().into()).or_default().insert(&doc_id.into(), grade);
    }

    /// The judged documents of a query with their grades, by document id; `None` for a query without any.
    pub fn judgements(&self, query_id: &str) -> Option<&Judgements> {
        self.grades.get(query_id)
    }

    /// Whether the document is relevant to the query (grade above 0).
    pub fn is_relevant(&self, query_id: &str, doc_id: &str) -> bool {
        self.grades.get(query_id).and_then(|docs| docs.get(doc_id)).is_some_and(|grade| *grade > 0)
    }

    /// Query id and judged documents, by query id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Judgements)> {
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
            "doc_id" => rows().map(|(_, doc_id, _)| doc_id).collect::<Vec<_>>(),
            "grade" => rows().map(|(.., grade)| *grade).collect::<Vec<_>>(),
        )?)
    }

    /// An error for the first judgement whose query or document does not exist. `place` names the source.
    pub fn check(&self, place: &str, queries: &Queries, corpus: &Corpus) -> Result<()> {
        let query_ids: HashSet<&str> = queries.iter_ids().collect();
        let doc_ids: HashSet<&str> = corpus.iter_ids().collect();
        let unknown = |kind, id: &str, known, within: &str| {
            Err(Error::UnknownId { place: place.to_owned(), kind, id: id.to_owned(), known, within: within.to_owned() })
        };
        for (query_id, docs) in self.iter() {
            if !query_ids.contains(query_id) {
                return unknown("query", query_id, query_ids.len(), "the queries");
            }
            if let Some(doc_id) = docs.keys().find(|doc_id| !doc_ids.contains(doc_id)) {
                return unknown("document", doc_id, doc_ids.len(), "the corpus");
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Qrels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let judgements: usize = self.grades.values().map(Judgements::len).sum();
        write!(f, "Qrels {{ queries: {}, judgements: {judgements} }}", self.len())
    }
}

/// The column `grade` as integers; floats that are whole are some files' way to write them.
fn grades(origin: Origin, frame: &DataFrame) -> Result<Int64Chunked> {
    let grades = column(origin, frame, "grade", "a column of integers")?;
    let integers = match grades.dtype() {
        dtype if dtype.is_integer() || *dtype == DataType::Null => grades.strict_cast(&DataType::Int64)?,
        dtype if dtype.is_float() => {
            let floats = grades.cast(&DataType::Float64)?;
            // Below 2^53 a float holds every integer.
            let whole = |grade: f64| grade.fract() == 0.0 && grade.abs() < 9_007_199_254_740_992.0;
            if !floats.f64()?.iter().flatten().all(whole) {
                return Err(origin.column_type("grade", dtype.to_string(), "integers"));
            }
            floats.cast(&DataType::Int64)?
        }
        other => return Err(origin.column_type("grade", other.to_string(), "integers")),
    };
    Ok(integers.i64()?.clone())
}
