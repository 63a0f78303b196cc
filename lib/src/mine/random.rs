//! Random negatives: the baseline that every other way of mining has to beat.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};

use polars::prelude::DataType;
use serde::{Deserialize, Serialize};

use super::candidates::training_set;
use crate::Result;
use crate::data::{Corpus, Origin, Qrels, Queries, TrainingSet, column};
use crate::random::Philox;

/// How [`random_negatives`] chooses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomConfig {
    /// Negatives per query, fewer than the corpus has documents. Default 1.
    pub num_negatives: usize,
    /// Same seed, same negatives.
    pub seed: u64,
    /// A column of the corpus, such as the number of a cluster: negatives are drawn from the documents that share its value
    /// with a positive of the query, which is about the same topic. A null is no topic. Default none.
    pub topic: Option<String>,
}

impl Default for RandomConfig {
    fn default() -> Self {
        Self { num_negatives: 1, seed: 42, topic: None }
    }
}

/// Negatives drawn from the whole corpus. [`mine`](super) describes what is excluded and what is returned.
///
/// Errors: `num_negatives` out of range; a positive that is not in the corpus; no column of topics.
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
    let topics = config.topic.as_ref().map(|column| Topics::of(corpus, column)).transpose()?;
    training_set(queries, qrels, corpus, config.num_negatives, |query, positives, candidates| {
        let pool = topics.as_ref().map(|topics| topics.docs(positives));
        let order = Shuffled {
            moved: HashMap::new(),
            remaining: pool.as_ref().map_or(candidates.num_docs(), Vec::len),
            rng: Philox::stream(config.seed, query as u64),
        };
        let doc = |place: usize| pool.as_ref().map_or(place, |pool| pool[place] as usize);
        let drawn = candidates.filter(order.map(|place| (doc(place), ())));
        let negatives: Vec<usize> = drawn.take(config.num_negatives).map(|(doc, ())| doc).collect();
        Ok((negatives.len() == config.num_negatives).then_some(negatives))
    })
}

/// The documents of each topic.
struct Topics {
    /// The topic of each document, if it has one.
    of_docs: Vec<Option<u32>>,
    docs: Vec<Vec<u32>>,
}

impl Topics {
    fn of(corpus: &Corpus, name: &str) -> Result<Self> {
        let column = column(Origin::Frame("corpus"), corpus.frame(), name, "a column of topics")?;
        let values = column.cast(&DataType::String)?;
        let (mut numbers, mut topics) = (HashMap::new(), Self { of_docs: Vec::new(), docs: Vec::new() });
        for (doc, value) in values.str()?.iter().enumerate() {
            let topic = value.map(|value| *numbers.entry(value).or_insert(topics.docs.len() as u32));
            if let Some(topic) = topic {
                topics.docs.resize(numbers.len(), Vec::new());
                topics.docs[topic as usize].push(doc as u32);
            }
            topics.of_docs.push(topic);
        }
        Ok(topics)
    }

    /// Those of the topics of some documents.
    fn docs(&self, of: &[usize]) -> Vec<u32> {
        let topics: BTreeSet<u32> = of.iter().filter_map(|doc| self.of_docs[*doc]).collect();
        topics.iter().flat_map(|topic| &self.docs[*topic as usize]).copied().collect()
    }
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
