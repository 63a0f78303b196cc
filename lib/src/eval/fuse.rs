//! Fusion: one run made of several.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use polars::prelude::PlIndexMap;
use serde::{Deserialize, Serialize};

use super::{Hits, Run};
use crate::error::expect;
use crate::{Error, Result, interrupt};

/// How [`fuse`] makes one score of a document's scores in several runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FusionConfig {
    /// Default [`Fusion::ReciprocalRank`] with `k = 60`.
    pub method: Fusion,
    /// How much each run counts, in the order of the runs. Default none: 1 each.
    pub weights: Vec<f64>,
}

/// What of a hit counts. A document that a run lacks gets nothing from it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fusion {
    /// The sum of `weight / (k + rank)`, ranks from 1: reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009). Scores
    /// of systems that do not compare need no scaling.
    #[doc(alias = "RRF")]
    ReciprocalRank { k: f64 },
    /// The sum of `weight * score`, where scores are brought to one scale first.
    #[doc(alias = "CombSUM")]
    Scores(Normalization),
}

/// What scores of a query in a run become before they are added. Values equal ranx's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// The scores as they are.
    None,
    /// `(score - min) / (max - min)`; 0 where all are equal. The last hit gets as much as a document that is no hit.
    MinMax,
    /// `(score - mean) / deviation`; 0 where all are equal. A document that is no hit counts as an average one.
    #[doc(alias = "zmuv")]
    ZScore,
}

impl Default for Fusion {
    fn default() -> Self {
        Self::ReciprocalRank { k: 60.0 }
    }
}

/// One run of several: their queries, with the documents that any of them has for a query.
///
/// ```
/// use kensaku::eval::{FusionConfig, Run, fuse};
///
/// let (mut words, mut vectors) = (Run::new(), Run::new());
/// words.insert("q", [("a", 12.0), ("b", 11.0), ("c", 3.0)]);
/// vectors.insert("q", [("b", 0.9), ("d", 0.8)]);
/// let both = fuse(&[&words, &vectors], FusionConfig::default())?;
/// assert!(both.hits("q").doc_ids().eq(["b", "a", "d", "c"]));
/// assert_eq!(both.hits("q").scores()[0], 1.0 / 62.0 + 1.0 / 61.0);
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// # Errors
/// For weights that are not one per run, or not numbers from 0 on; for a `k` below 0; for a score that is not finite, where
/// scores are added.
#[doc(alias = "reciprocal_rank_fusion")]
pub fn fuse(runs: &[&Run], config: impl Borrow<FusionConfig>) -> Result<Run> {
    let config = config.borrow();
    config.check(runs.len())?;
    let weights = if config.weights.is_empty() { vec![1.0; runs.len()] } else { config.weights.clone() };
    let queries: BTreeSet<&str> = runs.iter().flat_map(|run| run.iter().map(|(query_id, _)| query_id)).collect();
    let mut fused = Run::new();
    for query_id in queries {
        interrupt::check("fusing runs")?;
        let mut sums = PlIndexMap::<&str, f64>::default();
        for (run, weight) in runs.iter().zip(&weights) {
            let hits = run.hits(query_id);
            for (doc_id, score) in hits.doc_ids().zip(config.method.scores(query_id, hits)?) {
                *sums.entry(doc_id).or_default() += weight * score;
            }
        }
        fused.insert(query_id, sums);
    }
    Ok(fused)
}

impl FusionConfig {
    /// An error for settings that do not fit as many runs.
    pub(crate) fn check(&self, runs: usize) -> Result<()> {
        let Self { method, weights } = self;
        let fits = weights.is_empty() || weights.len() == runs;
        expect("weights", format!("{weights:?}"), &format!("none, or one for each of {runs} runs"), fits)?;
        let positive = weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0);
        expect("weights", format!("{weights:?}"), "finite numbers of at least 0", positive)?;
        match method {
            Fusion::ReciprocalRank { k } => expect("k", k, "a finite number of at least 0", k.is_finite() && *k >= 0.0),
            Fusion::Scores(_) => Ok(()),
        }
    }
}

