//! Pairs in the order of their scores.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::functions::pairwise_ranking;
use super::{Batch, Loss, Similarity, positive};
use crate::Result;

/// `log (1 + sum exp(scale (s_i - s_j)))` over all pairs `i`, `j` of examples whose scores say that `j` is the more
/// similar one; `s` is the similarity of query and positive.
///
/// Only the order of the scores counts, so they may have any range. Source: Su 2022 (CoSENT). Values and gradients equal
/// sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, CoSENT, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// // Cosines of 0.6 and 0.8, in the wrong order.
/// let queries = Tensor::new(&[[1.0f32, 0.0], [1.0, 0.0]], &Device::Cpu)?;
/// let docs = Tensor::new(&[[0.6f32, 0.8], [0.8, 0.6]], &Device::Cpu)?;
/// let labels = Some(Tensor::new(&[4.5f32, 1.0], &Device::Cpu)?);
/// let loss = CoSENT::default().loss(&Batch { labels, ..Batch::pairs(queries, docs) })?;
/// assert!((loss.to_scalar::<f32>()? - (1.0 + (20.0f32 * 0.2).exp()).ln()).abs() < 1e-4);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "CoSENTLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CoSENT {
    /// One over the temperature.
    pub scale: f64,
    pub similarity: Similarity,
}

impl Default for CoSENT {
    fn default() -> Self {
        Self { scale: 20.0, similarity: Similarity::Cosine }
    }
}

impl Loss for CoSENT {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.examples()?;
        let similarities = self.similarity.pairwise(batch.queries()?, batch.positives()?)?;
        pairwise_ranking(&(similarities * self.scale)?, batch.numbers()?)
    }

    fn check(&self) -> Result<()> {
        positive("scale", self.scale)
    }

    described!("CoSENT");
}
