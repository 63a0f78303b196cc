//! How a score came about.

use std::fmt;

use polars::prelude::{DataFrame, df};

use super::Bm25;
use crate::{Error, Result};

/// Why a document has its score: [`Bm25::explain`].
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    pub doc_id: String,
    /// The score of the document in a search with this query, but for the rounding to single precision there: the sum of
    /// those of the terms. A search returns the document only if it has a term of the query.
    pub score: f64,
    /// How many terms the document has.
    pub length: u32,
    /// How many the documents of the index have on average.
    pub average_length: f64,
    /// `c` of [`Bm25Variant`](super::Bm25Variant), `1 - b + b length / average_length`.
    pub length_norm: f64,
    /// The terms of the query, from what adds most to what adds least.
    pub terms: Vec<TermScore>,
}

/// What a term adds to the score of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct TermScore {
    /// As the analyzer leaves it.
    pub term: String,
    /// How often the query has it.
    pub in_query: u32,
    /// How often the document has it (`tf`).
    pub in_doc: u32,
    /// How many documents have it (`df`).
    pub docs: usize,
    /// How much it says to have the term; 0 for a term that no document has.
    pub idf: f64,
    /// `w(tf)` of [`Bm25Variant`](super::Bm25Variant).
    pub weight: f64,
    /// `in_query * idf * weight`
    pub score: f64,
}

impl Bm25 {
    /// Why a document has its score for a query.
    ///
    /// ```
    /// # use kensaku::data::Corpus;
    /// # use kensaku::index::{Bm25, Bm25Params};
    /// # use kensaku::polars::prelude::*;
    /// let corpus = Corpus::new(df!("doc_id" => ["a", "b"], "text" => ["Cats purr.", "Dogs chase cats."])?)?;
    /// let bm25 = Bm25::new(&corpus, Bm25Params::default())?;
    /// let why = bm25.explain("a cat purrs", "a")?;
    /// assert_eq!(why.terms[0].term, "purr"); // the rarer term
    /// assert!((why.score - bm25.search_text("a cat purrs", 1)?[0].score).abs() < 1e-6);
    /// println!("{why}");
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    ///
    /// ```text
    /// a: 0.4334 (2 terms, 0.80 of the average; length norm 0.8500)
    /// term  in query  in doc     docs      idf   weight     score
    /// purr         1       1        1   0.6931   0.4950    0.3431
    /// cat          1       1        2   0.1823   0.4950    0.0903
    /// ```
    ///
    /// # Errors
    /// For a document that is not in the index.
    pub fn explain(&self, query: &str, doc_id: &str) -> Result<Explanation> {
        let Some(doc) = self.ids.get_index_of(doc_id) else {
            let (id, within) = (doc_id.to_owned(), "the index".to_owned());
            return Err(Error::UnknownId { place: "BM25".to_owned(), kind: "document", id, known: self.len(), within });
        };
        let (length, average_length) = (self.lists.lengths[doc], self.lists.average());
        let length_norm = if length == 0 { 1.0 - self.params.b } else { self.params.norm(length, average_length) };
        let mut terms = self.query_terms(query)?;
        for term in &mut terms {
            let Some(number) = self.numbers.get(&term.term, &self.lists.terms) else { continue };
            let range = self.lists.range(number as usize);
            term.docs = range.len();
            term.idf = self.idf(number);
            term.weight = self.params.absent();
            if let Ok(place) = self.lists.docs[range.clone()].binary_search(&(doc as u32)) {
                term.in_doc = self.lists.counts.get(range.start + place);
                term.weight += self.params.gain(term.in_doc, length_norm);
            }
            term.score = f64::from(term.in_query) * term.idf * term.weight;
        }
        terms.sort_by(|a, b| b.score.total_cmp(&a.score));
        let score = terms.iter().map(|term| term.score).sum();
        Ok(Explanation { doc_id: doc_id.to_owned(), score, length, average_length, length_norm, terms })
    }

    /// The different terms of a query, in order of first appearance, with nothing known of them yet.
    fn query_terms(&self, query: &str) -> Result<Vec<TermScore>> {
        let mut terms: Vec<TermScore> = Vec::new();
        for term in self.params.analyzer.tokens(query)? {
            match terms.iter_mut().find(|known| known.term == term) {
                Some(known) => known.in_query += 1,
                None => {
                    terms.push(TermScore { term, in_query: 1, in_doc: 0, docs: 0, idf: 0.0, weight: 0.0, score: 0.0 })
                }
            }
        }
        Ok(terms)
    }
}

impl Explanation {
    /// The terms as a frame: `term`, `in_query`, `in_doc`, `docs`, `idf`, `weight`, `score`.
    pub fn frame(&self) -> Result<DataFrame> {
        let numbers = |number: fn(&TermScore) -> f64| self.terms.iter().map(number).collect::<Vec<_>>();
        let counts = |count: fn(&TermScore) -> u64| self.terms.iter().map(count).collect::<Vec<_>>();
        Ok(df!(
            "term" => self.terms.iter().map(|term| term.term.as_str()).collect::<Vec<_>>(),
            "in_query" => counts(|term| term.in_query.into()),
            "in_doc" => counts(|term| term.in_doc.into()),
            "docs" => counts(|term| term.docs as u64),
            "idf" => numbers(|term| term.idf),
            "weight" => numbers(|term| term.weight),
            "score" => numbers(|term| term.score),
        )?)
    }
}

/// A line on the document, and a table of the terms.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { doc_id, score, length, average_length, length_norm, terms } = self;
        let share = f64::from(*length) / average_length.max(f64::MIN_POSITIVE);
        writeln!(f, "{doc_id}: {score:.4} ({length} terms, {share:.2} of the average; length norm {length_norm:.4})")?;
        let width = terms.iter().map(|term| term.term.chars().count()).max().unwrap_or(0).max(4);
        write!(f, "{:width$}  in query  in doc  {:>7}  {:>7}  {:>7}  {:>8}", "term", "docs", "idf", "weight", "score")?;
        for TermScore { term, in_query, in_doc, docs, idf, weight, score } in terms {
            write!(f, "\n{term:width$}  {in_query:8}  {in_doc:6}  {docs:7}  {idf:7.4}  {weight:7.4}  {score:8.4}")?;
        }
        Ok(())
    }
}
