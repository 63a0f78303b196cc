//! The contrastive loss on the hard pairs of a batch alone.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::contrastive::pulled_and_pushed;
use super::{Batch, Distance, Loss, not_negative};
use crate::Result;

/// The sum of `d²` over pairs of label 1 that are further apart than the nearest pair of label 0, and of
/// `max(margin - d, 0)²` over pairs of label 0 that are nearer than the farthest one of label 1.
///
/// If there is at most one pair of the other label, pairs are compared with the mean distance of their own. Values and
/// gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, Loss, OnlineContrastive};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// // Cosine distances of 0.4 and 0 for pairs that belong together, of 0.2 and 1 for others: 0.4 and 0.2 are hard.
/// let queries = Tensor::new(&[[1.0f32, 0.0]; 4], &Device::Cpu)?;
/// let docs = Tensor::new(&[[0.6f32, 0.8], [1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], &Device::Cpu)?;
/// let labels = Some(Tensor::new(&[1.0f32, 1.0, 0.0, 0.0], &Device::Cpu)?);
/// let loss = OnlineContrastive::default().loss(&Batch { labels, ..Batch::pairs(queries, docs) })?;
/// assert!((loss.to_scalar::<f32>()? - (0.4 * 0.4 + 0.3 * 0.3)).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "OnlineContrastiveLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OnlineContrastive {
    pub distance: Distance,
    /// In units of the distance.
    pub margin: f64,
}

impl Default for OnlineContrastive {
    fn default() -> Self {
        Self { distance: Distance::Cosine, margin: 0.5 }
    }
}

impl Loss for OnlineContrastive {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.examples()?;
        let labels: Vec<f64> = batch.numbers()?.to_dtype(DType::F64)?.to_vec1()?;
        let distances = self.distance.pairwise(batch.queries()?, batch.positives()?)?;
        let numbers: Vec<f64> = distances.to_dtype(DType::F64)?.to_vec1()?;
        let (together, apart): (Vec<_>, Vec<_>) = labels.iter().zip(&numbers).partition(|(label, _)| **label == 1.0);
        let [together, apart] = [together, apart].map(|pairs| pairs.into_iter().map(|(_, d)| *d).collect::<Vec<f64>>());
        let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len() as f64;
        let nearest =
            if apart.len() > 1 { apart.iter().copied().fold(f64::INFINITY, f64::min) } else { mean(&together) };
        let farthest = if together.len() > 1 { together.iter().copied().fold(0.0, f64::max) } else { mean(&apart) };
        let chosen = |hard: &dyn Fn(f64, f64) -> bool| -> Result<Tensor> {
            let hard = labels.iter().zip(&numbers).map(|(label, d)| if hard(*label, *d) { 1.0_f32 } else { 0.0 });
            let count = labels.len();
            Ok(Tensor::from_vec(hard.collect(), count, distances.device())?.to_dtype(distances.dtype())?)
        };
        let (near, far) = pulled_and_pushed(&distances, self.margin)?;
        let pulled = (near * chosen(&|label, d| label == 1.0 && d > nearest)?)?;
        let pushed = (far * chosen(&|label, d| label == 0.0 && d < farthest)?)?;
        Ok((pulled + pushed)?.sum(0)?)
    }

    fn check(&self) -> Result<()> {
        not_negative("margin", self.margin)
    }

    described!("OnlineContrastive");

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        self.distance.objection("OnlineContrastive", self.margin, dim, unit)
    }
}
