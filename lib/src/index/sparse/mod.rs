//! Exact search over sparse vectors.

mod build;
mod file;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

use super::array::Array;
use super::ids;
use super::postings::{self, Bounds, List, Postings, Scratch, WINDOW};
use crate::eval::{DocIds, Run};
use crate::model::SparseEmbeddings;
use crate::show::progress;
use crate::{Error, Result, interrupt};

/// Exact search over sparse vectors, such as those of [`Splade`](crate::model::Splade), by inverted lists: for each word the
/// documents that have it, and its weight there. The score is the dot product.
///
/// A document is found if its score is above 0. A search is exact, but does not add up what cannot reach the best `k`: it
/// knows the largest weight of every word.
///
/// ```
/// use kensaku::index::SparseIndex;
/// use kensaku::model::{SparseEmbeddings, SparseVectors};
///
/// // "red car" and "car" over a vocabulary of 10 words.
/// let docs = SparseVectors::new(10, vec![0, 2, 3], vec![4, 7, 7], vec![0.5, 2.0, 1.5])?;
/// let index = SparseIndex::new(&SparseEmbeddings::new(vec!["a".into(), "b".into()], docs)?)?;
/// let red = SparseVectors::new(10, vec![0, 1], vec![4], vec![1.0])?;
/// let run = index.search(&SparseEmbeddings::new(vec!["q".into()], red)?, 10)?;
/// assert!(run.hits("q").doc_ids().eq(["a"]));
/// # Ok::<(), kensaku::Error>(())
/// ```
pub struct SparseIndex {
    /// Sorted, see [`ids`].
    doc_ids: Arc<DocIds>,
    /// Where the list of each word ends.
    ends: Array<u64>,
    docs: Array<u32>,
    weights: Array<f32>,
    bounds: Bounds,
}

impl SparseIndex {
    /// Indexes the vectors of documents, with all threads. The result does not depend on their number.
    ///
    /// Errors: ids that are not one per vector, or there twice; a weight below 0; an interrupt.
    pub fn new(docs: &SparseEmbeddings) -> Result<Self> {
        check("documents", docs)?;
        let (doc_ids, order) = ids::sorted(&docs.ids)?;
        let (ends, entries, weights) = build::transposed(docs, &order)?;
        Ok(Self::of(doc_ids, ends.into(), entries.into(), weights.into()))
    }

    fn of(doc_ids: Arc<DocIds>, ends: Array<u64>, docs: Array<u32>, weights: Array<f32>) -> Self {
        let bounds = Bounds::new(Postings { ends: &ends, docs: &docs, scores: &weights }, doc_ids.len());
        Self { doc_ids, ends, docs, weights, bounds }
    }

    /// The best `k` documents for each query, in parallel over the queries; of equal scores the later id first. Only documents
    /// whose score is above 0 are returned, so there may be fewer than `k`, or none. Weights of queries may be negative.
    ///
    /// Errors: queries of another vocabulary; one whose scores could exceed single precision.
    pub fn search(&self, queries: &SparseEmbeddings, k: usize) -> Result<Run> {
        check("queries", queries)?;
        if queries.vectors.dim() != self.dim() {
            return Err(Error::Shape {
                what: "sparse vectors of queries".to_owned(),
                found: format!("{} words", queries.vectors.dim()),
                expected: format!("the {} words of the documents", self.dim()),
            });
        }
        let bar = progress("searching", Some(queries.len()));
        let hits = (0..queries.len()).into_par_iter().map_init(Scratch::default, |scratch, query| {
            interrupt::check("searching")?;
            let mut lists = self.lists(queries, query, k)?;
            let hits = postings::best(&mut lists, 0.0, (self.len(), k), WINDOW, scratch);
            bar.inc(1);
            Ok(hits)
        });
        let hits = hits.collect::<Result<Vec<_>>>()?;
        let mut run = Run::of_index(&self.doc_ids);
        for (query_id, hits) in queries.ids.iter().zip(hits) {
            run.insert_ranked(query_id, hits);
        }
        Ok(run)
    }

    /// The lists of a query's words.
    fn lists(&self, queries: &SparseEmbeddings, query: usize, k: usize) -> Result<Vec<List<'_>>> {
        let (words, weights) = queries.vectors.row(query);
        let list = |(word, weight): (&u32, &f32)| self.bounds.list(self.postings(), *word, *weight, k);
        let lists: Vec<List> = words.iter().zip(weights).filter_map(list).collect();
        let most: f64 = lists.iter().map(|list| f64::from(list.most.abs())).sum();
        if most > f64::from(f32::MAX) {
            let problem = "too large: scores would not be numbers of single precision".to_owned();
            return Err(Error::Vector { kind: "query", id: queries.ids[query].clone(), problem });
        }
        Ok(lists)
    }

    fn postings(&self) -> Postings<'_> {
        Postings { ends: &self.ends, docs: &self.docs, scores: &self.weights }
    }

    /// The number of documents.
    pub fn len(&self) -> usize {
        self.doc_ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.doc_ids.is_empty()
    }

    /// The size of the vocabulary.
    pub fn dim(&self) -> usize {
        self.ends.len()
    }
}

impl fmt::Debug for SparseIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (docs, words, size) = (self.len(), self.dim(), self.docs.len());
        write!(f, "SparseIndex {{ documents: {docs}, words: {words}, weights: {size} }}")
    }
}

/// The fields are public: one of them may have been changed without the other.
fn check(what: &str, embeddings: &SparseEmbeddings) -> Result<()> {
    let SparseEmbeddings { ids, vectors } = embeddings;
    if ids.len() == vectors.len() {
        return Ok(());
    }
    Err(Error::Shape {
        what: format!("sparse embeddings of {what}"),
        found: format!("{} vectors for {} ids", vectors.len(), ids.len()),
        expected: "one per id".to_owned(),
    })
}
