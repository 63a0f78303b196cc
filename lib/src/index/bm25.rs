//! BM25: lexical search by the words that query and document share.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use polars::prelude::PlHashMap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::terms::{Counts, count_terms};
use super::top::{SMALLEST, top_k};
use crate::data::{Corpus, Queries};
use crate::eval::{DocIds, Hit, Run};
use crate::show::progress;
use crate::text::Analyzer;
use crate::{Error, Result, interrupt};

/// The settings of [`Bm25`]. The default is [`Bm25Params::LUCENE`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bm25Params {
    /// How slowly repetitions of a term saturate; with 0 only its presence counts. At least 0.
    pub k1: f64,
    /// How much documents longer than the average are discounted, from 0 (not at all) to 1 (in full).
    pub b: f64,
    /// Splits documents and queries into terms.
    pub analyzer: Analyzer,
}

impl Bm25Params {
    /// The defaults of Lucene, Elasticsearch and OpenSearch.
    pub const LUCENE: Self = Self { k1: 1.2, b: 0.75, analyzer: Analyzer::English };
    /// The defaults of Anserini and Pyserini, tuned for passages.
    pub const ANSERINI: Self = Self { k1: 0.9, b: 0.4, analyzer: Analyzer::English };

    fn check(&self) -> Result<()> {
        let setting = |field, value: f64, expected: &str| {
            Err(Error::Setting { field, value: value.to_string(), expected: expected.to_owned() })
        };
        if !(self.k1.is_finite() && self.k1 >= 0.0) {
            return setting("k1", self.k1, "a number of at least 0");
        }
        if !(0.0..=1.0).contains(&self.b) {
            return setting("b", self.b, "a number from 0 to 1");
        }
        Ok(())
    }
}

impl Default for Bm25Params {
    fn default() -> Self {
        Self::LUCENE
    }
}

/// A BM25 index in memory (Robertson and Walker, SIGIR 1994) with Lucene's formula. A document of
/// length `dl` (in terms; the mean over the `N` documents is `avgdl`) scores, summed over the terms of
/// the query,
///
/// ```text
/// idf tf / (tf + k1 (1 - b + b dl / avgdl))     idf = ln(1 + (N - df + 0.5) / (df + 0.5))
/// ```
///
/// where `tf` counts the term in the document and `df` the documents that have it. A term that occurs
/// twice in the query counts twice. Unlike Lucene, `dl` is exact, not rounded to one byte.
///
/// All these summands are computed when the index is built (eager scoring; Lù, "BM25S", 2024): they
/// form a sparse matrix, and a query is a sum of columns followed by a selection of the top `k`.
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
/// let hits = bm25.search_text("a cat", 10);
/// assert_eq!(hits.iter().map(|hit| hit.doc_id).collect::<Vec<_>>(), ["a", "b"]);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub struct Bm25 {
    params: Bm25Params,
    /// Sorted by bytes: of equal scores the higher document number comes first, as in trec_eval.
    doc_ids: Arc<DocIds>,
    /// Term -> column.
    vocabulary: PlHashMap<String, u32>,
    /// The start of each column in `docs` and `scores`, and their end.
    starts: Vec<usize>,
    docs: Vec<u32>,
    scores: Vec<f32>,
}

impl Bm25 {
    /// Indexes titles and texts of a corpus.
    ///
    /// Errors: settings out of range; an interrupt.
    pub fn new(corpus: &Corpus, params: impl Borrow<Bm25Params>) -> Result<Self> {
        let params = params.borrow();
        params.check()?;
        let mut documents: Vec<(String, String)> = corpus.doc_ids().into_iter().zip(corpus.texts()).collect();
        documents.par_sort_unstable();
        let (doc_ids, texts): (Vec<String>, Vec<String>) = documents.into_iter().unzip();
        let doc_ids = Arc::new(doc_ids.into_iter().map(Into::into).collect());
        let counts = count_terms(&texts, params.analyzer)?;
        let (starts, docs, scores) = score_matrix(&counts, params);
        Ok(Self { params: params.clone(), doc_ids, vocabulary: counts.vocabulary, starts, docs, scores })
    }

