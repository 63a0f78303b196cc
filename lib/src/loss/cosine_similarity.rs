//! Regression of the cosine on a score.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::similarity::pairwise_cosine;
use super::{Batch, Loss};
use crate::Result;

/// `mean_i f(cos(query_i, positive_i) - score_i)` with `f` the square or the absolute value.
///
/// Needs the column `score` of the training set, from -1 to 1. Source: Reimers and Gurevych 2019
/// (Sentence-BERT). Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, CosineSimilarity, Difference, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let loss = CosineSimilarity { difference: Difference::Absolute };
/// // The pairs have the cosines 1 and 0; they should have 0.5 and 0.25.
/// let queries = Tensor::new(&[[2.0f32, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// let positives = Tensor::new(&[[1.0f32, 0.0], [1.0, 0.0]], &Device::Cpu)?;
/// let labels = Some(Tensor::new(&[0.5f32, 0.25], &Device::Cpu)?);
/// let batch = Batch { labels, ..Batch::pairs(queries, positives) };
/// assert!((loss.loss(&batch)?.to_scalar::<f32>()? - 0.375).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "CosineSimilarityLoss")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CosineSimilarity {
    pub difference: Difference,
}

/// How far a cosine is from its score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    #[default]
    Squared,
    Absolute,
}

impl Loss for CosineSimilarity {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.examples()?;
        let difference = (pairwise_cosine(batch.queries()?, batch.positives()?)? - batch.numbers()?)?;
        Ok(match self.difference {
            Difference::Squared => difference.sqr()?,
            Difference::Absolute => difference.abs()?,
        }
        .mean(0)?)
    }

    described!("CosineSimilarity");
}
