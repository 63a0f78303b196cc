//! Pairs that belong together near, others at least a margin apart.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{Batch, Distance, Loss, not_negative};
use crate::Result;

/// `f_i [y_i d_i² + (1 - y_i) max(margin - d_i, 0)²] / 2` of the distances `d` of query and positive, with labels `y`
/// of 1 for pairs that belong together, 0 for others, and `f` the mean or the sum.
///
/// Source: Hadsell et al. 2006. Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, Contrastive, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// // A pair at a distance of 0.4 that belongs together, one at 0.2 that does not.
/// let queries = Tensor::new(&[[1.0f32, 0.0], [1.0, 0.0]], &Device::Cpu)?;
/// let docs = Tensor::new(&[[0.6f32, 0.8], [0.8, 0.6]], &Device::Cpu)?;
/// let labels = Some(Tensor::new(&[1.0f32, 0.0], &Device::Cpu)?);
/// let loss = Contrastive::default().loss(&Batch { labels, ..Batch::pairs(queries, docs) })?;
/// assert!((loss.to_scalar::<f32>()? - (0.4 * 0.4 + 0.3 * 0.3) / 4.0).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "ContrastiveLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contrastive {
    pub distance: Distance,
    /// In units of the distance.
    pub margin: f64,
    pub reduction: Reduction,
}

/// How the losses of the examples become one number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    #[default]
    Mean,
    Sum,
}

impl Default for Contrastive {
    fn default() -> Self {
        Self { distance: Distance::Cosine, margin: 0.5, reduction: Reduction::Mean }
    }
}

impl Loss for Contrastive {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.examples()?;
        let labels = batch.numbers()?;
        let distances = self.distance.pairwise(batch.queries()?, batch.positives()?)?;
        let (near, far) = pulled_and_pushed(&distances, self.margin)?;
        let losses = ((labels * near)? + (labels.affine(-1.0, 1.0)? * far)?)?;
        let total = match self.reduction {
            Reduction::Mean => losses.mean(0)?,
            Reduction::Sum => losses.sum(0)?,
        };
        Ok((total * 0.5)?)
    }

    fn check(&self) -> Result<()> {
        not_negative("margin", self.margin)
    }

    described!("Contrastive");

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        self.distance.objection("Contrastive", self.margin, dim, unit)
    }
}

/// `d²` and `max(margin - d, 0)²`.
pub(super) fn pulled_and_pushed(distances: &Tensor, margin: f64) -> Result<(Tensor, Tensor)> {
    Ok((distances.sqr()?, distances.affine(-1.0, margin)?.relu()?.sqr()?))
}
