//! Ranks that can be differentiated.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::lists::{List, lists};
use super::{Batch, Loss, positive};
use crate::Result;

/// The mean over all documents of all queries of `(r_i - r̂_i)² / log2(1 + r_i)`, with the rank `r_i` that the labels
/// give document `i`, and `r̂_i = 1 + sum_{j != i} σ(α (s_j - s_i))`, which is close to the rank that its score gives it.
///
/// Labels are one number per document; equal ones share the mean of their ranks. Values and gradients equal
/// sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{ADRMSE, Batch, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let number = |x: f32| Tensor::new(&[[x]], &Device::Cpu);
/// let labels = Some(Tensor::new(&[[1.0f32, 0.0]], &Device::Cpu)?);
/// // Far apart in the right order: the ranks are 1 and 2.
/// let batch = Batch { labels, ..Batch::read_pairs(vec![number(20.0)?, number(-20.0)?]) };
/// assert!(ADRMSE::default().loss(&batch)?.to_scalar::<f32>()? < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "ADRMSELoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ADRMSE {
    /// How steep the step between two documents is.
    pub alpha: f64,
}

impl Default for ADRMSE {
    fn default() -> Self {
        Self { alpha: 1.0 }
    }
}

impl Loss for ADRMSE {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.check()?;
        let one = |List { scores, labels }: List| {
            let (ranks, like) = (ranks(&labels), scores.dtype());
            let discounts: Vec<f64> = ranks.iter().map(|rank| 1.0 / (1.0 + rank).log2()).collect();
            let [ranks, discounts] = [ranks, discounts].map(|numbers| Tensor::new(numbers, scores.device()));
            let differences = scores.unsqueeze(0)?.broadcast_sub(&scores.unsqueeze(1)?)?;
            let steps = candle_nn::ops::sigmoid(&(differences * self.alpha)?)?;
            // A document and itself have taken a half.
            let found = (steps.sum(1)? + 0.5)?;
            Ok(((ranks?.to_dtype(like)? - found)?.sqr()? * discounts?.to_dtype(like)?)?)
        };
        let errors = lists(batch, true)?.into_iter().map(one).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&errors, 0)?.mean(0)?)
    }

    fn check(&self) -> Result<()> {
        positive("alpha", self.alpha)
    }

    described!("ADRMSE");
}

/// The rank of each number, the largest first, from 1; equal ones share the mean of theirs.
fn ranks(numbers: &[f64]) -> Vec<f64> {
    let rank = |number: &f64| {
        let larger = numbers.iter().filter(|other| *other > number).count() as f64;
        let equal = numbers.iter().filter(|other| *other == number).count() as f64;
        larger + (equal + 1.0) / 2.0
    };
    numbers.iter().map(rank).collect()
}
