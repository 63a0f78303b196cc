//! BM25: lexical search by the words that query and document share.

mod count;
mod explain;
mod file;
mod lists;
mod merge;
mod params;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

use super::array::Array;
use super::postings::{self, Bounds, Postings, Scratch, WINDOW};
use super::strings::Numbers;
use crate::data::{Corpus, Queries};
use crate::eval::{DocIds, Hit, Run};
use crate::show::progress;
use crate::{Result, interrupt};

use lists::Lists;

pub use explain::{Explanation, TermScore};
pub use params::{Bm25Params, Bm25Variant};

/// A BM25 index (Robertson and Walker, SIGIR 1994), by default with Lucene's formula. A document of length `dl` (in terms;
/// the mean over the `N` documents is `avgdl`) scores, summed over the terms of the query,
///
/// ```text
/// idf tf / (tf + k1 (1 - b + b dl / avgdl))     idf = ln(1 + (N - df + 0.5) / (df + 0.5))
/// ```
///
/// where `tf` counts the term in the document and `df` the documents that have it. A term that occurs twice in the query
/// counts twice. Unlike Lucene, `dl` is exact, not rounded to one byte. [`Bm25Variant`] has the other formulas.
///
/// All these summands are computed when the index is built (eager scoring; Lù, "BM25S", 2024), and [`add`](Self::add)
/// computes them anew. A search is exact, and does not add up what cannot reach the best `k`.
///
/// ```
/// use kensaku::data::Corpus;
/// use kensaku::index::{Bm25, Bm25Params};
/// use kensaku::polars::prelude::*;
///
/// let corpus = Corpus::new(df!(
///     "doc_id" => ["a", "b", "c"],
///     "text" => ["Cats purr.", "Dogs chase cats.", "Fish swim."],
/// )?)?;
/// let bm25 = Bm25::new(&corpus, Bm25Params::default())?;
/// let hits = bm25.search_text("a cat", 10)?;
/// assert_eq!(hits.iter().map(|hit| hit.doc_id).collect::<Vec<_>>(), ["a", "b"]);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub struct Bm25 {
    params: Bm25Params,
    lists: Lists,
    /// Those of the lists, as runs have them.
    ids: Arc<DocIds>,
    /// Term -> its number.
    numbers: Numbers,
    /// What each entry of the lists adds to its document.
    scores: Array<f32>,
    bounds: Bounds,
}

impl Bm25 {
    /// Indexes titles and texts of a corpus, with all threads. The result does not depend on their number.
    ///
    /// Errors: settings out of range; a tokenizer that a text cannot be encoded with; an interrupt.
    pub fn new(corpus: &Corpus, params: impl Borrow<Bm25Params>) -> Result<Self> {
        let params = params.borrow();
        params.check()?;
        Ok(Self::of(Lists::new(corpus, &params.analyzer)?, params.clone()))
    }

    fn of(lists: Lists, params: Bm25Params) -> Self {
        let scores = lists.scores(&params);
        Self::with(lists, scores.into(), params)
    }

    fn with(lists: Lists, scores: Array<f32>, params: Bm25Params) -> Self {
        let ids = Arc::new(lists.ids.iter().map(Into::into).collect());
        let numbers = Numbers::of(&lists.terms);
        let postings = Postings { ends: &lists.ends, docs: &lists.docs, scores: &scores };
        let bounds = Bounds::new(postings, lists.len());
        Self { params, lists, ids, numbers, scores, bounds }
    }

