//! The input of a measure: one query.

use crate::data::Judgements;
use crate::eval::hits::{DocIds, Hits};

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
    pub(in crate::eval) fn new(hits: Hits, judgements: &Judgements, desk: &mut Desk, relevance_level: i64) -> Self {
        let judged = judgements.iter().filter_map(|(doc_id, grade)| Some((desk.ids.get_index_of(doc_id)?, *grade)));
        let judged: Vec<(usize, i64)> = judged.collect();
        judged.iter().for_each(|(doc, grade)| desk.grades[*doc] = *grade);
        let grades = hits.docs().iter().map(|doc| desk.grades[*doc as usize]).collect();
        judged.iter().for_each(|(doc, _)| desk.grades[*doc] = 0);
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

/// Room for something of each document of a run, used from query to query.
pub(in crate::eval) struct Desk<'a> {
    ids: &'a DocIds,
    /// 0 but for the judged documents of the query at hand.
    grades: Vec<i64>,
    /// The last query, as a number, that had the document.
    seen: Vec<u32>,
    query: u32,
}

impl<'a> Desk<'a> {
    pub(in crate::eval) fn new(ids: &'a DocIds) -> Self {
        Self { ids, grades: vec![0; ids.len()], seen: vec![0; ids.len()], query: 0 }
    }

    /// The rank of the first hit, from 0, whose document has a better rank as well.
    pub(in crate::eval) fn second(&mut self, hits: Hits) -> Option<usize> {
        self.query += 1;
        let mut seen = hits.docs().iter().map(|doc| std::mem::replace(&mut self.seen[*doc as usize], self.query));
        seen.position(|query| query == self.query)
    }
}

/// A share of the relevant documents; 0 where nothing is relevant, as in trec_eval.
pub(super) fn share(part: f64, relevant: usize) -> f64 {
    if relevant == 0 { 0.0 } else { part / relevant as f64 }
}
