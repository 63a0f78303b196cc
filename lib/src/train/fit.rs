//! Whether a training set has what the loss needs.

use super::trainer::Training;
use crate::data::{LabelKind, Labels, text_column};
use crate::loss::{Labelled, Needs, Scoring};
use crate::{Error, Result};

impl Training {
    /// An error if the loss cannot be computed from this number of text columns and these labels.
    pub(super) fn check_fit(&self, columns: usize, labels: Option<&Labels>) -> Result<()> {
        let needs = self.loss.needs();
        let (kind, scoring) = (labels.map(Labels::kind), self.model.scoring());
        if !needs.fits(columns, kind, scoring) {
            let (loss, found) = (needs.name, found(columns, kind, scoring));
            return Err(Error::LossUnfit {
                loss,
                needs: needs.spoken(kind.is_some(), scoring),
                found,
                fitting: Needs::fitting(columns, kind, scoring),
            });
        }
        if needs.guide && self.guide.is_none() {
            let expected = format!("the model that guides {}, by `trainer.set_guide(..)`", needs.name);
            return Err(Error::Setting { field: "guide", value: "none".to_owned(), expected });
        }
        self.check_scores(labels, None)
    }

    /// Whether other examples of a batch are negatives.
    pub(super) fn in_batch(&self) -> bool {
        self.loss.needs().in_batch && self.model.scoring() != Scoring::Pairs
    }

    /// An error that names the first score outside the loss's range, and the line that mends it. `rows` of the training
    /// set are those that the scores belong to; `None` for all.
    pub(super) fn check_scores(&self, labels: Option<&Labels>, rows: Option<&[usize]>) -> Result<()> {
        labels.map_or(Ok(()), |labels| check(&self.loss.needs(), labels.values(), labels.column(), rows))
    }
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
        None => {}
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
