//! Triplets of all texts of a batch, by their classes.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::classes::{Classes, largest, smallest};
use super::functions::{number, softplus};
use super::{Batch, Distance, Loss, not_negative};
use crate::Result;

/// The mean of `max(d(a, p) - d(a, n) + margin, 0)` over the triplets of the batch for which it is above 0: all texts
/// `a` and `p` of one class, and `n` of another.
///
/// Takes one column of texts, with the class of each as its label; the batch needs at least two texts of some class.
/// Source: Schroff et al. 2015, Hermans et al. 2017. Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, BatchAllTriplet, Distance, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let texts = Tensor::new(&[[0.0f32], [1.0], [3.0]], &Device::Cpu)?;
/// let labels = Some(Tensor::new(&[7.0f32, 7.0, 8.0], &Device::Cpu)?);
/// let batch = Batch { labels, ..Batch::new(vec![texts]) };
/// // The triplets (0, 1, 3) and (1, 0, 3): 1 - 3 + 5 and 1 - 2 + 5.
/// let loss = BatchAllTriplet { distance: Distance::Euclidean, margin: 5.0 };
/// assert!((loss.loss(&batch)?.to_scalar::<f32>()? - 3.5).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "BatchAllTripletLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchAllTriplet {
    pub distance: Distance,
    /// In units of the distance: 5 suits embeddings that are not normalised.
    pub margin: f64,
}

/// The mean over all texts of `max(d(a, p) - d(a, n) + margin, 0)` with the farthest text `p` of the class of `a`, and the
/// nearest one `n` of another.
///
/// Columns and labels are those of [`BatchAllTriplet`]. Source: Hermans et al. 2017. Values and gradients equal
/// sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, BatchHardTriplet, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let texts = Tensor::new(&[[0.0f32], [1.0], [3.0], [7.0]], &Device::Cpu)?;
/// let labels = Some(Tensor::new(&[7.0f32, 7.0, 8.0, 8.0], &Device::Cpu)?);
/// let loss = BatchHardTriplet::default().loss(&Batch { labels, ..Batch::new(vec![texts]) })?;
/// // 1 - 3, 1 - 2, 4 - 2 and 4 - 6, each plus the margin of 5.
/// assert!((loss.to_scalar::<f32>()? - (3.0 + 4.0 + 7.0 + 3.0) / 4.0).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "BatchHardTripletLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchHardTriplet {
    pub distance: Distance,
    /// In units of the distance: 5 suits embeddings that are not normalised.
    pub margin: f64,
}

/// [`BatchHardTriplet`] with `log (1 + exp(d(a, p) - d(a, n)))`, which needs no margin.
///
/// Source: Hermans et al. 2017. Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, BatchHardSoftMarginTriplet, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let texts = Tensor::new(&[[0.0f32], [1.0], [2.0], [3.0]], &Device::Cpu)?;
/// let labels = Some(Tensor::new(&[7.0f32, 7.0, 8.0, 8.0], &Device::Cpu)?);
/// let loss = BatchHardSoftMarginTriplet::default().loss(&Batch { labels, ..Batch::new(vec![texts]) })?;
/// let softplus = |x: f32| (1.0 + x.exp()).ln();
/// assert!((loss.to_scalar::<f32>()? - (softplus(-1.0) + softplus(0.0)) / 2.0).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "BatchHardSoftMarginTripletLoss")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchHardSoftMarginTriplet {
    pub distance: Distance,
}

/// The mean of `max(d(a, p) - d(a, n) + margin, 0)` over all texts `a` and `p` of one class, with the nearest text `n` of
/// another class that is farther from `a` than `p`; the farthest one if there is none.
///
/// Columns and labels are those of [`BatchAllTriplet`]. Source: Schroff et al. 2015. Values and gradients equal
/// sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, BatchSemiHardTriplet, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let texts = Tensor::new(&[[0.0f32], [2.0], [1.0], [7.0]], &Device::Cpu)?;
/// let labels = Some(Tensor::new(&[7.0f32, 7.0, 8.0, 9.0], &Device::Cpu)?);
/// let loss = BatchSemiHardTriplet::default().loss(&Batch { labels, ..Batch::new(vec![texts]) })?;
/// // For both pairs of class 7 the text at 7: the one at 1 is nearer than the positive. 2 - 7 + 5 and 2 - 5 + 5.
/// assert!((loss.to_scalar::<f32>()? - 1.0).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "BatchSemiHardTripletLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchSemiHardTriplet {
    pub distance: Distance,
    /// In units of the distance: 5 suits embeddings that are not normalised.
    pub margin: f64,
}

