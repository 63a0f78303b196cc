//! The positive nearer than the negative, by a margin.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{Batch, Distance, Loss, not_negative};
use crate::Result;

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
/// let batch = Batch::new(vec![row(1.0, 0.0)?, row(0.6, 0.8)?, row(0.8, 0.6)?]);
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

impl Default for Triplet {
    fn default() -> Self {
        Self { distance: Distance::Euclidean, margin: 5.0 }
    }
}

impl Loss for Triplet {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.examples()?;
        let (queries, negatives) = (batch.queries()?, batch.some_negatives()?);
        let to_positive = self.distance.pairwise(queries, batch.positives()?)?;
        let hinge = |negatives: &Tensor| -> Result<Tensor> {
            let to_negative = self.distance.pairwise(queries, negatives)?;
            Ok(((&to_positive - to_negative)? + self.margin)?.relu()?)
        };
        let columns = negatives.iter().map(hinge).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&columns, 0)?.mean(0)?)
    }

    fn check(&self) -> Result<()> {
        not_negative("margin", self.margin)
    }

    described!("Triplet");

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        self.distance.objection("Triplet", self.margin, dim, unit)
    }
}