    /// Indexes more documents. The index is then the same as one that was built from all of them: `df`, `avgdl` and all
    /// scores are those of the whole. This reads and writes the whole index: add many documents at once rather than one
    /// after the other.
    ///
    /// ```
    /// # use kensaku::data::Corpus;
    /// # use kensaku::index::{Bm25, Bm25Params};
    /// # use kensaku::polars::prelude::*;
    /// let corpus = |ids: &[&str], texts: &[&str]| Corpus::new(df!("doc_id" => ids, "text" => texts)?);
    /// let mut bm25 = Bm25::new(&corpus(&["a"], &["Cats purr."])?, Bm25Params::default())?;
    /// bm25.add(&corpus(&["b"], &["Dogs chase cats."])?)?;
    /// assert_eq!(bm25.search_text("dogs", 10)?[0].doc_id, "b");
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    ///
    /// # Errors
    /// For a document whose id is in the index, and as for [`new`](Self::new). The index is then as it was.
    pub fn add(&mut self, corpus: &Corpus) -> Result<()> {
        let more = Lists::new(corpus, &self.params.analyzer)?;
        *self = Self::of(merge::merge(&self.lists, &more)?, self.params.clone());
        Ok(())
    }

    /// The best `k` documents for each query, in parallel over the queries. Only documents that share
    /// a term with the query are returned, so there may be fewer than `k`, or none.
    pub fn search(&self, queries: &Queries, k: usize) -> Result<Run> {
        let texts = queries.texts();
        let bar = progress("searching", Some(texts.len()));
        let hits = texts.par_iter().map_init(Scratch::default, |scratch, text| {
            interrupt::check("searching")?;
            let hits = self.best(text, k, scratch)?;
            bar.inc(1);
            Ok(hits)
        });
        let hits = hits.collect::<Result<Vec<_>>>()?;
        let mut run = Run::of_index(&self.ids);
        for (query_id, hits) in queries.query_ids().into_iter().zip(hits) {
            run.insert_ranked(query_id, hits);
        }
        Ok(run)
    }

    /// The best `k` documents for one text, best first.
    pub fn search_text(&self, text: &str, k: usize) -> Result<Vec<Hit<'_>>> {
        let best = self.best(text, k, &mut Scratch::default())?.into_iter();
        Ok(best.map(|(doc, score)| Hit { doc_id: &self.ids[doc as usize], score: score.into() }).collect())
    }

    /// The number of documents.
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The settings the index was built with.
    pub fn params(&self) -> &Bm25Params {
        &self.params
    }

    /// Numbers and scores of the best documents.
    fn best(&self, text: &str, k: usize, scratch: &mut Scratch) -> Result<Vec<(u32, f32)>> {
        let terms = self.terms(text)?;
        let list = |(term, count): &(u32, u32)| self.bounds.list(self.postings(), *term, *count as f32, k);
        let mut lists = terms.iter().filter_map(list).collect::<Vec<_>>();
        Ok(postings::best(&mut lists, self.base(&terms), (self.len(), k), WINDOW, scratch))
    }

    /// The terms of a query that the index has, with how often the query has them.
    fn terms(&self, text: &str) -> Result<Vec<(u32, u32)>> {
        let (analyzer, mut found) = (&self.params.analyzer, Vec::new());
        analyzer.words(text, |word| {
            found.extend(analyzer.term(word).and_then(|term| self.numbers.get(&term, &self.lists.terms)));
        })?;
        found.sort_unstable();
        Ok(found.chunk_by(u32::eq).map(|same| (same[0], same.len() as u32)).collect())
    }

    fn postings(&self) -> Postings<'_> {
        Postings { ends: &self.lists.ends, docs: &self.lists.docs, scores: &self.scores }
    }

    /// The score of a document without any of the terms.
    fn base(&self, terms: &[(u32, u32)]) -> f64 {
        let absent = self.params.absent();
        let base = |(term, count): &(u32, u32)| f64::from(*count) * absent * self.idf(*term);
        if absent == 0.0 { 0.0 } else { terms.iter().map(base).sum() }
    }

    fn idf(&self, term: u32) -> f64 {
        self.params.idf(self.len(), self.lists.range(term as usize).len())
    }
}

impl fmt::Debug for Bm25 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { params, lists, scores, .. } = self;
        let (docs, terms, size) = (self.len(), lists.terms.len(), scores.len());
        write!(f, "Bm25 {{ documents: {docs}, terms: {terms}, scores: {size}, params: {params:?} }}")
    }
}
