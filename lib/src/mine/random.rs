//! Random negatives: the baseline that every other way of mining has to beat.

use std::borrow::Borrow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::candidates::training_set;
use crate::Result;
use crate::data::{Corpus, Qrels, Queries, TrainingSet};
use crate::random::Philox;

/// How [`random_negatives`] chooses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomConfig {
    /// Negatives per query, fewer than the corpus has documents. Default 1.
    pub num_negatives: usize,
    /// Same seed, same negatives.
    pub seed: u64,
}

impl Default for RandomConfig {
    fn default() -> Self {
        Self { num_negatives: 1, seed: 42 }
    }
}

/// Negatives drawn from the whole corpus. [`mine`](super) describes what is excluded and what is returned.
///
/// Errors: `num_negatives` out of range; a positive that is not in the corpus.
///
/// ```
/// use kensaku::data::{Corpus, Qrels, Queries};
/// use kensaku::mine::{RandomConfig, random_negatives};
/// use kensaku::polars::prelude::*;
///
/// let corpus = Corpus::new(df!("doc_id" => ["a", "b", "c"], "text" => ["cats", "dogs", "dogs"])?)?;
/// let queries = Queries::new(df!("query_id" => ["q"], "text" => ["which pet purrs"])?)?;
/// let mut qrels = Qrels::new();
/// qrels.insert("q", "a", 1);
///
/// let triples = random_negatives(&queries, &qrels, &corpus, RandomConfig::default())?;
/// assert_eq!(triples.columns(), [["which pet purrs"], ["cats"], ["dogs"]]);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn random_negatives(
    queries: &Queries,
    qrels: &Qrels,
    corpus: &Corpus,
    config: impl Borrow<RandomConfig>,
) -> Result<TrainingSet> {
    let config = config.borrow();
    training_set(queries, qrels, corpus, config.num_negatives, |query, _, candidates| {
        let order = Shuffled {
            moved: HashMap::new(),
            remaining: candidates.num_docs(),
            rng: Philox::stream(config.seed, query as u64),
        };
        let drawn = candidates.filter(order.map(|doc| (doc, ())));
        let negatives: Vec<usize> = drawn.take(config.num_negatives).map(|(doc, ())| doc).collect();
        Ok((negatives.len() == config.num_negatives).then_some(negatives))
    })
}

/// The numbers below `remaining` in random order, drawn as they are asked for: Fisher-Yates over an
/// array of which only the entries that have moved are stored.
struct Shuffled {
    moved: HashMap<usize, usize>,
    remaining: usize,
    rng: Philox,
}

impl Iterator for Shuffled {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let drawn = self.rng.below(self.remaining);
        self.remaining = self.remaining.checked_sub(1)?;
        let last = self.moved.get(&self.remaining).copied().unwrap_or(self.remaining);
        Some(self.moved.insert(drawn, last).unwrap_or(drawn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shuffled(len: usize, seed: u64) -> Vec<usize> {
        Shuffled { moved: HashMap::new(), remaining: len, rng: Philox::new(seed) }.collect()
    }

    #[test]
    fn every_number_once_and_every_order_equally_often() {
        let mut orders: HashMap<Vec<usize>, usize> = HashMap::new();
        for seed in 0..24_000 {
            *orders.entry(shuffled(4, seed)).or_default() += 1;
        }
        // 24 orders, 1000 expected each, standard deviation 31.
        assert_eq!(orders.len(), 24);
        assert!(orders.values().all(|count| (850..1150).contains(count)), "{orders:?}");
        assert!(shuffled(0, 1).is_empty());
    }
}
