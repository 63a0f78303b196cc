//! What a system returned: for each query its documents with scores, best first.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Tensor};
use polars::prelude::*;

use super::hits::{DocIds, Hit, Hits, NOTHING, Ranked};
use crate::data::{RUN, changed, is_separator, read_trec};
use crate::{Error, Result, files, interrupt};

/// The documents a system returned for each query, in trec_eval's order: score descending, ties by
/// doc id descending (compared as bytes). Queries are kept sorted by id.
///
/// Scores are compared in single precision, as pytrec_eval and trec_eval up to version 9 do (version
/// 10 compares doubles), so that a measure computed here equals the published one. NaN comes last.
///
/// ```
/// use kensaku::eval::Run;
/// let mut run = Run::new();
/// run.insert("q1", [("a", 0.5), ("c", 0.5), ("b", 2.0)]);
/// assert!(run.hits("q1").doc_ids().eq(["b", "c", "a"]));
/// ```
///
/// A hit takes 12 bytes: a run holds each document id once, and shares the ids of the index that it is from.
#[derive(Clone, Default)]
pub struct Run {
    ids: Arc<DocIds>,
    hits: BTreeMap<String, Ranked>,
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
        let (mut ids, mut found) = (DocIds::default(), BTreeMap::<String, Vec<(u32, f64)>>::new());
        // The hits of a query are mostly lines in a row.
        let mut open = (String::new(), Vec::new());
        read_trec(path, &RUN, |fields| {
            let (query_id, doc_id, score) = (fields[0], fields[2], fields[4]);
            let score = match score.parse::<f64>() {
                Ok(score) if !score.is_nan() => score,
                _ => return Err(format!("the score is `{score}`")),
            };
            if open.0 != query_id {
                let hits = found.remove(query_id).unwrap_or_default();
                let (before, hits) = std::mem::replace(&mut open, (query_id.to_owned(), hits));
                found.insert(before, hits);
            }
            open.1.push((number(&mut ids, doc_id), score));
            Ok(())
        })?;
        found.insert(open.0, open.1);
        found.retain(|_, hits| !hits.is_empty());
        let mut seen = vec![0; ids.len()];
        for (round, (query_id, hits)) in (1_u32..).zip(&found) {
            interrupt::check("reading a run")?;
            let mut docs = hits.iter().map(|(doc, _)| *doc);
            if let Some(twice) = docs.find(|doc| std::mem::replace(&mut seen[*doc as usize], round) == round) {
                return Err(second_line(path, query_id, &ids[twice as usize]));
            }
        }
        let hits = found.into_iter().map(|(query_id, hits)| (query_id, Ranked::sorted(hits, &ids))).collect();
        Ok(Self { ids: Arc::new(ids), hits })
    }

    /// The best `k` documents of each query, from the scores of every query with every document `(queries, docs)`, such as
    /// `model.similarity(..)` returns.
    ///
    /// ```
    /// use kensaku::candle_core::{Device, Tensor};
    /// use kensaku::eval::Run;
    /// let scores = Tensor::new(&[[0.2f32, 0.9, 0.5]], &Device::Cpu)?;
    /// let run = Run::from_scores(&["q"], &["a", "b", "c"], &scores, 2)?;
    /// assert!(run.hits("q").doc_ids().eq(["b", "c"]));
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
            run.insert(query_id, hits.into_iter().take(k).map(|(score, doc_id)| (doc_id, score)));
        }
        Ok(run)
    }

    /// Sets the hits of a query, document id and score each, in any order.
    pub fn insert<D: AsRef<str>>(&mut self, query_id: impl Into<String>, hits: impl IntoIterator<Item = (D, f64)>) {
        let ids = Arc::make_mut(&mut self.ids);
        let hits = hits.into_iter().map(|(doc_id, score)| (number(ids, doc_id.as_ref()), score)).collect();
        self.hits.insert(query_id.into(), Ranked::sorted(hits, ids));
    }

    /// A run of an index with these documents; its hits are given by their numbers there.
    pub(crate) fn of_index(ids: &Arc<DocIds>) -> Self {
        Self { ids: Arc::clone(ids), hits: BTreeMap::new() }
    }

    /// Sets the hits of a query, by their numbers, in trec_eval's order.
    pub(crate) fn insert_ranked(&mut self, query_id: impl Into<String>, hits: impl IntoIterator<Item = (u32, f32)>) {
        let hits = hits.into_iter().map(|(doc, score)| (doc, f64::from(score)));
        self.hits.insert(query_id.into(), hits.collect());
    }

    /// The hits of a query, best first; empty for a query that was not searched.
    pub fn hits(&self, query_id: &str) -> Hits<'_> {
        Hits::new(&self.ids, self.hits.get(query_id).unwrap_or(&NOTHING))
    }

    /// Query id and hits, by query id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Hits<'_>)> {
        self.hits.iter().map(|(query_id, ranked)| (query_id.as_str(), Hits::new(&self.ids, ranked)))
    }

    /// The ids that hits are numbers of.
    pub(super) fn ids(&self) -> &DocIds {
        &self.ids
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
        let hits = self.hits.iter().map(|(query_id, hits)| (query_id.clone(), hits.top(k))).collect();
        Self { ids: Arc::clone(&self.ids), hits }
    }

    /// The run as a frame: `query_id`, `doc_id`, `rank` (from 1), `score`.
    pub fn frame(&self) -> Result<DataFrame> {
        let rows = || self.iter().flat_map(|(query_id, hits)| (1u32..).zip(hits).map(move |row| (query_id, row)));
        Ok(df!(
            "query_id" => rows().map(|(query_id, _)| query_id).collect::<Vec<_>>(),
            "doc_id" => rows().map(|(_, (_, hit))| hit.doc_id).collect::<Vec<_>>(),
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

/// The same hits for the same queries.
impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hits: usize = self.iter().map(|(_, hits)| hits.len()).sum();
        write!(f, "Run {{ queries: {}, hits: {hits} }}", self.len())
    }
}

/// The number of a document id, which is a new one the first time.
fn number(ids: &mut DocIds, doc_id: &str) -> u32 {
    let number = ids.get_index_of(doc_id).unwrap_or_else(|| ids.insert_full(doc_id.into()).0);
    u32::try_from(number).expect("ids of four billion documents do not fit in memory")
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

    fn order(hits: &[(&str, f64)]) -> Vec<String> {
        let mut run = Run::new();
        run.insert("q", hits.iter().copied());
        run.hits("q").doc_ids().map(str::to_owned).collect()
    }

    #[test]
    fn a_total_order() {
        let odd = [("nan", f64::NAN), ("zero", 0.0), ("minus", -0.0), ("low", f64::MIN), ("high", f64::INFINITY)];
        assert_eq!(order(&odd), ["high", "zero", "minus", "low", "nan"]);
        // Equal in single precision, and upper case is below lower case.
        assert_eq!(order(&[("B", 16_777_217.0), ("a", 16_777_216.0)]), ["a", "B"]);
    }
}
