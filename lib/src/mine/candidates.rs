//! Shared by all ways of mining: which documents may be negatives of a query, and the resulting rows.

use std::collections::{HashMap, HashSet};

use polars::prelude::*;

use crate::data::{Corpus, Judgements, Qrels, Queries, TrainingSet, negative_column};
use crate::show::{Message, display, progress_iter};
use crate::{Error, Result, interrupt};

/// Chooses negatives for every query with `choose(query, positives, candidates)`, where `query` is the row of the query in
/// its frame. It returns document numbers, or `None` if there are too few candidates.
pub(super) fn training_set(
    queries: &Queries,
    qrels: &Qrels,
    corpus: &Corpus,
    num_negatives: usize,
    mut choose: impl FnMut(usize, &[usize], &Candidates) -> Result<Option<Vec<usize>>>,
) -> Result<TrainingSet> {
    check_number(num_negatives, corpus)?;
    let docs = Docs::new(corpus);
    let mut rows = Rows::new(num_negatives);
    let (mut judged, mut dropped) = (0, 0);
    let (query_ids, texts) = (queries.query_ids(), queries.texts());
    check_judged(qrels, &query_ids)?;
    for (query, (query_id, text)) in progress_iter("mining", query_ids.iter().zip(&texts)).enumerate() {
        interrupt::check("mining")?;
        let positives = docs.positives(query_id, qrels.judgements(query_id))?;
        if positives.is_empty() {
            continue;
        }
        judged += 1;
        match choose(query, &positives, &Candidates::new(&docs, text, &positives))? {
            Some(negatives) => rows.extend(query, &positives, &negatives),
            None => dropped += 1,
        }
    }
    if dropped > 0 {
        let why = format!("they have fewer than {num_negatives} negatives");
        display(&Message::text(format!("mining left out {dropped} of {judged} queries: {why}")));
    }
    rows.into_training_set(&query_ids, &texts, &docs)
}

/// Fails unless a query can have as many negatives: one of the documents is its positive.
pub(super) fn check_number(num_negatives: usize, corpus: &Corpus) -> Result<()> {
    let expected = match num_negatives {
        0 => "a number of at least 1".to_owned(),
        _ if num_negatives >= corpus.len() => format!("fewer than the {} documents of the corpus", corpus.len()),
        _ => return Ok(()),
    };
    Err(Error::Setting { field: "num_negatives", value: num_negatives.to_string(), expected })
}

/// Fails if the judgements are of other queries, such as those of another split.
pub(super) fn check_judged(qrels: &Qrels, query_ids: &[String]) -> Result<()> {
    let none = query_ids.iter().all(|query_id| qrels.judgements(query_id).is_none());
    match none && !qrels.is_empty() && !query_ids.is_empty() {
        true => Err(Error::NothingJudgedToMine { queries: query_ids.len(), qrels: qrels.len() }),
        false => Ok(()),
    }
}

/// The documents, numbered by their row in the corpus.
pub(super) struct Docs {
    ids: Vec<String>,
    texts: Vec<String>,
    numbers: HashMap<String, usize>,
    /// For each document the first one with the same text.
    same_text: Vec<usize>,
}

impl Docs {
    pub(super) fn new(corpus: &Corpus) -> Self {
        let (ids, texts) = (corpus.doc_ids(), corpus.texts());
        let numbers = ids.iter().cloned().zip(0..).collect();
        let mut first: HashMap<&str, usize> = HashMap::with_capacity(texts.len());
        let same_text = texts.iter().enumerate().map(|(doc, text)| *first.entry(text).or_insert(doc)).collect();
        Self { ids, numbers, same_text, texts }
    }

    pub(super) fn id(&self, doc: usize) -> &str {
        &self.ids[doc]
    }

    pub(super) fn ids(&self) -> &[String] {
        &self.ids
    }

    pub(super) fn texts(&self) -> &[String] {
        &self.texts
    }

    pub(super) fn positives(&self, query_id: &str, judgements: Option<&Judgements>) -> Result<Vec<usize>> {
        let relevant = judgements.into_iter().flatten().filter(|(_, grade)| **grade > 0);
        relevant.map(|(doc_id, _)| self.number(doc_id, "qrels", query_id)).collect()
    }

    pub(super) fn number(&self, doc_id: &str, source: &str, query_id: &str) -> Result<usize> {
        self.numbers.get(doc_id).copied().ok_or_else(|| Error::UnknownId {
            place: format!("{source}, query `{query_id}`"),
            kind: "document",
            id: doc_id.to_owned(),
            known: self.ids.len(),
            within: "the corpus".to_owned(),
        })
    }
}

/// The documents that may be negatives of one query.
pub(super) struct Candidates<'a> {
    docs: &'a Docs,
    query_text: &'a str,
    positives: HashSet<usize>,
}

impl<'a> Candidates<'a> {
    pub(super) fn new(docs: &'a Docs, query_text: &'a str, positives: &[usize]) -> Self {
        Self { docs, query_text, positives: positives.iter().map(|doc| docs.same_text[*doc]).collect() }
    }

    /// The number of documents in the corpus, candidates or not.
    pub(super) fn num_docs(&self) -> usize {
        self.docs.ids.len()
    }

    /// Keeps, in their order, the documents that are neither positive nor the query itself; of documents with the same
    /// text, the first. What else is known of them goes with them.
    pub(super) fn filter<T>(&self, documents: impl Iterator<Item = (usize, T)>) -> impl Iterator<Item = (usize, T)> {
        let mut seen = self.positives.clone();
        documents
            .filter(move |(doc, _)| self.docs.texts[*doc] != self.query_text && seen.insert(self.docs.same_text[*doc]))
    }
}

/// The rows of a training set, by column: numbers of queries and documents.
struct Rows {
    queries: Vec<usize>,
    positives: Vec<usize>,
    /// One vector per column of negatives.
    negatives: Vec<Vec<usize>>,
}

impl Rows {
    fn new(num_negatives: usize) -> Self {
        Self { queries: vec![], positives: vec![], negatives: vec![vec![]; num_negatives] }
    }

    fn extend(&mut self, query: usize, positives: &[usize], negatives: &[usize]) {
        for positive in positives {
            self.queries.push(query);
            self.positives.push(*positive);
            for (column, negative) in self.negatives.iter_mut().zip(negatives) {
                column.push(*negative);
            }
        }
    }

    fn into_training_set(self, query_ids: &[String], query_texts: &[String], docs: &Docs) -> Result<TrainingSet> {
        let mut texts = vec![column("query", query_texts, &self.queries)];
        let mut ids = vec![column("query_id", query_ids, &self.queries)];
        let negatives = (1..).map(negative_column).zip(&self.negatives);
        for (name, numbers) in [("positive".to_owned(), &self.positives)].into_iter().chain(negatives) {
            texts.push(column(&name, &docs.texts, numbers));
            ids.push(column(&format!("{name}_id"), &docs.ids, numbers));
        }
        texts.append(&mut ids);
        TrainingSet::new(DataFrame::new(self.queries.len(), texts)?)
    }
}

pub(super) fn column(name: &str, values: &[String], numbers: &[usize]) -> Column {
    Column::new(name.into(), numbers.iter().map(|number| values[*number].as_str()).collect::<Vec<_>>())
}
