//! Whether the scores of a training set are what its loss compares them with.

use super::Trainer;
use crate::loss::Needs;
use crate::{Error, Result};

impl Trainer {
    /// An error that names the first score outside the loss's range, and the line that mends it. `rows` of the training
    /// set are those that the scores belong to; `None` for all.
    pub(super) fn check_scores(&self, scores: Option<&[f32]>, rows: Option<&[usize]>) -> Result<()> {
        scores.map_or(Ok(()), |scores| check(&self.loss.needs(), scores, rows))
    }
}

fn check(needs: &Needs, scores: &[f32], rows: Option<&[usize]>) -> Result<()> {
    let Some((low, high)) = needs.score_range.filter(|_| needs.scores) else { return Ok(()) };
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
        true => format!("; `frame.lazy().with_column(col(\"score\") / lit({scale:?})).collect()?` scales them"),
        false => String::new(),
    };
    Err(Error::Row {
        place: "training set".to_owned(),
        row,
        column: "score".to_owned(),
        problem: format!("the score is {score}, and scores are from {least} to {most}"),
        expected: format!("{low} to {high} for {name}{mend}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_row_the_range_and_the_line() {
        let needs = Needs { name: "Cosine", scores: true, score_range: Some((-1.0, 1.0)), ..Needs::default() };
        assert!(check(&needs, &[-1.0, 0.0, 1.0], None).is_ok());
        let error = check(&needs, &[0.5, 2.0, 5.0, 0.0], None).unwrap_err().to_string();
        assert_eq!(
            error,
            "training set: row 1 of column `score`: the score is 2, and scores are from 0 to 5; expected -1 to 1 for \
             Cosine; `frame.lazy().with_column(col(\"score\") / lit(5.0)).collect()?` scales them"
        );
        assert!(check(&needs, &[f32::NAN], Some(&[7])).unwrap_err().to_string().contains("row 7 of column `score`"));
        assert!(check(&Needs { score_range: None, ..needs }, &[5.0], None).is_ok());
    }
}
