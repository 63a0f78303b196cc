//! Few words per text.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::{Batch, Loss};
use crate::Result;

/// `sum_j (mean_i |w_ij|)²` over the words `j` of sparse vectors, of all texts `i` of a batch: the expected number of
/// multiplications of a search with an inverted index, smoothed. It is small where texts have few words, and different
/// ones.
///
/// A regulariser: add it to a ranking loss, or use [`SpladeLoss`](super::SpladeLoss), which weighs queries and documents
/// separately. Source: Paria et al. 2020. Values and gradients equal sentence-transformers
/// 6.2.
///
/// ```
/// use kensaku::loss::{Batch, Flops, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// // Means 1.5 and 1.
/// let texts = Tensor::new(&[[3.0f32, 0.0, 0.0], [0.0, 2.0, 0.0]], &Device::Cpu)?;
/// assert_eq!(Flops::default().loss(&Batch::new(vec![texts.clone()]))?.to_scalar::<f32>()?, 2.25 + 1.0);
/// // Texts of no more than one word may stay as they are.
/// assert_eq!(Flops { threshold: Some(1) }.of(&texts)?.to_scalar::<f32>()?, 0.0);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "FlopsLoss")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Flops {
    /// Texts of at most this many words count as texts without any. `None`: all count as they are.
    pub threshold: Option<usize>,
}

impl Flops {
    /// That of some texts: `(n, dim)` -> a scalar.
    pub fn of(&self, texts: &Tensor) -> Result<Tensor> {
        let sizes = texts.abs()?;
        let sizes = match self.threshold {
            None => sizes,
            Some(threshold) => {
                let words = texts.detach().ne(0.0)?.to_dtype(DType::F32)?.sum_keepdim(1)?;
                sizes.broadcast_mul(&words.gt(threshold as f64)?.to_dtype(texts.dtype())?)?
            }
        };
        Ok(sizes.mean(0)?.sqr()?.sum_all()?)
    }
}

impl Loss for Flops {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.examples()?;
        self.of(&Tensor::cat(&batch.columns, 0)?)
    }

    described!("Flops");
}