impl Fusion {
    /// What each hit counts.
    fn scores(self, query_id: &str, hits: Hits<'_>) -> Result<Vec<f64>> {
        let scores = hits.scores();
        match self {
            Self::ReciprocalRank { k } => Ok((1..=scores.len()).map(|rank| 1.0 / (k + rank as f64)).collect()),
            Self::Scores(normalization) => match hits.iter().find(|hit| !hit.score.is_finite()) {
                Some(hit) => Err(Error::Shape {
                    what: format!("the score of query `{query_id}` with document `{}`", hit.doc_id),
                    found: hit.score.to_string(),
                    expected: "a finite number".to_owned(),
                }),
                None => Ok(normalization.of(scores)),
            },
        }
    }
}

impl Normalization {
    fn of(self, scores: &[f64]) -> Vec<f64> {
        // As ranx has it: a spread below this is none.
        const LEAST: f64 = 1e-9;
        let scaled = |start: f64, width: f64| scores.iter().map(|score| (score - start) / width.max(LEAST)).collect();
        match self {
            Self::None => scores.to_vec(),
            Self::MinMax => {
                let (min, max) = scores
                    .iter()
                    .fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), score| (min.min(*score), max.max(*score)));
                scaled(min, max - min)
            }
            Self::ZScore => {
                let mean = scores.iter().sum::<f64>() / scores.len() as f64;
                let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / scores.len() as f64;
                scaled(mean, variance.sqrt())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(query_id: &str, hits: &[(&str, f64)]) -> Run {
        let mut run = Run::new();
        run.insert(query_id, hits.iter().copied());
        run
    }

    #[test]
    fn queries_and_documents_of_any_run() {
        let (a, b) = (run("q1", &[("x", 3.0), ("y", 1.0)]), run("q2", &[("x", 5.0)]));
        let scores = |normalization| FusionConfig { method: Fusion::Scores(normalization), weights: vec![2.0, 0.5] };
        let sum = fuse(&[&a, &b], scores(Normalization::None)).unwrap();
        assert_eq!((sum.hits("q1").scores(), sum.hits("q2").scores()), (&[6.0, 2.0][..], &[2.5][..]));
        let scaled = fuse(&[&a, &b], scores(Normalization::MinMax)).unwrap();
        // A single hit has no spread.
        assert_eq!((scaled.hits("q1").scores(), scaled.hits("q2").scores()), (&[2.0, 0.0][..], &[0.0][..]));
        let scaled = fuse(&[&a, &b], scores(Normalization::ZScore)).unwrap();
        assert_eq!((scaled.hits("q1").scores(), scaled.hits("q2").scores()), (&[2.0, -2.0][..], &[0.0][..]));
        assert!(fuse(&[], FusionConfig::default()).unwrap().is_empty());
        assert!(fuse(&[&Run::new()], FusionConfig::default()).unwrap().is_empty());
    }

    #[test]
    fn settings_and_scores_that_mean_nothing() {
        let a = run("q1", &[("x", f64::INFINITY), ("y", 1.0)]);
        let message = |config: FusionConfig| fuse(&[&a], config).unwrap_err().to_string();
        let with = |weights: &[f64]| FusionConfig { weights: weights.to_vec(), ..Default::default() };
        assert_eq!(message(with(&[1.0, 2.0])), "weights = [1.0, 2.0]: expected none, or one for each of 1 runs");
        assert_eq!(message(with(&[-1.0])), "weights = [-1.0]: expected finite numbers of at least 0");
        let k = FusionConfig { method: Fusion::ReciprocalRank { k: f64::NAN }, ..Default::default() };
        assert_eq!(message(k), "k = NaN: expected a finite number of at least 0");
        let scores = FusionConfig { method: Fusion::Scores(Normalization::None), ..Default::default() };
        assert!(message(scores).starts_with("the score of query `q1` with document `x`: found inf"));
        assert_eq!(fuse(&[&a], FusionConfig::default()).unwrap().hits("q1").len(), 2);
    }

    #[test]
    fn settings_are_json() {
        let config = FusionConfig { method: Fusion::Scores(Normalization::ZScore), weights: vec![1.0] };
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(json, r#"{"method":{"scores":"z_score"},"weights":[1.0]}"#);
        assert_eq!(serde_json::from_str::<FusionConfig>(&json).unwrap(), config);
        assert_eq!(serde_json::from_str::<FusionConfig>("{}").unwrap(), FusionConfig::default());
    }
}
