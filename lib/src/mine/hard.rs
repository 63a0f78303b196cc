//! Hard negatives: documents that a system ranks high and that are not judged relevant.

use std::borrow::Borrow;

use serde::{Deserialize, Serialize};

use super::candidates::{check_number, training_set};
use crate::data::{Corpus, Qrels, Queries, TrainingSet};
use crate::eval::Run;
use crate::random::Philox;
use crate::{Error, Result};

/// How [`hard_negatives`] chooses. Ranks count from 0, over the documents that may be negatives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MineConfig {
    /// Negatives per query, fewer than the corpus has documents. Default 1.
    pub num_negatives: usize,
    /// The first rank to take: the very best ones are often relevant without a judgement. Default 0.
    pub range_min: usize,
    /// The rank after the last one to take. Default 100.
    pub range_max: usize,
    /// Which documents of the range to take. Default the best.
    pub sampling: Sampling,
    /// For [`Sampling::Random`]: same seed, same negatives.
    pub seed: u64,
}

/// Which documents of a range become negatives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// The best.
    #[default]
    Top,
    /// Any, each equally likely; those drawn keep the order of their ranks.
    Random,
}

impl Default for MineConfig {
    fn default() -> Self {
        Self { num_negatives: 1, range_min: 0, range_max: 100, sampling: Sampling::Top, seed: 42 }
    }
}

impl MineConfig {
    pub(super) fn check(&self, corpus: &Corpus) -> Result<()> {
        check_number(self.num_negatives, corpus)?;
        if self.range_max < self.range_min.saturating_add(self.num_negatives) {
            let expected = format!("at least range_min + num_negatives = {} + {}", self.range_min, self.num_negatives);
            return Err(Error::Setting { field: "range_max", value: self.range_max.to_string(), expected });
        }
        Ok(())
    }
}

/// Hard negatives from the hits of any run, be it of BM25 or of a model. [`mine`](super) describes what is excluded and
/// what is returned.
///
/// Errors: settings out of range; a positive or a hit that is not in the corpus.
///
/// ```
/// use kensaku::data::{Corpus, Qrels, Queries};
/// use kensaku::eval::Run;
/// use kensaku::mine::{MineConfig, hard_negatives};
/// use kensaku::polars::prelude::*;
///
/// let corpus = Corpus::new(df!("doc_id" => ["a", "b", "c"], "text" => ["cats", "dogs", "fish"])?)?;
/// let queries = Queries::new(df!("query_id" => ["q"], "text" => ["which pet purrs"])?)?;
/// let mut qrels = Qrels::new();
/// qrels.insert("q", "a", 1);
/// let mut run = Run::new();
/// run.insert("q", [("a", 3.0), ("b", 2.0), ("c", 1.0)]);
///
/// let triples = hard_negatives(&queries, &qrels, &corpus, &run, MineConfig::default())?;
/// assert_eq!(triples.columns(), [["which pet purrs"], ["cats"], ["dogs"]]);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "mine_hard_negatives")]
pub fn hard_negatives(
    queries: &Queries,
    qrels: &Qrels,
    corpus: &Corpus,
    run: &Run,
    config: impl Borrow<MineConfig>,
) -> Result<TrainingSet> {
    let config = config.borrow();
    config.check(corpus)?;
    let ids = queries.query_ids();
    if !run.is_empty() && !ids.is_empty() && ids.iter().all(|query_id| run.hits(query_id).is_empty()) {
        return Err(Error::NothingMined { run: run.len(), queries: ids.len() });
    }
    training_set(queries, qrels, corpus, config.num_negatives, |query, query_id, candidates| {
        let hits = run.hits(query_id).doc_ids().map(|doc_id| candidates.number(doc_id, query_id));
        let ranked = candidates.filter(hits.collect::<Result<Vec<_>>>()?.into_iter());
        let range = ranked.skip(config.range_min).take(config.range_max - config.range_min).collect();
        Ok(choose(range, config, query))
    })
}

/// `num_negatives` of the documents, or `None` if there are fewer. Each query has a
/// random stream of its own.
fn choose(mut documents: Vec<usize>, config: &MineConfig, query: usize) -> Option<Vec<usize>> {
    if documents.len() < config.num_negatives {
        return None;
    }
    if config.sampling == Sampling::Random {
        let mut ranks: Vec<usize> = (0..documents.len()).collect();
        Philox::stream(config.seed, query as u64).shuffle(&mut ranks);
        ranks.truncate(config.num_negatives);
        ranks.sort_unstable();
        return Some(ranks.into_iter().map(|rank| documents[rank]).collect());
    }
    documents.truncate(config.num_negatives);
    Some(documents)
}
