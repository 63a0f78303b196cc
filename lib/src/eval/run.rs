//! What a system returned: for each query its documents with scores, best first.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// One retrieved document.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub doc_id: String,
    pub score: f64,
}

/// The documents a system returned for each query, in trec_eval's order: score descending, ties by
/// doc id descending (compared as bytes). Queries are kept sorted by id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    hits: BTreeMap<String, Vec<Hit>>,
}

impl Run {
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the hits of a query, in any order.
    pub fn insert(&mut self, query_id: impl Into<String>, mut hits: Vec<Hit>) {
        hits.sort_by(trec_order);
        self.hits.insert(query_id.into(), hits);
    }

    /// The hits of a query, best first; empty for a query that was not searched.
    pub fn hits(&self, query_id: &str) -> &[Hit] {
        self.hits.get(query_id).map(Vec::as_slice).unwrap_or_default()
    }

    /// Query id and hits, by query id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Hit])> {
        self.hits.iter().map(|(query_id, hits)| (query_id.as_str(), hits.as_slice()))
    }

    /// The number of queries.
    pub fn len(&self) -> usize {
        self.hits.len()
    }

    pub fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }
}

fn trec_order(a: &Hit, b: &Hit) -> Ordering {
    b.score.total_cmp(&a.score).then_with(|| b.doc_id.as_bytes().cmp(a.doc_id.as_bytes()))
}
