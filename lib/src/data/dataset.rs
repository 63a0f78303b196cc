//! A whole data set: documents, queries, and the judgements of each split.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use polars::prelude::*;

use super::{Corpus, Qrels, Queries, TrainingSet};
use crate::{Error, Result};

/// A retrieval data set. Splits share the corpus and differ in what is asked.
#[derive(Clone)]
pub struct Dataset {
    pub name: String,
    pub corpus: Corpus,
    /// The queries of all splits.
    pub queries: Queries,
    /// Split (`train`, `dev`, `test`) -> judgements.
    pub qrels: BTreeMap<String, Qrels>,
}

/// One split of a [`Dataset`].
#[derive(Debug, Clone)]
pub struct Split {
    /// The judged queries only, in order of the data set.
    pub queries: Queries,
    pub qrels: Qrels,
}

impl Dataset {
    /// Checks that every judgement is of a known query and document.
    pub fn new(
        name: impl Into<String>,
        corpus: Corpus,
        queries: Queries,
        qrels: BTreeMap<String, Qrels>,
    ) -> Result<Self> {
        let name = name.into();
        for (split, judged) in &qrels {
            judged.check(&format!("{name}, qrels of split `{split}`"), &queries, &corpus)?;
        }
        Ok(Self { name, corpus, queries, qrels })
    }

    /// The queries of a split and their judgements.
    pub fn split(&self, name: &str) -> Result<Split> {
        let qrels = self.judgements(name)?.clone();
        let judged: BooleanChunked = self.queries.iter_ids().map(|id| Some(qrels.judgements(id).is_some())).collect();
        let queries = Queries::new(self.queries.frame().filter(&judged)?)?;
        Ok(Split { queries, qrels })
    }

    /// The training pairs of a split: one row a relevant judgement (grade above 0), by query id and
    /// document id. Columns `query` and `positive` hold the texts ([`Corpus::texts`]: title and text),
    /// `query_id` and `positive_id` the ids, by which negative mining knows what not to return.
    pub fn pairs(&self, split: &str) -> Result<TrainingSet> {
        let qrels = self.judgements(split)?;
        qrels.check(&format!("{}, qrels of split `{split}`", self.name), &self.queries, &self.corpus)?;
        let relevant: Vec<(&str, &str)> = qrels
            .iter()
            .flat_map(|(query_id, docs)| docs.iter().map(move |(doc_id, grade)| (query_id, doc_id, *grade)))
            .filter(|(.., grade)| *grade > 0)
            .map(|(query_id, doc_id, _)| (query_id, doc_id))
            .collect();
        let queries: HashMap<&str, &str> = self.queries.iter_ids().zip(self.queries.iter_texts()).collect();
        // Only of these documents, title and text become one.
        let wanted: HashSet<&str> = relevant.iter().map(|(_, doc_id)| *doc_id).collect();
        let docs = self.corpus.iter_ids().zip(self.corpus.iter_texts()).filter(|(doc_id, _)| wanted.contains(doc_id));
        let docs: HashMap<&str, Cow<str>> = docs.collect();
        TrainingSet::new(df!(
            "query" => relevant.iter().map(|(query_id, _)| queries[*query_id]).collect::<Vec<_>>(),
            "positive" => relevant.iter().map(|(_, doc_id)| docs[*doc_id].as_ref()).collect::<Vec<_>>(),
            "query_id" => relevant.iter().map(|(query_id, _)| *query_id).collect::<Vec<_>>(),
            "positive_id" => relevant.iter().map(|(_, doc_id)| *doc_id).collect::<Vec<_>>(),
        )?)
    }

    fn judgements(&self, split: &str) -> Result<&Qrels> {
        self.qrels.get(split).ok_or_else(|| Error::UnknownSplit {
            place: self.name.clone(),
            split: split.to_owned(),
            found: self.qrels.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }
}

/// `scifact: 5183 documents, 1109 queries; test: 300 queries, 339 judgements; train: ..`
impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} documents, {} queries", self.name, self.corpus.len(), self.queries.len())?;
        self.qrels.iter().try_for_each(|(split, qrels)| {
            let judgements: usize = qrels.iter().map(|(_, docs)| docs.len()).sum();
            write!(f, "; {split}: {} queries, {judgements} judgements", qrels.len())
        })
    }
}

/// The same summary: the frames print themselves.
impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
