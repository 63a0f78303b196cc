//! Scoring a run against judgements.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::measure::{Desk, Ranking};
use super::{Hits, Measure, Report, Run};
use crate::data::{Judgements, Qrels};
use crate::{Error, Result, interrupt};

/// The options of trec_eval that change its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// The lowest grade that counts as relevant (`-l`), at least 1; default 1. nDCG uses every positive grade
    /// regardless.
    pub relevance_level: i64,
    /// Average over all judged queries (`-c`), with 0 for a query that is missing from the run, instead of over the
    /// queries that are both judged and in the run (the default).
    pub all_queries: bool,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self { relevance_level: 1, all_queries: false }
    }
}

/// The measures of every judged query in the run, and their means, with the default [`EvalConfig`]:
/// the numbers of trec_eval.
///
/// Documents without a judgement are not relevant. A judged query without relevant documents gives 0
/// and counts, and so does a query for which the run holds no hit. A measure that is named twice is reported once.
///
/// Errors: a name that is not a [`Measure`]; a duplicate document for a query; no query that is both judged and in the
/// run.
///
/// ```
/// use kensaku::data::Qrels;
/// use kensaku::eval::{Run, evaluate};
/// let mut qrels = Qrels::new();
/// qrels.insert("q1", "a", 1);
/// let mut run = Run::new();
/// run.insert("q1", [("b", 2.0), ("a", 1.0)]);
/// let report = evaluate(&qrels, &run, &["RR@10", "P@5"])?;
/// assert_eq!(report.mean("RR@10")?, 0.5);
/// assert_eq!(report.to_string(), "measure    mean\nRR@10    0.5000\nP@5      0.2000\n1 query");
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn evaluate(qrels: &Qrels, run: &Run, measures: &[impl AsRef<str>]) -> Result<Report> {
    evaluate_with(qrels, run, measures, EvalConfig::default())
}

/// [`evaluate`] with settings.
pub fn evaluate_with(
    qrels: &Qrels,
    run: &Run,
    measures: &[impl AsRef<str>],
    config: impl Borrow<EvalConfig>,
) -> Result<Report> {
    let config = config.borrow();
    if config.relevance_level < 1 {
        let (field, value) = ("relevance_level", config.relevance_level.to_string());
        return Err(Error::Setting { field, value, expected: "a grade of at least 1".to_owned() });
    }
    if measures.is_empty() {
        let (field, value) = ("measures", "[]".to_owned());
        return Err(Error::Setting { field, value, expected: "at least one, such as `nDCG@10`".to_owned() });
    }
    let measures = distinct(measures)?;
    let queries = evaluated_queries(qrels, run, config)?;
    // A desk is as large as the ids of the run: a few parts, not one for each query.
    let part = queries.len().div_ceil(4 * rayon::current_num_threads());
    let values = queries.par_chunks(part).map(|queries| {
        let mut desk = Desk::new(run.ids());
        let values = queries.iter().map(|(query_id, judgements, hits)| {
            interrupt::check("evaluation")?;
            check_hits(query_id, *hits, &mut desk)?;
            let ranking = Ranking::new(*hits, judgements, &mut desk, config.relevance_level);
            Ok(measures.iter().map(|measure| measure.value(&ranking)).collect())
        });
        values.collect::<Result<Vec<Vec<f64>>>>()
    });
    let values = values.collect::<Result<Vec<_>>>()?.concat();
    let query_ids = queries.iter().map(|(query_id, ..)| (*query_id).to_owned()).collect();
    Ok(Report::new(measures, query_ids, values))
}

/// The measures, each once: a report has one value per measure.
fn distinct(names: &[impl AsRef<str>]) -> Result<Vec<Measure>> {
    let mut measures: Vec<Measure> = Vec::with_capacity(names.len());
    for name in names {
        let measure = name.as_ref().parse()?;
        if !measures.contains(&measure) {
            measures.push(measure);
        }
    }
    Ok(measures)
}

/// A query that counts: its id, judgements and hits.
type Query<'a> = (&'a str, &'a Judgements, Hits<'a>);

fn evaluated_queries<'a>(qrels: &'a Qrels, run: &'a Run, config: &EvalConfig) -> Result<Vec<Query<'a>>> {
    let searched: BTreeSet<&str> = run.iter().map(|(query_id, _)| query_id).collect();
    let judged = qrels.iter().filter(|(query_id, _)| config.all_queries || searched.contains(query_id));
    let queries: Vec<Query> = judged.map(|(query_id, judgements)| (query_id, judgements, run.hits(query_id))).collect();
    if queries.is_empty() {
        return Err(Error::NothingJudged { run: run.len(), qrels: qrels.len() });
    }
    Ok(queries)
}

