//! Pairs of texts that mean the same.

use std::borrow::Borrow;
use std::cmp::Ordering;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::expect;
use crate::index::flat;
use crate::loss::Similarity;

/// How [`paraphrase_mining`] looks for pairs. Defaults are those of sentence-transformers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParaphraseConfig {
    /// How many of a text's nearest may be in a pair with it. Default 100.
    pub top_k: usize,
    /// How many pairs are returned at most. Default 500,000.
    pub max_pairs: usize,
    /// Default cosine.
    pub similarity: Similarity,
}

/// Two rows, the first of which is the earlier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoredPair {
    pub score: f32,
    pub first: usize,
    pub second: usize,
}

impl Default for ParaphraseConfig {
    fn default() -> Self {
        Self { top_k: 100, max_pairs: 500_000, similarity: Similarity::Cosine }
    }
}

/// The most similar pairs among the rows of `vectors` `(n, dim)`, best first: of each row its `top_k` nearest others, of all
/// these the `max_pairs` best. Of equal scores the pair whose rows come earlier is first. The matrix of all scores is
/// never held.
///
/// ```
/// use kensaku::index::{ParaphraseConfig, paraphrase_mining};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let vectors = Tensor::new(&[[1.0f32, 0.0], [0.0, 1.0], [0.8, 0.6]], &Device::Cpu)?;
/// let pairs = paraphrase_mining(&vectors, ParaphraseConfig::default())?;
/// let rows: Vec<_> = pairs.iter().map(|pair| (pair.first, pair.second)).collect();
/// assert_eq!(rows, [(0, 2), (1, 2), (0, 1)]);
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// # Errors
/// For settings of 0; for numbers that are not finite.
#[doc(alias = "paraphrase_mining_embeddings")]
pub fn paraphrase_mining(vectors: &Tensor, config: impl Borrow<ParaphraseConfig>) -> Result<Vec<ScoredPair>> {
    let ParaphraseConfig { top_k, max_pairs, similarity } = *config.borrow();
    expect("top_k", top_k, "at least 1", top_k > 0)?;
    expect("max_pairs", max_pairs, "at least 1", max_pairs > 0)?;
    let mut pairs = Pairs { most: max_pairs, least: f32::NEG_INFINITY, found: Vec::new() };
    // A row is mostly its own nearest.
    flat::nearest(vectors, vectors, similarity, top_k.saturating_add(1), |row, nearest| {
        let others = nearest.into_iter().filter(|other| other.index != row).take(top_k);
        others.for_each(|other| {
            let (first, second) = (row.min(other.index), row.max(other.index));
            pairs.push(ScoredPair { score: other.score, first, second });
        });
        Ok(())
    })?;
    Ok(pairs.sorted())
}

/// The best pairs so far; some are there twice, as either row may have found them.
struct Pairs {
    most: usize,
    /// What is below this is not among the best.
    least: f32,
    found: Vec<ScoredPair>,
}

impl Pairs {
    fn push(&mut self, pair: ScoredPair) {
        if pair.score >= self.least {
            self.found.push(pair);
            if self.found.len() >= self.most.saturating_mul(3).max(1 << 16) {
                self.cut();
            }
        }
    }

    /// Each pair once, and the best of them.
    fn cut(&mut self) {
        self.found.sort_unstable_by(|a, b| rows(a).cmp(&rows(b)).then(b.score.total_cmp(&a.score)));
        self.found.dedup_by_key(|pair| rows(pair));
        if self.found.len() > self.most {
            self.found.select_nth_unstable_by(self.most - 1, best_first);
            self.found.truncate(self.most);
            self.least = self.found[self.most - 1].score;
        }
    }

    fn sorted(mut self) -> Vec<ScoredPair> {
        self.cut();
        self.found.sort_unstable_by(best_first);
        self.found
    }
}

fn rows(pair: &ScoredPair) -> (usize, usize) {
    (pair.first, pair.second)
}

fn best_first(a: &ScoredPair, b: &ScoredPair) -> Ordering {
    b.score.total_cmp(&a.score).then_with(|| rows(a).cmp(&rows(b)))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whole numbers, so that products are exact and many are equal.
        #[test]
        fn equals_comparing_all(
            numbers in prop::collection::vec(0..4_u8, 0..120),
            dim in 1..4_usize,
            top_k in 1..8_usize,
            max_pairs in 1..60_usize,
        ) {
            let n = numbers.len() / dim;
            let numbers: Vec<f32> = numbers[..n * dim].iter().map(|number| f32::from(*number)).collect();
            let row = |row: usize| &numbers[row * dim..][..dim];
            let score = |a: usize, b: usize| row(a).iter().zip(row(b)).map(|(x, y)| x * y).sum::<f32>();
            let mut expected = Vec::new();
            for own in 0..n {
                let mut others: Vec<usize> = (0..n).collect();
                others.sort_by(|a, b| score(own, *b).total_cmp(&score(own, *a)).then(a.cmp(b)));
                // The rows that a search for one more finds, without the row itself.
                others.truncate(top_k + 1);
                others.retain(|other| *other != own);
                others.truncate(top_k);
                expected.extend(others.into_iter().map(|other| {
                    ScoredPair { score: score(own, other), first: own.min(other), second: own.max(other) }
                }));
            }
            expected.sort_by(best_first);
            expected.dedup();
            expected.truncate(max_pairs);
            let vectors = Tensor::from_slice(&numbers, (n, dim), &Device::Cpu).unwrap();
            let config = ParaphraseConfig { top_k, max_pairs, similarity: Similarity::Dot };
            prop_assert_eq!(paraphrase_mining(&vectors, config).unwrap(), expected);
        }
    }

    #[test]
    fn pairs_that_were_cut_do_not_come_back() {
        let mut pairs = Pairs { most: 3, least: f32::NEG_INFINITY, found: Vec::new() };
        for number in 0..200_000_usize {
            let pair = ScoredPair { score: (number % 7) as f32, first: number % 50, second: 50 + number % 50 };
            pairs.push(pair);
        }
        let found = pairs.sorted();
        assert_eq!(found.iter().map(rows).collect::<Vec<_>>(), [(0, 50), (1, 51), (2, 52)]);
        assert!(found.iter().all(|pair| pair.score == 6.0));
    }
}
