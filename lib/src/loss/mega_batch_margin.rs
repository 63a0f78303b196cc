//! Margins to the positive and to the hardest negative of the batch.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::classes::largest;
use super::functions::mask;
use super::similarity::cosine;
use super::{Batch, Loss};
use crate::Result;
use crate::error::expect;

/// `mean_i [max(m+ - cos(q_i, p_i), 0) + max(max_{j != i} cos(q_i, p_j) - m-, 0)]`: each pair above one margin, the most
/// similar positive of another query below the other.
///
/// Wants large batches, which [`MicroBatch`](crate::train::MicroBatch) makes possible. Source: Wieting and Gimpel 2018.
/// Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, Loss, MegaBatchMargin};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let queries = Tensor::new(&[[1.0f32, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// let positives = Tensor::new(&[[0.6f32, 0.8], [0.0, 1.0]], &Device::Cpu)?;
/// let loss = MegaBatchMargin::default().loss(&Batch::pairs(queries, positives))?;
/// // Pairs at 0.6 and 1, negatives at 0 and 0.8; the margins are 0.8 and 0.3.
/// assert!((loss.to_scalar::<f32>()? - (0.2 + 0.5) / 2.0).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "MegaBatchMarginLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MegaBatchMargin {
    /// `m+`, a cosine.
    pub positive_margin: f64,
    /// `m-`, a cosine.
    pub negative_margin: f64,
}

impl Default for MegaBatchMargin {
    fn default() -> Self {
        Self { positive_margin: 0.8, negative_margin: 0.3 }
    }
}

impl Loss for MegaBatchMargin {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let examples = batch.examples()?;
        let cosines = cosine(batch.queries()?, batch.positives()?)?;
        let own = mask(examples, examples, &cosines, |row, column| row == column)?;
        let pairs = (&cosines * &own)?.sum(1)?;
        // A single example has no negative.
        let hardest = largest(&cosines, &own.affine(-1.0, 1.0)?, -1.0)?;
        let pulled = pairs.affine(-1.0, self.positive_margin)?.relu()?;
        let pushed = hardest.affine(1.0, -self.negative_margin)?.relu()?;
        Ok((pulled + pushed)?.mean(0)?)
    }

    fn check(&self) -> Result<()> {
        let cosine = |value: f64| (-1.0..=1.0).contains(&value);
        expect("positive_margin", self.positive_margin, "a cosine", cosine(self.positive_margin))?;
        expect("negative_margin", self.negative_margin, "a cosine", cosine(self.negative_margin))
    }

    described!("MegaBatchMargin");
}
