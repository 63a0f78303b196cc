//! Hard negatives: documents that a system ranks high and that are not judged relevant.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};

use super::candidates::{Candidates, Docs, check_judged, check_number};
use super::mined::{Mined, Scored};
use super::{Format, MineConfig, Sampling};
use crate::data::{Corpus, Qrels, Queries, TrainingSet};
use crate::error::expect;
use crate::eval::{Hits, Run};
use crate::random::Philox;
use crate::show::progress_iter;
use crate::{Error, Result, interrupt};

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
    let mined = mine_negatives(queries, qrels, corpus, run, config)?;
    mined.tell();
    mined.training_set(Format::Tuples)
}

/// The same with ranks and scores, in the form that a loss needs, and with an account of what was left out.
///
/// Margins and limits are of the run's own scores. To judge by a cross-encoder, have it score the run anew
/// ([`CrossEncoder::rerank`](crate::model::CrossEncoder::rerank)) before. A positive that the run lacks scores less than its
/// hits: search deep enough.
///
/// ```
/// # use kensaku::data::{Corpus, Qrels, Queries};
/// # use kensaku::eval::Run;
/// # use kensaku::polars::prelude::*;
/// use kensaku::mine::{Format, MineConfig, mine_negatives};
/// # let corpus = Corpus::new(df!("doc_id" => ["a", "b", "c"], "text" => ["cats", "dogs", "fish"])?)?;
/// # let queries = Queries::new(df!("query_id" => ["q"], "text" => ["which pet purrs"])?)?;
/// # let mut qrels = Qrels::new();
/// # qrels.insert("q", "a", 1);
/// # let mut run = Run::new();
/// # run.insert("q", [("a", 3.0), ("b", 2.9), ("c", 1.0)]);
/// let config = MineConfig { relative_margin: Some(0.05), ..Default::default() };
/// let mined = mine_negatives(&queries, &qrels, &corpus, &run, config)?;
/// // `b` is too near to the positive.
/// assert_eq!(mined.training_set(Format::Tuples)?.columns()[2], ["fish"]);
/// let scores = mined.training_set(Format::ScoredPairs)?;
/// assert_eq!(scores.columns()[1], ["cats", "fish"]);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn mine_negatives(
    queries: &Queries,
    qrels: &Qrels,
    corpus: &Corpus,
    run: &Run,
    config: impl Borrow<MineConfig>,
) -> Result<Mined> {
    mine_union(queries, qrels, corpus, &[(run, config.borrow().clone())])
}

/// Negatives from several runs: of each run as many as its settings say, such as three that share words with the query and
/// two that a model ranks high. The first runs choose first, and no document is taken twice. A document has the rank and the
/// score of the run that it is from, a positive the score of the first run; margins compare scores of one run.
///
/// ```
/// # use kensaku::data::{Corpus, Qrels, Queries};
/// # use kensaku::eval::Run;
/// # use kensaku::polars::prelude::*;
/// use kensaku::mine::{Format, MineConfig, mine_union};
/// # let corpus = Corpus::new(df!("doc_id" => ["a", "b", "c", "d"], "text" => ["cats", "dogs", "fish", "birds"])?)?;
/// # let queries = Queries::new(df!("query_id" => ["q"], "text" => ["which pet purrs"])?)?;
/// # let mut qrels = Qrels::new();
/// # qrels.insert("q", "a", 1);
/// # let (mut words, mut vectors) = (Run::new(), Run::new());
/// # words.insert("q", [("b", 9.0), ("c", 7.0)]);
/// # vectors.insert("q", [("b", 0.9), ("a", 0.8), ("d", 0.7)]);
/// let one = MineConfig::default();
/// let mined = mine_union(&queries, &qrels, &corpus, &[(&words, one.clone()), (&vectors, one)])?;
/// let set = mined.training_set(Format::Tuples)?;
/// assert_eq!((&set.columns()[2][0], &set.columns()[3][0]), ("dogs", "birds"));
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// # Errors
/// Those of [`mine_negatives`]; if there is no run.
pub fn mine_union(queries: &Queries, qrels: &Qrels, corpus: &Corpus, runs: &[(&Run, MineConfig)]) -> Result<Mined> {
    expect("runs", "none", "at least one run to mine from", !runs.is_empty())?;
    let (query_ids, texts) = (queries.query_ids(), queries.texts());
    for (run, config) in runs {
        config.check(corpus)?;
        let searched: HashSet<&str> = run.iter().map(|(query_id, _)| query_id).collect();
        if !run.is_empty() && !query_ids.is_empty() && query_ids.iter().all(|query_id| !searched.contains(&**query_id))
        {
            return Err(Error::NothingMined { run: run.len(), queries: query_ids.len() });
        }
    }
    check_judged(qrels, &query_ids)?;
    let num_negatives = runs.iter().map(|(_, config)| config.num_negatives).sum();
    check_number(num_negatives, corpus)?;
    let mut mined = Mined::new(num_negatives, runs.len(), Docs::new(corpus));
    for (row, (query_id, text)) in progress_iter("mining", query_ids.iter().zip(&texts)).enumerate() {
        interrupt::check("mining")?;
        let positives = mined.docs().positives(query_id, qrels.judgements(query_id))?;
        if positives.is_empty() {
            continue;
        }
        let (mut first, mut negatives, mut shut_out) = (None, Vec::<Scored>::new(), Vec::new());
        for (number, (run, config)) in runs.iter().enumerate() {
            let hits = scored(mined.docs(), run.hits(query_id), query_id)?;
            let known: HashMap<usize, f64> = hits.iter().copied().collect();
            let scores: Vec<Option<f64>> = positives.iter().map(|doc| known.get(doc).copied()).collect();
            // `None`, which no hit has, where one is missing.
            let lowest = scores.iter().copied().collect::<Option<Vec<f64>>>();
            let lowest = lowest.and_then(|scores| scores.into_iter().reduce(f64::min));
            let taken: Vec<usize> = positives.iter().copied().chain(negatives.iter().map(|doc| doc.doc)).collect();
            let mut ranked = Vec::new();
            for (doc, score) in Candidates::new(mined.docs(), text, &taken).filter(hits.into_iter()) {
                match config.shut_out(score, lowest) {
                    Some(rule) => shut_out.push(rule),
                    None => ranked.push(Scored { doc, rank: ranked.len(), score: Some(score), run: number }),
                }
            }
            ranked.truncate(config.range_max);
            ranked.drain(..config.range_min.min(ranked.len()));
            choose(&mut ranked, config, row);
            negatives.append(&mut ranked);
            first.get_or_insert(scores);
        }
        let positives = positives.into_iter().zip(first.unwrap_or_default());
        let positives = positives.map(|(doc, score)| Scored { doc, rank: 0, score, run: 0 }).collect();
        mined.push(query_id, text, positives, negatives, &shut_out);
    }
    Ok(mined)
}

/// The hits by the numbers of their documents.
fn scored(docs: &Docs, hits: Hits, query_id: &str) -> Result<Vec<(usize, f64)>> {
    hits.iter().map(|hit| Ok((docs.number(hit.doc_id, "run", query_id)?, hit.score))).collect()
}

/// Leaves at most `num_negatives` of the documents. Each query has a random stream of its own.
fn choose(documents: &mut Vec<Scored>, config: &MineConfig, query: usize) {
    if config.sampling == Sampling::Random && documents.len() > config.num_negatives {
        Philox::stream(config.seed, query as u64).shuffle(documents);
        documents.truncate(config.num_negatives);
        documents.sort_unstable_by_key(|document| document.rank);
    }
    documents.truncate(config.num_negatives);
}
