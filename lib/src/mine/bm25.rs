//! Hard negatives by BM25, the usual first choice.

use std::borrow::Borrow;

use super::{MineConfig, hard_negatives};
use crate::Result;
use crate::data::{Corpus, Qrels, Queries, TrainingSet};
use crate::index::{Bm25, Bm25Params};

/// [`hard_negatives`] from a BM25 search of the corpus with [`Bm25Params::LUCENE`]: documents that
/// share words with the query but are not known to be relevant (Karpukhin et al., "Dense passage
/// retrieval", EMNLP 2020, train with one per query).
///
/// For another index or other settings, search first and pass the run to [`hard_negatives`].
pub fn bm25_negatives(
    queries: &Queries,
    qrels: &Qrels,
    corpus: &Corpus,
    config: impl Borrow<MineConfig>,
) -> Result<TrainingSet> {
    let config = config.borrow();
    config.check(corpus)?;
    // Positives take ranks in the search, but none of the range.
    let most_positives = qrels.iter().map(|(_, judged)| judged.values().filter(|grade| **grade > 0).count()).max();
    let depth = config.range_max.saturating_add(most_positives.unwrap_or(0));
    let run = Bm25::new(corpus, Bm25Params::LUCENE)?.search(queries, depth)?;
    hard_negatives(queries, qrels, corpus, &run, config)
}
