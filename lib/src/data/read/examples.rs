//! Training examples as they are read, line by line.

use std::path::Path;

use polars::prelude::*;

use super::Table;
use super::cells::Fault;
use crate::Result;
use crate::data::{TrainingSet, negative_column};

/// The columns of a training set, and the line that each row is from.
#[derive(Default)]
pub(super) struct Examples {
    lines: Vec<usize>,
    queries: Vec<String>,
    positives: Vec<String>,
    /// Column by column.
    negatives: Vec<Vec<String>>,
    scores: Vec<Vec<f32>>,
    /// Ids of query and positive.
    ids: Vec<(String, String)>,
}

impl Examples {
    /// As many negatives as the first example has; a teacher's scores of all documents, or none, and so are ids.
    pub(super) fn push(
        &mut self,
        line: usize,
        [query, positive]: [String; 2],
        negatives: Vec<String>,
        scores: Option<Vec<f32>>,
        ids: Option<(String, String)>,
    ) -> Result<(), Fault> {
        if self.lines.is_empty() {
            self.negatives = vec![Vec::new(); negatives.len()];
        }
        let first = |what: &str| Err((what.to_owned(), "as on the first line".to_owned()));
        if negatives.len() != self.negatives.len() {
            let expected = format!("{}, as on the first line", self.negatives.len());
            return Err((format!("{} negatives", negatives.len()), expected));
        }
        match scores {
            Some(scores) if self.scores.len() == self.lines.len() => self.scores.push(scores),
            Some(_) => return first("scores"),
            None if self.scores.is_empty() => {}
            None => return first("no scores"),
        }
        match ids {
            Some(ids) if self.ids.len() == self.lines.len() => self.ids.push(ids),
            Some(_) => return first("ids"),
            None if self.ids.is_empty() => {}
            None => return first("no ids"),
        }
        self.lines.push(line);
        self.queries.push(query);
        self.positives.push(positive);
        self.negatives.iter_mut().zip(negatives).for_each(|(column, negative)| column.push(negative));
        Ok(())
    }

    pub(super) fn finish(self, path: &Path) -> Result<TrainingSet> {
        let mut columns =
            vec![Column::new("query".into(), self.queries), Column::new("positive".into(), self.positives)];
        for (index, negatives) in self.negatives.into_iter().enumerate() {
            columns.push(Column::new(negative_column(index + 1).into(), negatives));
        }
        if !self.scores.is_empty() {
            let lists = self.scores.into_iter().map(|scores| Series::new("".into(), scores)).collect::<Vec<_>>();
            columns.push(Column::new("label".into(), lists));
        }
        if !self.ids.is_empty() {
            let (queries, positives): (Vec<String>, Vec<String>) = self.ids.into_iter().unzip();
            columns.push(Column::new("query_id".into(), queries));
            columns.push(Column::new("positive_id".into(), positives));
        }
        Table::new(path, self.lines, columns, Vec::new())?.training_set()
    }
}
