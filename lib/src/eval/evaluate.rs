//! Scoring a run against judgements.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::measure::Ranking;
use super::{Hit, Measure, Report, Run};
use crate::data::Qrels;
use crate::{Error, Result, interrupt};

/// What of trec_eval's command line changes the values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// The lowest grade that counts as relevant (`-l`). nDCG uses every positive grade, whatever this
    /// says. Default 1, and at least 1.
    pub relevance_level: i64,
    /// Whether the mean is over all judged queries (`-c`), a query that the run lacks giving 0, or
    /// (the default) over those that are judged and in the run.
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
/// and counts, and so does a query for which the run holds no hit.
///
/// Errors: a name that is no [`Measure`]; a document that stands twice for a query; no query that is
/// both judged and in the run.
///
/// ```
/// use kensaku::data::Qrels;
/// use kensaku::eval::{Hit, Run, evaluate};
/// let mut qrels = Qrels::new();
/// qrels.insert("q1", "a", 1);
/// let mut run = Run::new();
/// run.insert("q1", vec![Hit { doc_id: "b".into(), score: 2.0 }, Hit { doc_id: "a".into(), score: 1.0 }]);
/// let report = evaluate(&qrels, &run, &["RR@10", "P@5"])?;
/// assert_eq!(report.mean("RR@10")?, 0.5);
/// assert_eq!(report.to_string(), "measure    mean\nRR@10    0.5000\nP@5      0.2000\n1 query");
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn evaluate(qrels: &Qrels, run: &Run, measures: &[impl AsRef<str>]) -> Result<Report> {
    evaluate_with(qrels, run, measures, &EvalConfig::default())
}

/// [`evaluate`] with settings.
pub fn evaluate_with(qrels: &Qrels, run: &Run, measures: &[impl AsRef<str>], config: &EvalConfig) -> Result<Report> {
    if config.relevance_level < 1 {
        let (field, value) = ("relevance_level", config.relevance_level.to_string());
        return Err(Error::Setting { field, value, expected: "a grade of at least 1".to_owned() });
    }
    let measures = measures.iter().map(|name| name.as_ref().parse()).collect::<Result<Vec<Measure>>>()?;
    let queries = evaluated_queries(qrels, run, config)?;
    let values = queries.par_iter().map(|(query_id, judgements, hits)| {
        interrupt::check("evaluation")?;
        check_unique(query_id, hits)?;
        let ranking = Ranking::new(hits, judgements, config.relevance_level);
        Ok(measures.iter().map(|measure| measure.value(&ranking)).collect())
    });
    let values: Vec<Vec<f64>> = values.collect::<Result<_>>()?;
    let query_ids = queries.iter().map(|(query_id, ..)| (*query_id).to_owned()).collect();
    Ok(Report::new(measures, query_ids, values))
}

/// A query that counts: its id, judgements and hits.
type Query<'a> = (&'a str, &'a BTreeMap<String, i64>, &'a [Hit]);

fn evaluated_queries<'a>(qrels: &'a Qrels, run: &'a Run, config: &EvalConfig) -> Result<Vec<Query<'a>>> {
    let searched: BTreeMap<&str, &[Hit]> = run.iter().collect();
    let judged = qrels.iter().filter(|(query_id, _)| config.all_queries || searched.contains_key(query_id));
    let queries: Vec<Query> = judged
        .map(|(query_id, judgements)| (query_id, judgements, searched.get(query_id).copied().unwrap_or_default()))
        .collect();
    if queries.is_empty() {
        return Err(Error::NothingJudged { run: run.len(), qrels: qrels.len() });
    }
    Ok(queries)
}

fn check_unique(query_id: &str, hits: &[Hit]) -> Result<()> {
    let mut rows = HashMap::with_capacity(hits.len());
    for (row, hit) in hits.iter().enumerate() {
        if let Some(first) = rows.insert(hit.doc_id.as_str(), row) {
            let (place, id) = (format!("run, query `{query_id}`"), hit.doc_id.clone());
            return Err(Error::DuplicateId { place, kind: "document", id, first, second: row });
        }
    }
    Ok(())
}
