//! CoSENT on angles in complex space.

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use super::functions::pairwise_ranking;
use super::{Batch, Loss, positive};
use crate::{Error, Result};

/// [`CoSENT`](super::CoSENT) with the difference of angles instead of the cosine, whose gradient does not vanish where
/// embeddings are nearly parallel: both halves of a vector are the real and the imaginary parts of complex numbers.
///
/// Takes pairs with scores, or pairs with negatives: a positive has its score, or 1 without scores, and a negative 1 less
/// that score. Source: Li and Li 2023 (AnglE). Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{AnglE, Batch, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let rows = |x: [f32; 2]| Tensor::new(&[x], &Device::Cpu);
/// let batch = Batch::new(vec![rows([1.0, 0.0])?, rows([1.0, 0.1])?, rows([1.0, 0.9])?]);
/// let right = AnglE::default().loss(&batch)?.to_scalar::<f32>()?;
/// let swapped = Batch::new([0, 2, 1].map(|column| batch.columns[column].clone()).to_vec());
/// assert!(right < AnglE::default().loss(&swapped)?.to_scalar::<f32>()?);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "AnglELoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AnglE {
    /// One over the temperature.
    pub scale: f64,
}

impl Default for AnglE {
    fn default() -> Self {
        Self { scale: 20.0 }
    }
}

impl Loss for AnglE {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.examples()?;
        let (queries, positives) = (batch.queries()?, batch.positives()?);
        let labels = match &batch.labels {
            Some(_) => batch.numbers()?.clone(),
            None => {
                batch.some_negatives()?;
                Tensor::ones(queries.dim(0)?, queries.dtype(), queries.device())?
            }
        };
        let (mut similarities, mut wanted) = (vec![similarity(queries, positives)?], vec![labels.clone()]);
        for negatives in batch.negatives() {
            similarities.push(similarity(queries, negatives)?);
            wanted.push(labels.affine(-1.0, 1.0)?);
        }
        let scores = (Tensor::cat(&similarities, 0)? * self.scale)?;
        pairwise_ranking(&scores, &Tensor::cat(&wanted, 0)?)
    }

    fn check(&self) -> Result<()> {
        positive("scale", self.scale)
    }

    described!("AnglE");
}

/// `|sum (re + im)|` of the quotient of both rows as complex numbers, divided by the quotient of their lengths.
fn similarity(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    let width = left.dim(D::Minus1)?;
    if !width.is_multiple_of(2) {
        return Err(Error::Shape {
            what: "embeddings of AnglE".to_owned(),
            found: format!("{width} numbers"),
            expected: "an even number".to_owned(),
        });
    }
    let half = |x: &Tensor, part: usize| x.narrow(D::Minus1, part * width / 2, width / 2);
    let (a, b, c, d) = (half(left, 0)?, half(left, 1)?, half(right, 0)?, half(right, 1)?);
    let squares = |x: &Tensor| x.sqr()?.sum_keepdim(D::Minus1);
    let size = squares(right)?;
    let real = ((&a * &c)? + (&b * &d)?)?;
    let imaginary = ((&b * &c)? - (&a * &d)?)?;
    let lengths = (squares(left)?.sqrt()? / size.sqrt()?)?;
    let sum = (real + imaginary)?.sum_keepdim(D::Minus1)?;
    Ok(((sum / size)? / lengths)?.abs()?.squeeze(D::Minus1)?)
}