fn check_hits(query_id: &str, hits: Hits, desk: &mut Desk) -> Result<()> {
    if let Some(second) = desk.second(hits) {
        let id = hits.doc_ids().nth(second).unwrap_or_default();
        let first = hits.doc_ids().position(|doc_id| doc_id == id).unwrap_or_default();
        let place = format!("run, query `{query_id}`");
        return Err(Error::DuplicateId { place, kind: "document", id: id.to_owned(), first, second });
    }
    // NaN comes last.
    if let Some(hit) = hits.iter().last().filter(|hit| hit.score.is_nan()) {
        let value = format!("NaN of document `{}` for query `{query_id}`", hit.doc_id);
        return Err(Error::Setting { field: "score", value, expected: "a number".to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MEASURES: [&str; 12] =
        ["nDCG", "nDCG@3", "RR", "RR@2", "AP", "AP@3", "R@1", "R@4", "P@1", "P@20", "Success@1", "Success@3"];

    /// One query: documents d0, d1, .., each with a grade or unjudged, and a level of score or not returned.
    type Docs = Vec<(Option<i64>, Option<i8>)>;

    fn docs() -> impl Strategy<Value = Docs> {
        prop::collection::vec((prop::option::of(-2i64..4), prop::option::of(-2i8..3)), 1..14)
    }

    fn ids(docs: &Docs) -> impl Iterator<Item = (String, Option<i64>, Option<i8>)> {
        docs.iter().enumerate().map(|(doc, (grade, level))| (format!("d{doc}"), *grade, *level))
    }

    fn judged(docs: &Docs) -> Qrels {
        let mut qrels = Qrels::new();
        qrels.insert("q", "never returned", 0);
        ids(docs).for_each(|(doc_id, grade, _)| grade.into_iter().for_each(|grade| qrels.insert("q", &doc_id, grade)));
        qrels
    }

    fn hits(docs: &Docs) -> Vec<(String, f64)> {
        ids(docs).filter_map(|(doc_id, _, level)| Some((doc_id, level?.into()))).collect()
    }

    fn values(docs: &Docs, hits: Vec<(String, f64)>) -> Vec<f64> {
        let mut run = Run::new();
        run.insert("q", hits);
        let report = evaluate(&judged(docs), &run, &MEASURES).unwrap();
        MEASURES.iter().map(|measure| report.mean(measure).unwrap()).collect()
    }

    /// The definitions, with the rank of a document as 1 + the number of those before it.
    fn brute_force(docs: &Docs, measure: &str) -> f64 {
        let returned = hits(docs);
        let rank = |doc_id: &str| {
            let own = returned.iter().find(|hit| hit.0 == doc_id)?;
            let before = |hit: &&(String, f64)| (hit.1, hit.0.as_str()) > (own.1, doc_id);
            Some(1 + returned.iter().filter(before).count())
        };
        let (family, k) = measure.split_once('@').unwrap_or((measure, "1000"));
        let k: usize = k.parse().unwrap();
        let relevant: Vec<String> = ids(docs).filter(|(_, grade, _)| *grade >= Some(1)).map(|(id, ..)| id).collect();
        let ranks: Vec<usize> = relevant.iter().filter_map(|id| rank(id)).filter(|rank| *rank <= k).collect();
        let of_relevant = |sum: f64| if relevant.is_empty() { 0.0 } else { sum / relevant.len() as f64 };
        match family {
            "RR" => ranks.iter().map(|rank| 1.0 / *rank as f64).fold(0.0, f64::max),
            "P" => ranks.len() as f64 / k as f64,
            "R" => of_relevant(ranks.len() as f64),
            "Success" => f64::from(u8::from(!ranks.is_empty())),
            "AP" => {
                let precision =
                    |rank: &usize| ranks.iter().filter(|other| *other <= rank).count() as f64 / *rank as f64;
                of_relevant(ranks.iter().map(precision).sum())
            }
            "nDCG" => {
                let discounted =
                    |gain: i64, rank: usize| if rank <= k { gain as f64 / (rank as f64 + 1.0).log2() } else { 0.0 };
                let mut gains: Vec<i64> =
                    ids(docs).filter_map(|(_, grade, _)| grade).filter(|grade| *grade > 0).collect();
                gains.sort_unstable();
                let ideal: f64 = gains.iter().rev().zip(1..).map(|(gain, rank)| discounted(*gain, rank)).sum();
                let gain = |(id, grade, _): (String, Option<i64>, _)| Some(discounted(grade?.max(0), rank(&id)?));
                let found: f64 = ids(docs).filter_map(gain).sum();
                if ideal > 0.0 { found / ideal } else { 0.0 }
            }
            _ => unreachable!("{family}"),
        }
    }

    proptest! {
        #[test]
        fn equals_the_definitions_whatever_the_order_of_the_input(docs in docs()) {
            let values_ = values(&docs, hits(&docs));
            for (measure, value) in MEASURES.iter().zip(&values_) {
                let expected = brute_force(&docs, measure);
                prop_assert!((value - expected).abs() < 1e-12, "{measure}: {value} {expected}");
                prop_assert!((0.0..=1.0 + 1e-12).contains(value), "{measure}: {value}");
            }
            prop_assert_eq!(values(&docs, hits(&docs).into_iter().rev().collect()), values_);
        }

        /// Two documents change places so that the better one goes up: no measure goes down.
        #[test]
        fn a_better_order_is_not_worse(docs in docs(), a in 0usize..14, b in 0usize..14) {
            let gain = |doc: usize| docs[doc].0.unwrap_or(0).max(0);
            let mut run = Run::new();
            run.insert("q", hits(&docs));
            let ranked: Vec<usize> = run.hits("q").doc_ids().map(|id| id[1..].parse().unwrap()).collect();
            prop_assume!(!ranked.is_empty());
            let (a, b) = (a % ranked.len(), b % ranked.len());
            let mut swapped = ranked.clone();
            swapped.swap(a, b);
            let (worse, better) =
                if gain(ranked[a.min(b)]) < gain(ranked[a.max(b)]) { (ranked, swapped) } else { (swapped, ranked) };
            let scored = |order: Vec<usize>| {
                let hit = |(rank, doc)| (format!("d{doc}"), -f64::from(rank));
                values(&docs, (0..).zip(order).map(hit).collect())
            };
            for ((before, after), measure) in scored(worse).iter().zip(scored(better)).zip(MEASURES) {
                prop_assert!(after >= before - 1e-12, "{measure}: {before} {after}");
            }
        }
    }

    fn run(hits: &[(&str, &[&str])]) -> Run {
        let mut run = Run::new();
        for (query_id, doc_ids) in hits {
            run.insert(*query_id, doc_ids.iter().map(|id| (*id, 1.0)));
        }
        run
    }

    #[test]
    fn a_measure_named_twice_is_reported_once() {
        let mut qrels = Qrels::new();
        qrels.insert("q", "a", 1);
        let names = ["RR", "nDCG@10", "MRR", "ndcg_cut_10", "nDCG@010", "P@1"];
        let report = evaluate(&qrels, &run(&[("q", &["a"])]), &names).unwrap();
        assert_eq!(report.frame().unwrap().get_column_names(), ["query_id", "RR", "nDCG@10", "P@1"]);
        assert_eq!(report.mean("mrr").unwrap(), 1.0);
    }

    #[test]
    fn which_queries_count() {
        let mut qrels = Qrels::new();
        qrels.insert("found", "a", 1);
        qrels.insert("nothing found", "a", 1);
        qrels.insert("nothing relevant", "a", 0);
        qrels.insert("not searched", "a", 1);
        let run =
            run(&[("found", &["a"]), ("nothing found", &[]), ("nothing relevant", &["a"]), ("not judged", &["a"])]);
        let report = evaluate(&qrels, &run, &["RR"]).unwrap();
        assert_eq!(report.query_ids(), ["found", "nothing found", "nothing relevant"]);
        assert_eq!(report.per_query("RR").unwrap(), [1.0, 0.0, 0.0]);
        let all = evaluate_with(&qrels, &run, &["RR"], EvalConfig { all_queries: true, ..Default::default() }).unwrap();
        assert_eq!(all.mean("RR").unwrap(), 0.25);
    }

    #[test]
    fn what_cannot_be_evaluated_is_said() {
        let mut qrels = Qrels::new();
        qrels.insert("q", "a", 1);
        let message =
            |run: &Run, config: &EvalConfig| evaluate_with(&qrels, run, &["P@1"], config).unwrap_err().to_string();
        let default = EvalConfig::default();
        assert_eq!(
            message(&run(&[("other", &["a"])]), &default),
            "none of the 1 queries of the run is among the 1 judged ones: nothing to evaluate"
        );
        assert_eq!(
            message(&run(&[("q", &["a", "b", "a"])]), &default),
            "run, query `q`: duplicate document id `a` (rows 1 and 2)"
        );
        assert_eq!(
            message(&run(&[("q", &["a"])]), &EvalConfig { relevance_level: 0, ..default }),
            "relevance_level = 0: expected a grade of at least 1"
        );
    }
}
