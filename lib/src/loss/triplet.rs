//! The positive nearer than the negative, by a margin.

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use super::similarity::pairwise_cosine;
use super::{Batch, Loss, Needs};
use crate::{Error, Result};

/// `mean_i max(d(query_i, positive_i) - d(query_i, negative_i) + margin, 0)`, the mean over all columns
/// of negatives.
///
/// Needs at least one negative. Source: Schroff et al. 2015 (FaceNet). Values and gradients equal
/// sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Distance, Triplet};
/// let loss = Triplet { distance: Distance::Cosine, margin: 0.3 };
/// assert_eq!(Triplet::default().margin, 5.0);
/// # let _ = loss;
/// ```
#[doc(alias = "TripletLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Triplet {
    pub distance: Distance,
    /// In units of the distance: 5 suits embeddings that are not normalised.
    pub margin: f64,
}

/// How far two embeddings are from each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// `1 - cos`
    Cosine,
    #[default]
    Euclidean,
    Manhattan,
}

impl Default for Triplet {
    fn default() -> Self {
        Self { distance: Distance::Euclidean, margin: 5.0 }
    }
}

impl Loss for Triplet {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let to_positive = self.distance.of(&batch.queries, &batch.positives)?;
        let hinge = |negatives: &Tensor| -> Result<Tensor> {
            let to_negative = self.distance.of(&batch.queries, negatives)?;
            Ok(((&to_positive - to_negative)? + self.margin)?.relu()?)
        };
        let columns = batch.negatives.iter().map(hinge).collect::<Result<Vec<_>>>()?;
        if columns.is_empty() {
            return Err(Error::MissingColumn {
                place: "Triplet".to_owned(),
                column: "negative".to_owned(),
                found: "query, positive".to_owned(),
                expected: "a training set with negatives (kensaku::mine makes them)".to_owned(),
            });
        }
        Ok(Tensor::cat(&columns, 0)?.mean(0)?)
    }

    fn needs(&self) -> Needs {
        Needs { name: "Triplet", negatives: true, ..Needs::default() }
    }
}

impl Distance {
    /// Row `i` from row `i`: `(n, dim)`, `(n, dim)` -> `(n,)`.
    fn of(self, left: &Tensor, right: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Cosine => pairwise_cosine(left, right)?.affine(-1.0, 1.0)?,
            // PyTorch's pairwise distance adds 1e-6 to each difference, against a slope of infinity at zero.
            Self::Euclidean => ((left - right)? + 1e-6)?.sqr()?.sum(D::Minus1)?.sqrt()?,
            Self::Manhattan => ((left - right)? + 1e-6)?.abs()?.sum(D::Minus1)?,
        })
    }
}
