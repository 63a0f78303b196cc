//! The contrastive losses with a temperature.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::functions::{cross_entropy, mask, without};
use super::similarity::cosine;
use super::{Batch, Loss, positive};
use crate::Result;

/// `-mean_i log (exp(s_ii / T) / sum_j exp(s_ij / T))`: each query must find its positive among the documents of the
/// batch, by the model's own scores, whatever model it is.
///
/// [`MultipleNegativesRanking`](super::MultipleNegativesRanking) is the same loss with `scale = 1 / T`, its own similarity
/// and more directions. Source: van den Oord et al. 2018.
///
/// ```
/// use kensaku::loss::{Batch, InfoNCE, Loss, MultipleNegativesRanking};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let rows = |x: f32| Tensor::new(&[[1.0, x], [x, 1.0]], &Device::Cpu);
/// let batch = Batch::pairs(rows(0.1)?, rows(0.3)?);
/// let ours = InfoNCE { temperature: 0.05 }.loss(&batch)?.to_scalar::<f32>()?;
/// assert!((ours - MultipleNegativesRanking::default().loss(&batch)?.to_scalar::<f32>()?).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InfoNCE {
    pub temperature: f64,
}

/// The loss of SimCLR: `InfoNCE` over both columns, in which each text must find the other one of its pair among all
/// texts of the batch but itself, by cosine.
///
/// Takes pairs of texts that mean the same, neither of which is the query. Source: Chen et al. 2020.
///
/// ```
/// use kensaku::loss::{Batch, Loss, NTXent};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let rows = Tensor::new(&[[1.0f32, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// // Each of four texts has the cosine 1 with its other, and 0 with two more.
/// let loss = NTXent { temperature: 1.0 }.loss(&Batch::pairs(rows.clone(), rows))?.to_scalar::<f32>()?;
/// assert!((loss - (1.0 + 2.0 * (-1.0f32).exp()).ln()).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "SimCLR")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NTXent {
    pub temperature: f64,
}

impl Default for InfoNCE {
    fn default() -> Self {
        Self { temperature: 0.05 }
    }
}

impl Default for NTXent {
    fn default() -> Self {
        Self { temperature: 0.5 }
    }
}

impl Loss for InfoNCE {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let examples = batch.examples()?;
        cross_entropy(&(batch.scores()? / self.temperature)?, &(0..examples as u32).collect::<Vec<_>>())
    }

    fn check(&self) -> Result<()> {
        positive("temperature", self.temperature)
    }

    described!("InfoNCE");
}

impl Loss for NTXent {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let examples = batch.examples()?;
        let texts = Tensor::cat(&[batch.queries()?, batch.positives()?], 0)?;
        let scores = (cosine(&texts, &texts)? / self.temperature)?;
        let itself = mask(2 * examples, 2 * examples, &texts, |row, column| row == column)?;
        let other: Vec<u32> = (0..2 * examples).map(|text| ((text + examples) % (2 * examples)) as u32).collect();
        cross_entropy(&without(&scores, &itself)?, &other)
    }

    fn check(&self) -> Result<()> {
        positive("temperature", self.temperature)
    }

    described!("NTXent");
}
