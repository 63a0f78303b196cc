//! What a system returned: for each query its documents with scores, best first.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Write};
use std::path::Path;

use candle_core::{DType, Tensor};
use polars::prelude::*;

use crate::data::{RUN, changed, is_separator, read_trec};
use crate::{Error, Result, files, interrupt};

/// One retrieved document.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub doc_id: String,
    pub score: f64,
}

/// The documents a system returned for each query, in trec_eval's order: score descending, ties by
/// doc id descending (compared as bytes). Queries are kept sorted by id.
///
/// Scores are compared in single precision, as pytrec_eval and trec_eval up to version 9 do (version
/// 10 compares doubles), so that a measure computed here equals the published one. NaN comes last.
///
/// ```
/// use kensaku::eval::{Hit, Run};
/// let hit = |doc_id: &str, score| Hit { doc_id: doc_id.to_owned(), score };
/// let mut run = Run::new();
/// run.insert("q1", vec![hit("a", 0.5), hit("c", 0.5), hit("b", 2.0)]);
/// let order: Vec<&str> = run.hits("q1").iter().map(|hit| hit.doc_id.as_str()).collect();
/// assert_eq!(order, ["b", "c", "a"]);
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Run {
    hits: BTreeMap<String, Vec<Hit>>,
}

impl Run {
    pub fn new() -> Self {
        Self::default()
    }

    /// From the lines `query_id Q0 doc_id rank score tag` of a TREC run file, which may be gzip. The rank
    /// is not looked at: the scores give the order. A line that begins with `#` is a comment, unless it
    /// is a hit of a query whose id begins so. A document that a query has twice is an error.
    pub fn read_trec(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut hits: BTreeMap<String, Vec<Hit>> = BTreeMap::new();
        read_trec(path, &RUN, |fields| {
            let (query_id, doc_id, score) = (fields[0], fields[2], fields[4]);
            let score = match score.parse::<f64>() {
                Ok(score) if !score.is_nan() => score,
                _ => return Err(format!("the score is `{score}`")),
            };
            let hit = Hit { doc_id: doc_id.to_owned(), score };
            match hits.get_mut(query_id) {
                Some(hits) => hits.push(hit),
                None => drop(hits.insert(query_id.to_owned(), vec![hit])),
            }
            Ok(())
        })?;
        for (query_id, hits) in &mut hits {
            interrupt::check("reading a run")?;
            let mut seen = HashSet::with_capacity(hits.len());
            if let Some(twice) = hits.iter().find(|hit| !seen.insert(hit.doc_id.as_str())) {
                return Err(second_line(path, query_id, &twice.doc_id));
            }
            hits.sort_by(trec_order);
        }
        Ok(Self { hits })
    }

