//! The input of a measure: one query.

use super::super::Hit;
use crate::data::Judgements;

/// The grades of the documents in the order they were returned, and those of all judged documents.
#[derive(Debug)]
pub(in crate::eval) struct Ranking {
    /// By rank; 0 for a document without a judgement.
    pub(super) grades: Vec<i64>,
    /// Of all judged documents, in no particular order.
    pub(super) judged: Vec<i64>,
    /// The lowest grade that is relevant; at least 1.
    relevance_level: i64,
}

impl Ranking {
    pub(in crate::eval) fn new(hits: &[Hit], judgements: &Judgements, relevance_level: i64) -> Self {
        let grades = hits.iter().map(|hit| judgements.get(&hit.doc_id).copied().unwrap_or(0)).collect();
        Self { grades, judged: judgements.values().copied().collect(), relevance_level }
    }

    /// The ranks, from 1, of the relevant documents among the first `k`.
    pub(super) fn relevant_ranks(&self, k: usize) -> impl Iterator<Item = usize> {
        let ranks = (1..).zip(&self.grades).take(k);
        ranks.filter(|(_, grade)| **grade >= self.relevance_level).map(|(rank, _)| rank)
    }

    /// How many documents are relevant, returned or not.
    pub(super) fn relevant(&self) -> usize {
        self.judged.iter().filter(|grade| **grade >= self.relevance_level).count()
    }
}

/// A share of the relevant documents; 0 where nothing is relevant, as in trec_eval.
pub(super) fn share(part: f64, relevant: usize) -> f64 {
    if relevant == 0 { 0.0 } else { part / relevant as f64 }
}
