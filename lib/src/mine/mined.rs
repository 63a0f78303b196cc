//! What was mined.

use std::fmt;

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::candidates::{Docs, column};
use super::config::Rule;
use crate::data::{TrainingSet, negative_column};
use crate::show::{Chart, Message, bars, display};
use crate::{Error, Result};

/// The negatives of all queries with a positive, see [`mine_negatives`](super::mine_negatives).
///
/// As a frame it has a row for each query and document, with its rank and its score; as a training set it has one of the
/// forms of [`Format`].
pub struct Mined {
    num_negatives: usize,
    /// How many runs it is from.
    runs: usize,
    docs: Docs,
    queries: Vec<Query>,
    /// How many documents each rule has shut out.
    shut_out: [usize; 4],
}

/// The rows of a training set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A query with a positive and `num_negatives` negatives. Queries that have fewer are left out. Columns `query`,
    /// `positive`, `negative`, `negative_2`, ..
    #[default]
    Tuples,
    /// The same with the scores of its documents in a list: `scores`.
    ScoredTuples,
    /// A query with a positive and one of its negatives.
    Triplets,
    /// The same with both scores in a list: `scores`.
    ScoredTriplets,
    /// A query with one document: positives with `label` 1, negatives with 0.
    Pairs,
    /// A query with one document, and its `score`.
    ScoredPairs,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scored {
    pub(super) doc: usize,
    pub(super) rank: usize,
    /// `None` of a positive that was not found.
    pub(super) score: Option<f64>,
    /// The number of the run that it is from.
    pub(super) run: usize,
}

struct Query {
    id: String,
    text: String,
    positives: Vec<Scored>,
    negatives: Vec<Scored>,
}

/// One row of a training set: its query, its documents, and what is said of them.
struct Row<'a> {
    query: &'a Query,
    docs: Vec<Scored>,
    label: Option<i64>,
}

/// Ranges of scores in a chart.
const RANGES: usize = 20;

impl Mined {
    pub(super) fn new(num_negatives: usize, runs: usize, docs: Docs) -> Self {
        Self { num_negatives, runs, docs, queries: Vec::new(), shut_out: [0; 4] }
    }

    pub(super) fn docs(&self) -> &Docs {
        &self.docs
    }

    pub(super) fn push(
        &mut self,
        id: &str,
        text: &str,
        positives: Vec<Scored>,
        negatives: Vec<Scored>,
        shut_out: &[Rule],
    ) {
        shut_out.iter().for_each(|rule| self.shut_out[*rule as usize] += 1);
        self.queries.push(Query { id: id.to_owned(), text: text.to_owned(), positives, negatives });
    }

    /// The number of queries with a positive.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// A row for each query and document: `query_id`, `doc_id`, `positive`, `rank` (of a negative, from 0) and `score` (null for
    /// a positive that was not among the hits); of several runs the number of that which the document is from, too: `run`.
    pub fn frame(&self) -> Result<DataFrame> {
        let rows = || {
            self.queries.iter().flat_map(|query| {
                let positives = query.positives.iter().map(move |doc| (query, doc, true));
                positives.chain(query.negatives.iter().map(move |doc| (query, doc, false)))
            })
        };
        let mut frame = df!(
            "query_id" => rows().map(|(query, ..)| query.id.as_str()).collect::<Vec<_>>(),
            "doc_id" => rows().map(|(_, doc, _)| self.docs.id(doc.doc)).collect::<Vec<_>>(),
            "positive" => rows().map(|(.., positive)| positive).collect::<Vec<_>>(),
            "rank" => rows().map(|(_, doc, positive)| (!positive).then_some(doc.rank as u64)).collect::<Vec<_>>(),
            "score" => rows().map(|(_, doc, _)| doc.score).collect::<Vec<_>>(),
        )?;
        if self.runs > 1 {
            frame
                .with_column(Column::new("run".into(), rows().map(|(_, doc, _)| doc.run as u64).collect::<Vec<_>>()))?;
        }
        Ok(frame)
    }

