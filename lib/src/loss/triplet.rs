//! The positive nearer than the negative, by a margin.

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use super::similarity::pairwise_cosine;
use super::{Batch, Loss, Needs, settings};
use crate::{Error, Result};

/// `mean_i max(d(query_i, positive_i) - d(query_i, negative_i) + margin, 0)`, the mean over all columns
/// of negatives.
///
/// Needs at least one negative. Source: Schroff et al. 2015 (FaceNet). Values and gradients equal
/// sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, Distance, Loss, Triplet};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let loss = Triplet { distance: Distance::Cosine, margin: 0.3 };
/// # let row = |x: f32, y: f32| Tensor::new(&[[x, y]], &Device::Cpu);
/// // The positive is at a distance of 0.4, the negative at 0.2.
/// let pair = Batch::pairs(row(1.0, 0.0)?, row(0.6, 0.8)?);
/// let batch = Batch { negatives: vec![row(0.8, 0.6)?], ..pair };
/// assert!((loss.loss(&batch)?.to_scalar::<f32>()? - 0.5).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
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
        batch.examples()?;
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

    fn settings(&self) -> serde_json::Value {
        settings(self)
    }

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        let (most, margin) = (self.distance.most(dim)?, self.margin);
        let out_of_reach = margin >= most && (unit || self.distance == Distance::Cosine);
        out_of_reach.then(|| {
            format!(
                "they are at most {most:.3} apart, so that no negative is ever far enough for Triplet's margin of \
                 {margin}: set one below {most:.3}"
            )
        })
    }
}

impl Distance {
    /// The largest distance of two vectors of length 1; none for vectors without numbers.
    fn most(self, dim: usize) -> Option<f64> {
        (dim > 0).then(|| match self {
            Self::Cosine | Self::Euclidean => 2.0,
            Self::Manhattan => 2.0 * (dim as f64).sqrt(),
        })
    }

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
