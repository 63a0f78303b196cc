//! Learning from texts alone, by two copies of a model that drift apart.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::functions::{cross_entropy, softplus};
use super::similarity::cosine;
use super::{Batch, Loss, LossParameter, positive};
use crate::Result;

/// `sum_i -log sigmoid(u_i · v_i)` of pairs that are the same text (label 1), and `-log sigmoid(-u_i · v_i)` of others
/// (label 0): two copies of a model, one for each column, must agree on a text and on nothing else.
///
/// The columns are meant for models with an encoder for each. Source: Carlsson et al. 2021. Values and gradients
/// equal sentence-transformers 6.2, which sums over the batch.
///
/// ```
/// use kensaku::loss::{Batch, ContrastiveTension, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let texts = Tensor::new(&[[1.0f32, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// let labels = Some(Tensor::new(&[1.0f32, 0.0], &Device::Cpu)?);
/// let loss = ContrastiveTension.loss(&Batch { labels, ..Batch::pairs(texts.clone(), texts) })?;
/// let softplus = |x: f32| (1.0 + x.exp()).ln();
/// assert!((loss.to_scalar::<f32>()? - softplus(-1.0) - softplus(1.0)).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "ContrastiveTensionLoss")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContrastiveTension;

/// The mean of both directions of `-log softmax(scale cos(u, v))` at the same text, among the texts of a batch: contrastive
/// tension with in-batch negatives.
///
/// The scale trains: `loss.logit_scale` is its logarithm. Source: as [`ContrastiveTension`].
///
/// ```
/// use kensaku::loss::{ContrastiveTensionInBatchNegatives, Loss};
///
/// let loss = ContrastiveTensionInBatchNegatives { scale: 20.0 };
/// let parameter = &loss.parameters(384, 42)?[0];
/// assert_eq!((parameter.name.as_str(), parameter.value.to_scalar::<f32>()?), ("logit_scale", 20f32.ln()));
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "ContrastiveTensionLossInBatchNegatives")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContrastiveTensionInBatchNegatives {
    /// The scale at the beginning.
    pub scale: f64,
}

impl Default for ContrastiveTensionInBatchNegatives {
    fn default() -> Self {
        Self { scale: 20.0 }
    }
}

impl Loss for ContrastiveTension {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.examples()?;
        let scores = (batch.queries()? * batch.positives()?)?.sum(1)?;
        let off = (batch.numbers()?.affine(-1.0, 1.0)? * &scores)?;
        Ok((off + softplus(&scores.neg()?)?)?.sum(0)?)
    }

    described!("ContrastiveTension");
}

impl Loss for ContrastiveTensionInBatchNegatives {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let own: Vec<u32> = (0..batch.examples()? as u32).collect();
        let scores = cosine(batch.queries()?, batch.positives()?)?;
        let scores = scores.broadcast_mul(&batch.parameter("logit_scale")?.exp()?)?;
        let both = (cross_entropy(&scores, &own)? + cross_entropy(&scores.t()?.contiguous()?, &own)?)?;
        Ok((both * 0.5)?)
    }

    fn check(&self) -> Result<()> {
        positive("scale", self.scale)
    }

    fn parameters(&self, _dim: usize, _seed: u64) -> Result<Vec<LossParameter>> {
        let logit = Tensor::new(self.scale.ln() as f32, &Device::Cpu)?;
        Ok(vec![LossParameter::new("logit_scale", &logit)?])
    }

    described!("ContrastiveTensionInBatchNegatives");
}
