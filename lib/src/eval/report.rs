//! The result of an evaluation.

use std::fmt;

use polars::prelude::*;

use super::Measure;
use crate::{Error, Result};

/// The value of each measure for each query, and their means. Prints as a table of the means.
#[derive(Clone, PartialEq)]
pub struct Report {
    measures: Vec<Measure>,
    query_ids: Vec<String>,
    /// One row per query, one column per measure.
    values: Vec<Vec<f64>>,
}

impl Report {
    pub(super) fn new(measures: Vec<Measure>, query_ids: Vec<String>, values: Vec<Vec<f64>>) -> Self {
        Self { measures, query_ids, values }
    }

    /// The measures, in the order they were asked for.
    pub fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// The evaluated queries, sorted by id.
    pub fn query_ids(&self) -> &[String] {
        &self.query_ids
    }

    /// The mean of a measure over the queries. Fails for a measure that was not evaluated.
    pub fn mean(&self, measure: &str) -> Result<f64> {
        let column = self.column(measure)?;
        Ok(self.column_mean(column))
    }

    /// The mean of each measure, in the order they were asked for.
    pub fn means(&self) -> impl Iterator<Item = (Measure, f64)> {
        self.measures.iter().enumerate().map(|(column, measure)| (*measure, self.column_mean(column)))
    }

    /// The values of a measure, one per query, in the order of [`query_ids`](Self::query_ids). Fails for
    /// a measure that was not evaluated.
    pub fn per_query(&self, measure: &str) -> Result<Vec<f64>> {
        let column = self.column(measure)?;
        Ok(self.values.iter().map(|row| row[column]).collect())
    }

    /// One row per query: `query_id`, then one column per measure.
    pub fn frame(&self) -> Result<DataFrame> {
        let mut columns = vec![Column::new("query_id".into(), &self.query_ids)];
        for (index, measure) in self.measures.iter().enumerate() {
            let values: Vec<f64> = self.values.iter().map(|row| row[index]).collect();
            columns.push(Column::new(measure.to_string().into(), values));
        }
        Ok(DataFrame::new(self.query_ids.len(), columns)?)
    }

    fn column(&self, measure: &str) -> Result<usize> {
        let asked: Measure = measure.parse()?;
        self.measures.iter().position(|known| *known == asked).ok_or_else(|| Error::NotEvaluated {
            measure: asked.to_string(),
            evaluated: self.measures.iter().map(Measure::to_string).collect::<Vec<_>>().join(", "),
        })
    }

    fn column_mean(&self, column: usize) -> f64 {
        self.values.iter().map(|row| row[column]).sum::<f64>() / self.values.len() as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.measures.iter().map(|measure| measure.to_string().len()).chain([7]).max().unwrap_or(7);
        writeln!(f, "{:width$} {:>7}", "measure", "mean")?;
        for (measure, mean) in self.means() {
            writeln!(f, "{:width$} {mean:>7.4}", measure.to_string())?;
        }
        match self.query_ids.len() {
            1 => write!(f, "1 query"),
            queries => write!(f, "{queries} queries"),
        }
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
