//! Whether a training set has what the loss needs.

use super::trainer::Training;
use super::{MultiSet, TokenBatch};
use crate::data::{LabelKind, Labels, text_column};
use crate::loss::{Labelled, Loss, Needs, PerSet, Scoring};
use crate::{Error, Result};

impl Training {
    /// The loss of a set: its own, if each has one.
    pub(super) fn loss_of(&self, set: Option<&str>) -> Result<&dyn Loss> {
        self.loss.per_set().map_or(Ok(&*self.loss), |losses| losses.of(set))
    }

    /// An error if the loss of a set cannot be computed from it.
    pub(super) fn check_sets(&self, data: &MultiSet) -> Result<()> {
        data.check()?;
        for (name, set) in &data.sets {
            let (loss, set) = (self.loss_of(name.as_deref())?, set.sample());
            self.check_fit(loss, set.columns().len(), set.labels()).map_err(|error| match error {
                Error::LossUnfit { loss, needs, found, fitting } => {
                    let found = name.as_ref().map_or(found.clone(), |name| format!("{found} (training set `{name}`)"));
                    Error::LossUnfit { loss, needs, found, fitting }
                }
                other => other,
            })?;
        }
        Ok(())
    }

    /// An error if there is a loss for a set that there is not.
    pub(super) fn check_losses(&self, data: &MultiSet) -> Result<()> {
        let mut sets = self.loss.per_set().into_iter().flat_map(PerSet::sets);
        match sets.find(|set| data.names().all(|name| name != *set)) {
            None => Ok(()),
            Some(set) => Err(Error::Setting {
                field: "set",
                value: set.to_owned(),
                expected: format!("a set to train on: {}", data.names().collect::<Vec<_>>().join(", ")),
            }),
        }
    }

    /// An error if a loss cannot be computed from this number of text columns and these labels.
    pub(super) fn check_fit(&self, loss: &dyn Loss, columns: usize, labels: Option<&Labels>) -> Result<()> {
        self.check_kind(loss, columns, labels)?;
        let needs = loss.needs();
        if needs.guide && self.guide.is_none() {
            let expected = format!("the model that guides {}, by `trainer.set_guide(..)`", needs.name);
            return Err(Error::Setting { field: "guide", value: "none".to_owned(), expected });
        }
        check_scores(loss, labels, None)
    }

    /// The same of a batch: of a stream not all labels are known before.
    pub(super) fn check_batch(&self, batch: &TokenBatch) -> Result<()> {
        let loss = self.loss_of(batch.set.as_deref())?;
        // Of the texts of two columns a cross-encoder has one of pairs.
        let columns = batch.columns.len() + usize::from(self.model.scoring() == Scoring::Pairs);
        self.check_kind(loss, columns, batch.labels.as_ref())
    }

    fn check_kind(&self, loss: &dyn Loss, columns: usize, labels: Option<&Labels>) -> Result<()> {
        let (needs, kind, scoring) = (loss.needs(), labels.map(Labels::kind), self.model.scoring());
        if needs.fits(columns, kind, scoring) {
            return Ok(());
        }
        let (loss, found) = (needs.name, found(columns, kind, scoring));
        Err(Error::LossUnfit {
            loss,
            needs: needs.spoken(kind.is_some(), scoring),
            found,
            fitting: Needs::fitting(columns, kind, scoring),
        })
    }

    /// Whether other examples of a batch are negatives.
    pub(super) fn in_batch(&self, loss: &dyn Loss) -> bool {
        loss.needs().in_batch && self.model.scoring() != Scoring::Pairs
    }
}

/// An error that names the first score outside the loss's range, and the line that mends it. `rows` of the training
/// set are those that the scores belong to; `None` for all.
pub(super) fn check_scores(loss: &dyn Loss, labels: Option<&Labels>, rows: Option<&[usize]>) -> Result<()> {
    labels.map_or(Ok(()), |labels| check(&loss.needs(), labels.values(), labels.column(), rows))
}

/// What there is: `query, positive and a cross-encoder`.
fn found(columns: usize, labels: Option<LabelKind>, scoring: Scoring) -> String {
    let columns = columns_and_labels(columns, labels);
    match scoring {
        Scoring::Pairs => format!("{columns} and a cross-encoder"),
        Scoring::Tokens(_) => format!("{columns} and a model with a vector per token"),
        Scoring::Vectors(_) => columns,
    }
}

/// `query, positive, 2 columns of negatives, score`
pub(super) fn columns_and_labels(columns: usize, labels: Option<LabelKind>) -> String {
    if labels == Some(LabelKind::Ragged) {
        return "query, lists of documents and of labels".to_owned();
    }
    let mut parts: Vec<String> = (0..columns.min(2)).map(text_column).collect();
    match columns.saturating_sub(2) {
        0 => {}
        1 => parts.push("1 column of negatives".to_owned()),
        negatives => parts.push(format!("{negatives} columns of negatives")),
    }
    match labels {
        Some(LabelKind::List(width)) => parts.push(format!("lists of {width} labels")),
        Some(LabelKind::Class | LabelKind::Binary) => parts.push("whole numbers as labels".to_owned()),
        Some(LabelKind::Score) => parts.push("score".to_owned()),
        Some(LabelKind::Ragged) | None => {}
    }
    parts.join(", ")
}

fn check(needs: &Needs, scores: &[f32], column: &str, rows: Option<&[usize]>) -> Result<()> {
    let Some((low, high)) = needs.score_range.filter(|_| needs.labels == Labelled::Score) else { return Ok(()) };
    let Some(place) = scores.iter().position(|score| !(low..=high).contains(score)) else { return Ok(()) };
    let (score, name) = (scores[place], needs.name);
    let row = match rows {
        None => place,
        // A batch made by hand does not know its rows.
        Some(rows) => rows.get(place).copied().unwrap_or(place),
    };
    let finite = || scores.iter().copied().filter(|score| score.is_finite());
    let (least, most) = (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max));
    let scale = least.abs().max(most.abs());
    let mend = match score.is_finite() && scale > 0.0 {
        true => format!("; `frame.lazy().with_column(col({column:?}) / lit({scale:?})).collect()?` scales them"),
        false => String::new(),
    };
    Err(Error::Row {
        place: "training set".to_owned(),
        row,
        column: column.to_owned(),
        problem: format!("the score is {score}, and scores are from {least} to {most}"),
        expected: format!("{low} to {high} for {name}{mend}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_row_the_range_and_the_line() {
        let needs =
            Needs { name: "Cosine", labels: Labelled::Score, score_range: Some((-1.0, 1.0)), ..Needs::default() };
        assert!(check(&needs, &[-1.0, 0.0, 1.0], "score", None).is_ok());
        let error = check(&needs, &[0.5, 2.0, 5.0, 0.0], "score", None).unwrap_err().to_string();
        assert_eq!(
            error,
            "training set: row 1 of column `score`: the score is 2, and scores are from 0 to 5; expected -1 to 1 for \
             Cosine; `frame.lazy().with_column(col(\"score\") / lit(5.0)).collect()?` scales them"
        );
        let error = check(&needs, &[f32::NAN], "label", Some(&[7])).unwrap_err().to_string();
        assert!(error.contains("row 7 of column `label`"), "{error}");
        assert!(check(&Needs { score_range: None, ..needs }, &[5.0], "score", None).is_ok());
    }
}
