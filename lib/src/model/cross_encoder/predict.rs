//! Pairs to scores.

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use super::CrossEncoder;
use crate::data::{Corpus, Queries};
use crate::eval::Run;
use crate::model::ranked::{Ranked, ranked};
use crate::model::texts::{WINDOW, report_truncated};
use crate::nn::{Activations, PackedBatch};
use crate::{Error, Result, interrupt, show};

impl CrossEncoder {
    /// The scores of pairs of query and document, after the activation: `(n,)`, or `(n, labels)` of a model with several
    /// labels. In the order given, with progress; a score does not depend on the other pairs.
    ///
    /// # Errors
    /// For a score that is NaN or infinite, as those of a diverged model are.
    pub fn predict<A, B>(&self, pairs: &[(A, B)]) -> Result<Tensor>
    where
        A: AsRef<str> + Sync,
        B: AsRef<str> + Sync,
    {
        let labels = self.labels().len();
        let logits = Tensor::from_vec(self.logits(pairs)?, (pairs.len(), labels), &Device::Cpu)?;
        let scores = self.config.activation.of(&logits)?;
        Ok(if labels == 1 { scores.squeeze(1)? } else { scores })
    }

    /// The score of one pair, of a model with one label.
    pub fn score(&self, query: &str, doc: &str) -> Result<f32> {
        Ok(self.scores(&[(query, doc)])?[0])
    }

    /// The documents of a list, best first; of equal scores the earlier one comes first.
    pub fn rank<S: AsRef<str> + Sync>(&self, query: &str, docs: &[S]) -> Result<Vec<Ranked>> {
        let pairs: Vec<(&str, &str)> = docs.iter().map(|doc| (query, doc.as_ref())).collect();
        Ok(ranked(self.scores(&pairs)?))
    }

    /// The first `k` documents of each query of a run, scored anew.
    ///
    /// # Errors
    /// For queries and documents of the run whose texts are not there.
    pub fn rerank(&self, run: &Run, queries: &Queries, corpus: &Corpus, k: usize) -> Result<Run> {
        let queries = Texts::new("query", "the queries", queries.query_ids(), queries.texts());
        let docs = Texts::new("document", "the corpus", corpus.doc_ids(), corpus.texts());
        let mut pairs = Vec::new();
        for (query_id, hits) in run.iter() {
            for hit in hits.iter().take(k) {
                pairs.push((queries.find(query_id)?, docs.find(hit.doc_id)?));
            }
        }
        let mut scores = self.scores(&pairs)?.into_iter();
        let mut reranked = Run::new();
        for (query_id, hits) in run.iter() {
            let docs = hits.doc_ids().take(k);
            reranked.insert(query_id, docs.zip(&mut scores).map(|(doc_id, score)| (doc_id, score.into())));
        }
        Ok(reranked)
    }

    /// One score per pair.
    fn scores<A, B>(&self, pairs: &[(A, B)]) -> Result<Vec<f32>>
    where
        A: AsRef<str> + Sync,
        B: AsRef<str> + Sync,
    {
        match self.labels().len() {
            1 => Ok(self.predict(pairs)?.to_vec1()?),
            labels => Err(Error::Setting {
                field: "labels",
                value: labels.to_string(),
                expected: "1: a model of several labels has no one score of a pair, `predict` returns all".to_owned(),
            }),
        }
    }

    /// The numbers of each pair before the activation, row-major.
    fn logits<A, B>(&self, pairs: &[(A, B)]) -> Result<Vec<f32>>
    where
        A: AsRef<str> + Sync,
        B: AsRef<str> + Sync,
    {
        let labels = self.labels().len();
        let mut logits = vec![0.0; pairs.len() * labels];
        let mut activations = Activations::inference();
        let bar = show::progress("predict", Some(pairs.len()));
        let mut truncated = 0;
        for (window, (pairs, logits)) in pairs.chunks(WINDOW).zip(logits.chunks_mut(WINDOW * labels)).enumerate() {
            let tokens = self.pair_tokenizer().pairs(pairs)?;
            truncated += tokens.truncated;
            // Neighbours of one length: no pass is much longer than another.
            let lengths: Vec<usize> = tokens.batch.lengths().collect();
            let mut order: Vec<usize> = (0..pairs.len()).collect();
            order.sort_by_key(|pair| std::cmp::Reverse(lengths[*pair]));
            let mut rest = order.as_slice();
            while !rest.is_empty() {
                interrupt::check("predicting")?;
                let (chunk, others) = rest.split_at(within(rest, &lengths, self.config.encode_tokens));
                let parts: Vec<PackedBatch> = chunk.iter().map(|pair| tokens.batch.slice(*pair..*pair + 1)).collect();
                self.classifier.forward(&PackedBatch::concat(&parts), &mut activations)?;
                for (pair, row) in chunk.iter().zip(activations.logits().chunks_exact(labels)) {
                    if let Some(value) = row.iter().find(|value| !value.is_finite()) {
                        return Err(Error::ScoreNotFinite { pair: window * WINDOW + pair, value: *value });
                    }
                    logits[pair * labels..(pair + 1) * labels].copy_from_slice(row);
                }
                bar.inc(chunk.len());
                rest = others;
            }
        }
        report_truncated(&self.told, truncated, (pairs.len(), "pairs"), ("max_length", self.config.max_length));
        Ok(logits)
    }
}

/// How many of the first have together at most `budget` tokens, at least one.
fn within(order: &[usize], lengths: &[usize], budget: usize) -> usize {
    let mut tokens = 0;
    let fits = order.iter().take_while(|pair| {
        tokens += lengths[**pair];
        tokens <= budget
    });
    fits.count().max(1)
}

/// Texts by their ids.
struct Texts {
    kind: &'static str,
    within: &'static str,
    by_id: HashMap<String, String>,
}

impl Texts {
    fn new(kind: &'static str, within: &'static str, ids: Vec<String>, texts: Vec<String>) -> Self {
        Self { kind, within, by_id: ids.into_iter().zip(texts).collect() }
    }

    fn find(&self, id: &str) -> Result<&str> {
        self.by_id.get(id).map(String::as_str).ok_or_else(|| Error::UnknownId {
            place: "run".to_owned(),
            kind: self.kind,
            id: id.to_owned(),
            known: self.by_id.len(),
            within: self.within.to_owned(),
        })
    }
}
