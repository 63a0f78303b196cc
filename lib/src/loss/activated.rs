//! A loss of the scores after an activation.

use candle_core::Tensor;
use serde_json::{Value, json};

use super::{Batch, Loss, LossParameter, Needs, Reads};
use crate::Result;
use crate::error::expect;

/// A loss of `1 / (1 + exp -x)` instead of the numbers `x` of a cross-encoder, for teachers whose scores are from 0 to 1,
/// and for [`MultipleNegativesRanking`](super::MultipleNegativesRanking), which sentence-transformers computes so, with a
/// scale of 10.
///
/// ```
/// use kensaku::loss::{self, Batch, Loss, MSE};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let labels = Some(Tensor::new(&[1.0f32], &Device::Cpu)?);
/// let batch = Batch { labels, ..Batch::read_pairs(vec![Tensor::new(&[[0.0f32]], &Device::Cpu)?]) };
/// assert_eq!(loss::sigmoid(MSE).loss(&batch)?.to_scalar::<f32>()?, 0.25);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn sigmoid<L: Loss>(loss: L) -> Sigmoid<L> {
    Sigmoid(loss)
}

/// What [`sigmoid`] makes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sigmoid<L>(pub L);

impl<L: Loss> Loss for Sigmoid<L> {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.0.loss(&activated(batch)?)
    }

    fn check(&self) -> Result<()> {
        let name = self.0.needs().name;
        let has = matches!(name, "BinaryCrossEntropy" | "CrossEntropy");
        expect("loss", name, "a loss of scores: this one applies a sigmoid or a softmax itself", !has)?;
        self.0.check()
    }

    fn parameters(&self, dim: usize, seed: u64) -> Result<Vec<LossParameter>> {
        self.0.parameters(dim, seed)
    }

    fn observe(&self, batch: &Batch) -> Result<Vec<(String, Tensor)>> {
        self.0.observe(&activated(batch)?)
    }

    fn needs(&self) -> Needs {
        Needs { reads: Reads::Pairs, ..self.0.needs() }
    }

    fn settings(&self) -> Value {
        json!({ "sigmoid": true, "loss": self.0.settings() })
    }
}

/// What the loss inside sees.
fn activated(batch: &Batch) -> Result<Batch> {
    batch.logits()?;
    let columns = batch.columns.iter().map(|logits| Ok(candle_nn::ops::sigmoid(logits)?));
    Ok(Batch { columns: columns.collect::<Result<_>>()?, ..batch.clone() })
}
