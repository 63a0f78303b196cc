//! Regression of the cosine on a score.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::similarity::pairwise_cosine;
use super::{Batch, Loss, Needs};
use crate::{Error, Result};

/// `mean_i f(cos(query_i, positive_i) - score_i)` with `f` the square or the absolute value.
///
/// Needs the column `score` of the training set, from -1 to 1. Source: Reimers and Gurevych 2019
/// (Sentence-BERT). Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{CosineSimilarity, Difference};
/// let loss = CosineSimilarity { difference: Difference::Absolute };
/// assert_ne!(loss, CosineSimilarity::default());
/// ```
#[doc(alias = "CosineSimilarityLoss")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CosineSimilarity {
    pub difference: Difference,
}

/// How far a cosine is from its score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    #[default]
    Squared,
    Absolute,
}

impl Loss for CosineSimilarity {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let scores = batch.scores.as_ref().ok_or_else(|| Error::MissingColumn {
            place: "CosineSimilarity".to_owned(),
            column: "score".to_owned(),
            found: "query, positive".to_owned(),
            expected: "a column of numbers from -1 to 1 in the training set".to_owned(),
        })?;
        let difference = (pairwise_cosine(&batch.queries, &batch.positives)? - scores)?;
        Ok(match self.difference {
            Difference::Squared => difference.sqr()?,
            Difference::Absolute => difference.abs()?,
        }
        .mean(0)?)
    }

    fn needs(&self) -> Needs {
        Needs { name: "CosineSimilarity", scores: true, ..Needs::default() }
    }
}
