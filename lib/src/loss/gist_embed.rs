//! In-batch negatives without those that a guide finds relevant.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::functions::{cross_entropy, mask, without};
use super::similarity::cosine;
use super::{Batch, Loss, positive};
use crate::error::expect;
use crate::{Error, Result};

/// [`MultipleNegativesRanking`](super::MultipleNegativesRanking) without false negatives: candidates that a guide model
/// finds more similar than the query's own positive are left out.
///
/// Candidates are all documents, and, if asked for, the other queries and, for the positive, the other positives. The
/// guide is a frozen model, which [`Trainer::set_guide`](crate::train::Trainer::set_guide) sets. Source: Solatorio 2024
/// (GISTEmbed). Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, GISTEmbed, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let rows = |x: [[f32; 2]; 2]| Tensor::new(&x, &Device::Cpu);
/// let batch = Batch::pairs(rows([[1.0, 0.0], [0.0, 1.0]])?, rows([[1.0, 0.1], [0.1, 1.0]])?);
/// // The guide finds each document as relevant to both queries: no candidate is left beside the positive.
/// let guide = vec![rows([[1.0, 0.0], [1.0, 0.0]])?; 2];
/// let loss = GISTEmbed { margin: 0.1, ..Default::default() };
/// assert!(loss.loss(&Batch { guide, ..batch })?.to_scalar::<f32>()?.abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "GISTEmbedLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GISTEmbed {
    pub temperature: f64,
    /// How far below the guide's similarity of the positive a candidate is left out, too.
    pub margin: f64,
    pub margin_strategy: MarginStrategy,
    /// Whether other queries are candidates.
    pub contrast_queries: bool,
    /// Whether other positives are candidates for the positive.
    pub contrast_positives: bool,
}

/// What a margin is a part of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarginStrategy {
    /// It is a difference of cosines.
    #[default]
    Absolute,
    /// It is a share of the positive's similarity.
    Relative,
}

impl Default for GISTEmbed {
    fn default() -> Self {
        Self {
            temperature: 0.01,
            margin: 0.0,
            margin_strategy: MarginStrategy::Absolute,
            contrast_queries: true,
            contrast_positives: true,
        }
    }
}

impl Loss for GISTEmbed {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let examples = batch.examples()?;
        if batch.guide.len() != batch.columns.len() {
            return Err(Error::Setting {
                field: "guide",
                value: "none".to_owned(),
                expected: "the model that guides GISTEmbed, by `trainer.set_guide(..)`".to_owned(),
            });
        }
        let (columns, guide) = (&batch.columns, &batch.guide);
        batch.positives()?;
        let own = mask(examples, examples, &columns[0], |row, column| row == column)?;
        let guided = cosine(&guide[0], &guide[1])?;
        let positive = (&guided * own.to_dtype(guided.dtype())?)?.sum_keepdim(1)?;
        let highest = match self.margin_strategy {
            MarginStrategy::Absolute => positive.affine(1.0, -self.margin)?,
            MarginStrategy::Relative => (&positive - (positive.abs()? * self.margin)?)?,
        };
        let relevant = |left: usize, right: usize| -> Result<Tensor> {
            Ok(cosine(&guide[left], &guide[right])?.broadcast_gt(&highest)?.to_dtype(own.dtype())?)
        };
        let candidates = |left: usize, right: usize, left_out: &Tensor| -> Result<Tensor> {
            without(&cosine(&columns[left], &columns[right])?, left_out)
        };
        let mut scores = vec![candidates(0, 1, &(relevant(0, 1)? * own.affine(-1.0, 1.0)?)?)?];
        if self.contrast_queries {
            scores.push(candidates(0, 0, &relevant(0, 0)?)?);
        }
        if self.contrast_positives {
            scores.push(candidates(1, 1, &relevant(1, 1)?)?);
        }
        for negatives in 2..columns.len() {
            scores.push(candidates(0, negatives, &relevant(0, negatives)?)?);
        }
        let scores = (Tensor::cat(&scores, 1)? / self.temperature)?;
        cross_entropy(&scores, &(0..examples as u32).collect::<Vec<_>>())
    }

    fn check(&self) -> Result<()> {
        positive("temperature", self.temperature)?;
        expect("margin", self.margin, "a finite number", self.margin.is_finite())
    }

    described!("GISTEmbed");
}