impl Default for BatchAllTriplet {
    fn default() -> Self {
        Self { distance: Distance::Euclidean, margin: 5.0 }
    }
}

impl Default for BatchHardTriplet {
    fn default() -> Self {
        Self { distance: Distance::Euclidean, margin: 5.0 }
    }
}

impl Default for BatchSemiHardTriplet {
    fn default() -> Self {
        Self { distance: Distance::Euclidean, margin: 5.0 }
    }
}

impl Loss for BatchAllTriplet {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.examples()?;
        let (classes, distances) = (Classes::of(batch)?, self.distance.matrix(batch.queries()?)?);
        // `(a, p, n)`
        let hinges =
            distances.unsqueeze(2)?.broadcast_sub(&distances.unsqueeze(1)?)?.affine(1.0, self.margin)?.relu()?;
        let triplets = classes.same.unsqueeze(2)?.broadcast_mul(&classes.different.unsqueeze(1)?)?;
        let losses = (hinges * triplets)?;
        let above = losses.detach().gt(1e-16)?.to_dtype(losses.dtype())?.sum_all()?;
        Ok((losses.sum_all()? / (above + 1e-16)?)?)
    }

    fn check(&self) -> Result<()> {
        not_negative("margin", self.margin)
    }

    described!("BatchAllTriplet");

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        self.distance.objection("BatchAllTriplet", self.margin, dim, unit)
    }
}

/// `d(a, p) - d(a, n)` with the farthest text of the class and the nearest one of another: `(B,)`. Without such a text,
/// the distance is 0 to the first, and larger than all to the second.
fn hardest(distance: Distance, batch: &Batch) -> Result<Tensor> {
    batch.examples()?;
    let (classes, distances) = (Classes::of(batch)?, distance.matrix(batch.queries()?)?);
    let most = number(&distances.max_all()?)?;
    let positive = largest(&distances, &classes.same, 0.0)?;
    Ok((positive - smallest(&distances, &classes.different, 2.0 * most)?)?)
}

impl Loss for BatchHardTriplet {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        Ok((hardest(self.distance, batch)? + self.margin)?.relu()?.mean(0)?)
    }

    fn check(&self) -> Result<()> {
        not_negative("margin", self.margin)
    }

    described!("BatchHardTriplet");

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        self.distance.objection("BatchHardTriplet", self.margin, dim, unit)
    }
}

impl Loss for BatchHardSoftMarginTriplet {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        Ok(softplus(&hardest(self.distance, batch)?)?.mean(0)?)
    }

    described!("BatchHardSoftMarginTriplet");
}

impl Loss for BatchSemiHardTriplet {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.examples()?;
        let (classes, distances) = (Classes::of(batch)?, self.distance.matrix(batch.queries()?)?);
        let count = distances.dim(0)?;
        // `(a, p, n)`: the negatives that are farther than the positive.
        let (rows, positives) = (distances.unsqueeze(1)?, distances.unsqueeze(2)?);
        let farther = rows.broadcast_gt(&positives)?.to_dtype(distances.dtype())?;
        let farther = farther.broadcast_mul(&classes.different.unsqueeze(1)?)?;
        let outside = smallest(&rows.broadcast_as((count, count, count))?.contiguous()?, &farther, 0.0)?;
        let any = farther.max(2)?;
        let inside = largest(&distances, &classes.different, 0.0)?.unsqueeze(1)?.broadcast_as((count, count))?;
        let negative = (outside + (inside * any.affine(-1.0, 1.0)?)?)?;
        let losses = ((&distances - negative)?.affine(1.0, self.margin)?.relu()? * &classes.same)?;
        let pairs = number(&classes.same.sum_all()?)?;
        Ok((losses.sum_all()? / pairs.max(1.0))?)
    }

    fn check(&self) -> Result<()> {
        not_negative("margin", self.margin)
    }

    described!("BatchSemiHardTriplet");

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        self.distance.objection("BatchSemiHardTriplet", self.margin, dim, unit)
    }
}