    /// The best `k` documents for each query, in parallel over the queries. Only documents that share
    /// a term with the query are returned, so there may be fewer than `k`, or none.
    pub fn search(&self, queries: &Queries, k: usize) -> Result<Run> {
        let texts = queries.texts();
        let bar = progress("searching", Some(texts.len()));
        let hits = texts.par_iter().map_init(Vec::new, |scores, text| {
            interrupt::check("searching")?;
            let hits = self.best(text, k, scores);
            bar.inc(1);
            Ok(hits)
        });
        let hits = hits.collect::<Result<Vec<_>>>()?;
        let mut run = Run::of_index(&self.doc_ids);
        for (query_id, hits) in queries.query_ids().into_iter().zip(hits) {
            run.insert_ranked(query_id, hits);
        }
        Ok(run)
    }

    /// The best `k` documents for one text, best first.
    pub fn search_text(&self, text: &str, k: usize) -> Vec<Hit<'_>> {
        let best = self.best(text, k, &mut Vec::new()).into_iter();
        best.map(|(doc, score)| Hit { doc_id: &self.doc_ids[doc as usize], score: score.into() }).collect()
    }

    /// The number of documents.
    pub fn len(&self) -> usize {
        self.doc_ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.doc_ids.is_empty()
    }

    /// The settings the index was built with.
    pub fn params(&self) -> &Bm25Params {
        &self.params
    }

    /// `scores` is a buffer for one score per document, reused from query to query.
    fn best(&self, text: &str, k: usize, scores: &mut Vec<f32>) -> Vec<(u32, f32)> {
        scores.clear();
        scores.resize(self.len(), 0.0);
        let terms = self.params.analyzer.words(text).filter_map(|word| self.params.analyzer.term(word));
        for column in terms.filter_map(|term| self.vocabulary.get(&term)) {
            let range = self.starts[*column as usize]..self.starts[*column as usize + 1];
            for (doc, score) in self.docs[range.clone()].iter().zip(&self.scores[range]) {
                scores[*doc as usize] += score;
            }
        }
        top_k(scores, k, SMALLEST)
    }
}

impl fmt::Debug for Bm25 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { params, doc_ids, vocabulary, scores, .. } = self;
        let (docs, terms, size) = (doc_ids.len(), vocabulary.len(), scores.len());
        write!(f, "Bm25 {{ documents: {docs}, terms: {terms}, scores: {size}, params: {params:?} }}")
    }
}