    /// How the scores of positives and negatives lie to each other: the share of either in each of 20 ranges. Negatives under
    /// the hill of the positives are hard, or relevant without a judgement. Several runs, whose scores are not to be compared,
    /// are better looked at one by one.
    ///
    /// # Errors
    /// If no document has a score.
    pub fn chart(&self) -> Result<Chart> {
        let scores = |of: fn(&Query) -> &[Scored]| -> Vec<f64> {
            let docs = self.queries.iter().flat_map(|query| of(query).iter());
            docs.filter_map(|doc| doc.score).filter(|score| score.is_finite()).collect()
        };
        let (positives, negatives) = (scores(|query| &query.positives), scores(|query| &query.negatives));
        let all = || positives.iter().chain(&negatives).copied();
        let (Some(least), Some(most)) = (all().reduce(f64::min), all().reduce(f64::max)) else {
            return Err(Error::Chart { problem: "no document that was mined has a score".to_owned() });
        };
        let width = if most > least { (most - least) / RANGES as f64 } else { 1.0 };
        let shares = |scores: &[f64]| {
            let mut shares = vec![0.0; RANGES];
            for score in scores {
                shares[(((score - least) / width) as usize).min(RANGES - 1)] += 1.0 / scores.len() as f64;
            }
            shares
        };
        // Every fifth range has a name: there is no room for more.
        let name = |range: usize| match range % 5 {
            0 => format!("{:.3}", least + width * range as f64),
            _ => String::new(),
        };
        let names: Vec<String> = (0..RANGES).map(name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let series = [("positives", shares(&positives)), ("negatives", shares(&negatives))];
        bars("scores of what was mined", &names, &series)
    }

    /// What became of queries and documents: `what`, `count`.
    pub fn summary(&self) -> Result<DataFrame> {
        let count = |holds: &dyn Fn(&Query) -> bool| self.queries.iter().filter(|query| holds(query)).count();
        let unfound = |query: &Query| query.positives.iter().any(|doc| doc.score.is_none());
        let mut rows = vec![
            ("queries with a positive".to_owned(), self.len()),
            (format!("with {} negatives", self.num_negatives), count(&|query| self.has_enough(query))),
            ("without any negative".to_owned(), count(&|query| query.negatives.is_empty())),
            ("with a positive that was not found".to_owned(), count(&unfound)),
            ("negatives".to_owned(), self.queries.iter().map(|query| query.negatives.len()).sum()),
        ];
        let shut_out = Rule::ALL.iter().map(|(rule, name)| (name, self.shut_out[*rule as usize]));
        rows.extend(
            shut_out.filter(|(_, count)| *count > 0).map(|(name, count)| (format!("shut out by {name}"), count)),
        );
        Ok(df!(
            "what" => rows.iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>(),
            "count" => rows.iter().map(|(_, count)| *count as u64).collect::<Vec<_>>(),
        )?)
    }

    /// The training set, queries in the order of their frame, positives by id. In a form with scores, a positive that was not
    /// found is left out.
    pub fn training_set(&self, format: Format) -> Result<TrainingSet> {
        let rows: Vec<Row> = self.queries.iter().flat_map(|query| self.rows(query, format)).collect();
        let names = match format {
            Format::Tuples | Format::ScoredTuples => 1 + self.num_negatives,
            Format::Triplets | Format::ScoredTriplets => 2,
            Format::Pairs | Format::ScoredPairs => 1,
        };
        let names: Vec<String> =
            (0..names).map(|n| if n == 0 { "positive".to_owned() } else { negative_column(n) }).collect();
        let queries = |of: fn(&Query) -> &String| rows.iter().map(|row| of(row.query).as_str()).collect::<Vec<_>>();
        let mut texts = vec![Column::new("query".into(), queries(|query| &query.text))];
        let mut ids = vec![Column::new("query_id".into(), queries(|query| &query.id))];
        for (place, name) in names.iter().enumerate() {
            let docs: Vec<usize> = rows.iter().map(|row| row.docs[place].doc).collect();
            texts.push(column(name, self.docs.texts(), &docs));
            ids.push(column(&format!("{name}_id"), self.docs.ids(), &docs));
        }
        texts.append(&mut ids);
        let score = |doc: &Scored| doc.score.unwrap_or(f64::NAN) as f32;
        match format {
            Format::Tuples | Format::Triplets => {}
            Format::ScoredTuples | Format::ScoredTriplets => {
                let capacity = (rows.len(), rows.len() * names.len());
                let mut lists = ListPrimitiveChunkedBuilder::<Float32Type>::new(
                    "scores".into(),
                    capacity.0,
                    capacity.1,
                    DataType::Float32,
                );
                rows.iter().for_each(|row| lists.append_slice(&row.docs.iter().map(score).collect::<Vec<_>>()));
                texts.push(lists.finish().into_column());
            }
            Format::Pairs => {
                texts.push(Column::new("label".into(), rows.iter().map(|row| row.label).collect::<Vec<_>>()));
            }
            Format::ScoredPairs => {
                texts.push(Column::new("score".into(), rows.iter().map(|row| score(&row.docs[0])).collect::<Vec<_>>()));
            }
        }
        TrainingSet::new(DataFrame::new(rows.len(), texts)?)
    }

    fn rows<'a>(&self, query: &'a Query, format: Format) -> Vec<Row<'a>> {
        let scored = matches!(format, Format::ScoredTuples | Format::ScoredTriplets | Format::ScoredPairs);
        let positives = || query.positives.iter().filter(|doc| doc.score.is_some() || !scored).copied();
        let row = |docs, label| Row { query, docs, label };
        match format {
            Format::Tuples | Format::ScoredTuples if !self.has_enough(query) => Vec::new(),
            Format::Tuples | Format::ScoredTuples => positives()
                .map(|positive| row(std::iter::once(positive).chain(query.negatives.iter().copied()).collect(), None))
                .collect(),
            Format::Triplets | Format::ScoredTriplets => positives()
                .flat_map(|positive| query.negatives.iter().map(move |negative| vec![positive, *negative]))
                .map(|docs| row(docs, None))
                .collect(),
            Format::Pairs | Format::ScoredPairs => {
                let negatives = query.negatives.iter().map(|negative| row(vec![*negative], Some(0)));
                positives().map(|positive| row(vec![positive], Some(1))).chain(negatives).collect()
            }
        }
    }

    fn has_enough(&self, query: &Query) -> bool {
        query.negatives.len() == self.num_negatives
    }

    /// Says how many queries a training set of tuples leaves out.
    pub(super) fn tell(&self) {
        let dropped = self.queries.iter().filter(|query| !self.has_enough(query)).count();
        if dropped > 0 {
            let why = format!("they have fewer than {} negatives", self.num_negatives);
            display(&Message::text(format!("mining left out {dropped} of {} queries: {why}", self.len())));
        }
    }
}

impl fmt::Debug for Mined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let negatives: usize = self.queries.iter().map(|query| query.negatives.len()).sum();
        write!(f, "Mined {{ queries: {}, negatives: {negatives} }}", self.len())
    }
}