    /// The best `k` documents of each query, from the scores of every query with every document `(queries, docs)`, such as
    /// `model.similarity(..)` returns.
    ///
    /// ```
    /// use kensaku::candle_core::{Device, Tensor};
    /// use kensaku::eval::Run;
    /// let scores = Tensor::new(&[[0.2f32, 0.9, 0.5]], &Device::Cpu)?;
    /// let run = Run::from_scores(&["q"], &["a", "b", "c"], &scores, 2)?;
    /// let order: Vec<&str> = run.hits("q").iter().map(|hit| hit.doc_id.as_str()).collect();
    /// assert_eq!(order, ["b", "c"]);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    ///
    /// # Errors
    /// For scores of another shape, and for NaN.
    pub fn from_scores<Q: AsRef<str>, D: AsRef<str>>(
        query_ids: &[Q],
        doc_ids: &[D],
        scores: &Tensor,
        k: usize,
    ) -> Result<Self> {
        let expected = [query_ids.len(), doc_ids.len()];
        if scores.dims() != expected {
            let (found, expected) = (format!("{:?}", scores.dims()), format!("{expected:?}, of queries and documents"));
            return Err(Error::Shape { what: "scores".to_owned(), found, expected });
        }
        let mut run = Self::new();
        for (query_id, scores) in query_ids.iter().zip(scores.to_dtype(DType::F32)?.to_vec2::<f32>()?) {
            let query_id = query_id.as_ref();
            let hits = scores.iter().zip(doc_ids).map(|(score, doc_id)| (f64::from(*score), doc_id.as_ref()));
            let mut hits: Vec<(f64, &str)> = hits.collect();
            if let Some((score, doc_id)) = hits.iter().find(|(score, _)| score.is_nan()) {
                let what = format!("the score of query `{query_id}` with document `{doc_id}`");
                let expected = "a number".to_owned();
                return Err(Error::Shape { what, found: score.to_string(), expected });
            }
            let best = |a: &(f64, &str), b: &(f64, &str)| b.0.total_cmp(&a.0).then_with(|| b.1.cmp(a.1));
            if k < hits.len() && k > 0 {
                hits.select_nth_unstable_by(k - 1, best);
            }
            let hits = hits.into_iter().take(k).map(|(score, doc_id)| Hit { doc_id: doc_id.to_owned(), score });
            run.insert(query_id, hits.collect());
        }
        Ok(run)
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

    /// The same run, cut to the best `k` documents of each query.
    pub fn top(&self, k: usize) -> Self {
        let cut = |hits: &Vec<Hit>| hits[..k.min(hits.len())].to_vec();
        Self { hits: self.hits.iter().map(|(query_id, hits)| (query_id.clone(), cut(hits))).collect() }
    }

    /// The run as a frame: `query_id`, `doc_id`, `rank` (from 1), `score`.
    pub fn frame(&self) -> Result<DataFrame> {
        let rows = || self.iter().flat_map(|(query_id, hits)| (1u32..).zip(hits).map(move |row| (query_id, row)));
        Ok(df!(
            "query_id" => rows().map(|(query_id, _)| query_id).collect::<Vec<_>>(),
            "doc_id" => rows().map(|(_, (_, hit))| hit.doc_id.as_str()).collect::<Vec<_>>(),
            "rank" => rows().map(|(_, (rank, _))| rank).collect::<Vec<_>>(),
            "score" => rows().map(|(_, (_, hit))| hit.score).collect::<Vec<_>>(),
        )?)
    }

    /// Writes a TREC run file; `tag` names the system. A query without hits leaves no line. What could not
    /// be read back is an error: an id or a tag with white space, a score that is NaN.
    pub fn write_trec(&self, path: impl AsRef<Path>, tag: &str) -> Result<()> {
        check_word("tag", tag)?;
        let mut lines = String::new();
        for (query_id, hits) in self.iter() {
            check_word("query_id", query_id)?;
            for (rank, Hit { doc_id, score }) in (1..).zip(hits) {
                check_word("doc_id", doc_id)?;
                if score.is_nan() {
                    let value = format!("NaN of document `{doc_id}` for query `{query_id}`");
                    return Err(Error::Setting { field: "score", value, expected: "a number".to_owned() });
                }
                // Writing to a string cannot fail.
                let _ = writeln!(lines, "{query_id} Q0 {doc_id} {rank} {score} {tag}");
            }
        }
        let (path, without) = (path.as_ref(), self.iter().filter(|(_, hits)| hits.is_empty()).count());
        if without > 0 {
            log::warn!(
                "{without} queries without hits have no lines in {}; `EvalConfig {{ all_queries: true, .. }}` counts them",
                path.display()
            );
        }
        files::write(path, lines.as_bytes())
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hits: usize = self.hits.values().map(Vec::len).sum();
        write!(f, "Run {{ queries: {}, hits: {hits} }}", self.len())
    }
}

fn trec_order(a: &Hit, b: &Hit) -> Ordering {
    sort_key(b.score).total_cmp(&sort_key(a.score)).then_with(|| b.doc_id.as_bytes().cmp(a.doc_id.as_bytes()))
}

fn sort_key(score: f64) -> f32 {
    // A negative NaN is the lowest in the total order; adding 0 makes -0 equal to 0.
    if score.is_nan() { f32::NAN.copysign(-1.0) } else { score as f32 + 0.0 }
}

fn check_word(field: &'static str, word: &str) -> Result<()> {
    let breaks = |letter| is_separator(letter) || letter == '\n';
    // Readers drop a byte order mark at the start of a file.
    if word.is_empty() || word.contains(breaks) || word.starts_with('\u{feff}') {
        let expected = "a word without white space, as the TREC format separates columns by it".to_owned();
        return Err(Error::Setting { field, value: format!("{word:?}"), expected });
    }
    Ok(())
}

/// The error for a document that a query has twice, which names the second line.
fn second_line(path: &Path, query_id: &str, doc_id: &str) -> Error {
    let mut seen = false;
    let read = read_trec(path, &RUN, |fields| {
        let this = (fields[0], fields[2]) == (query_id, doc_id);
        if this && seen {
            return Err(format!("duplicate document `{doc_id}` for query `{query_id}`"));
        }
        seen |= this;
        Ok(())
    });
    read.err().unwrap_or_else(|| changed(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(run: &Run, query_id: &str) -> Vec<String> {
        run.hits(query_id).iter().map(|hit| hit.doc_id.clone()).collect()
    }

    fn run(hits: &[(&str, f64)]) -> Run {
        let mut run = Run::new();
        run.insert(
            "q",
            hits.iter().map(|(doc_id, score)| Hit { doc_id: (*doc_id).to_owned(), score: *score }).collect(),
        );
        run
    }

    #[test]
    fn a_total_order() {
        let odd = run(&[("nan", f64::NAN), ("zero", 0.0), ("minus", -0.0), ("low", f64::MIN), ("high", f64::INFINITY)]);
        assert_eq!(ids(&odd, "q"), ["high", "zero", "minus", "low", "nan"].map(str::to_owned));
        // Equal in single precision, and upper case is below lower case.
        assert_eq!(ids(&run(&[("B", 16_777_217.0), ("a", 16_777_216.0)]), "q"), ["a", "B"]);
    }
}