/// Starts of the columns, document numbers and scores: the matrix documents x terms, compressed by columns.
fn score_matrix(counts: &Counts, params: &Bm25Params) -> (Vec<usize>, Vec<u32>, Vec<f32>) {
    let mut starts = vec![0; counts.vocabulary.len() + 1];
    for (term, _) in counts.documents().flatten() {
        starts[*term as usize + 1] += 1;
    }
    let number_of_docs = counts.documents().len() as f64;
    let idf: Vec<f64> =
        starts[1..].iter().map(|&df| (1.0 + (number_of_docs - df as f64 + 0.5) / (df as f64 + 0.5)).ln()).collect();
    for column in 1..starts.len() {
        starts[column] += starts[column - 1];
    }

    let length = |document: &[(u32, u32)]| document.iter().map(|(_, tf)| f64::from(*tf)).sum::<f64>();
    let average_length = counts.documents().map(length).sum::<f64>() / number_of_docs;
    let mut next = starts.clone();
    let mut docs = vec![0; starts[starts.len() - 1]];
    let mut scores = vec![0.0; docs.len()];
    for (doc, document) in counts.documents().enumerate() {
        let saturation = params.k1 * (1.0 - params.b + params.b * length(document) / average_length);
        for (term, tf) in document {
            let (term, tf) = (*term as usize, f64::from(*tf));
            docs[next[term]] = doc as u32;
            scores[next[term]] = (idf[term] * tf / (tf + saturation)) as f32;
            next[term] += 1;
        }
    }
    (starts, docs, scores)
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;
    use proptest::prelude::*;

    use super::*;

    fn corpus(texts: &[String]) -> Corpus {
        let doc_ids: Vec<String> = (0..texts.len()).map(|doc| format!("d{doc:03}")).collect();
        Corpus::new(df!("doc_id" => doc_ids, "text" => texts).unwrap()).unwrap()
    }

    fn text() -> impl Strategy<Value = String> {
        prop::collection::vec("[a-f]", 0..12).prop_map(|words| words.join(" "))
    }

    /// The formula, in double precision, from the texts.
    fn brute_force(texts: &[String], query: &str, k1: f64, b: f64) -> Vec<f64> {
        let docs: Vec<Vec<&str>> = texts.iter().map(|text| text.split_whitespace().collect()).collect();
        let average = docs.iter().map(Vec::len).sum::<usize>() as f64 / docs.len() as f64;
        let score = |doc: &Vec<&str>, term: &str| {
            let tf = doc.iter().filter(|word| **word == term).count() as f64;
            let df = docs.iter().filter(|doc| doc.contains(&term)).count() as f64;
            let idf = (1.0 + (docs.len() as f64 - df + 0.5) / (df + 0.5)).ln();
            if tf == 0.0 { 0.0 } else { idf * tf / (tf + k1 * (1.0 - b + b * doc.len() as f64 / average)) }
        };
        docs.iter().map(|doc| query.split_whitespace().map(|term| score(doc, term)).sum()).collect()
    }

    proptest! {
        #[test]
        fn equals_the_formula(
            texts in prop::collection::vec(text(), 1..30),
            query in text(),
            k in 0usize..35,
            k1 in 0.0..3.0,
            b in 0.0..=1.0,
        ) {
            let expected = brute_force(&texts, &query, k1, b);
            let params = Bm25Params { k1, b, analyzer: Analyzer::Whitespace };
            let bm25 = Bm25::new(&corpus(&texts), &params).unwrap();
            let hits = bm25.search_text(&query, k);
            let mut best: Vec<f64> = expected.iter().copied().filter(|score| *score > 0.0).collect();
            best.sort_by(|a, b| b.total_cmp(a));
            best.truncate(k);
            prop_assert_eq!(hits.len(), best.len());
            for (hit, best) in hits.iter().zip(best) {
                let own = expected[hit.doc_id[1..].parse::<usize>().unwrap()];
                prop_assert!((hit.score - own).abs() < 1e-5 * own, "{} {own}", hit.score);
                prop_assert!((hit.score - best).abs() < 1e-5 * best, "{} {best}", hit.score);
            }
            prop_assert!(hits.is_sorted_by(|a, b| (a.score, a.doc_id) > (b.score, b.doc_id)));
        }
    }

    #[test]
    fn blocks_join_and_threads_change_nothing() {
        let texts: Vec<String> = (0..2_000).map(|doc| format!("w{} w{} common", doc % 7, doc)).collect();
        let index = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Bm25::new(&corpus(&texts), Bm25Params::LUCENE).unwrap())
        };
        let (one, three) = (index(1), index(3));
        assert_eq!((&one.starts, &one.docs, &one.scores), (&three.starts, &three.docs, &three.scores));
        assert_eq!(one.vocabulary, three.vocabulary);
        // All score the same: the highest ids come first.
        let ids: Vec<&str> = one.search_text("common", 3).into_iter().map(|hit| hit.doc_id).collect();
        assert_eq!(ids, ["d999", "d998", "d997"]);
        assert_eq!(one.search_text("w1999", 10).len(), 1);
    }

    #[test]
    fn nothing_to_find() {
        let empty = Bm25::new(&corpus(&[]), Bm25Params::default()).unwrap();
        assert!(empty.is_empty() && empty.search_text("word", 5).is_empty());
        let no_terms = Bm25::new(&corpus(&["".into(), "the".into()]), Bm25Params::default()).unwrap();
        let queries = Queries::new(df!("query_id" => ["a", "b"], "text" => ["the word", ""]).unwrap()).unwrap();
        let run = no_terms.search(&queries, 5).unwrap();
        assert_eq!((no_terms.len(), run.len()), (2, 2));
        assert!(run.iter().all(|(_, hits)| hits.is_empty()));
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let message = |k1, b| {
            let params = Bm25Params { k1, b, ..Bm25Params::LUCENE };
            Bm25::new(&corpus(&[]), &params).unwrap_err().to_string()
        };
        assert_eq!(message(-1.0, 0.5), "k1 = -1: expected a number of at least 0");
        assert_eq!(message(f64::NAN, 0.5), "k1 = NaN: expected a number of at least 0");
        assert_eq!(message(1.2, 1.5), "b = 1.5: expected a number from 0 to 1");
        let read: Bm25Params = serde_json::from_str(r#"{"k1": 0.9, "analyzer": "whitespace"}"#).unwrap();
        assert_eq!(read, Bm25Params { k1: 0.9, b: 0.75, analyzer: Analyzer::Whitespace });
    }
}
