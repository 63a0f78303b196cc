//! Relevant or not.

use serde::{Deserialize, Serialize};

use candle_core::Tensor;

use super::functions::softplus;
use super::{Batch, Loss, positive};
use crate::Result;

/// `mean_i -(w y_i log σ(x_i) + (1 - y_i) log (1 - σ(x_i)))` of the number `x_i` that a cross-encoder gives pair `i`.
///
/// Labels `y_i` are 0 to 1. Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, BinaryCrossEntropy, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let labels = Some(Tensor::new(&[1.0f32, 0.0], &Device::Cpu)?);
/// let batch = Batch { labels, ..Batch::read_pairs(vec![Tensor::new(&[[0.0f32], [0.0]], &Device::Cpu)?]) };
/// let loss = BinaryCrossEntropy::default().loss(&batch)?.to_scalar::<f32>()?;
/// assert!((loss - 2.0f32.ln()).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "BinaryCrossEntropyLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BinaryCrossEntropy {
    /// `w`: how much more a relevant document counts. With several negatives per positive their number is usual.
    pub pos_weight: f64,
}

impl Default for BinaryCrossEntropy {
    fn default() -> Self {
        Self { pos_weight: 1.0 }
    }
}

impl Loss for BinaryCrossEntropy {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.check()?;
        let (scores, labels) = (batch.pair_scores()?, batch.numbers()?);
        let off = (labels.affine(-1.0, 1.0)? * &scores)?;
        let on = (labels.affine(self.pos_weight - 1.0, 1.0)? * softplus(&scores.neg()?)?)?;
        Ok((off + on)?.mean(0)?)
    }

    fn check(&self) -> Result<()> {
        positive("pos_weight", self.pos_weight)
    }

    described!("BinaryCrossEntropy");
}
