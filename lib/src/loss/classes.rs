//! What the losses on texts of classes share: which texts are of one class, and the nearest and farthest of them.

use candle_core::{DType, Tensor};

use super::Batch;
use super::functions::mask;
use crate::Result;

/// Of all pairs of texts of a batch: `(B, B)`, 1 or 0.
pub(super) struct Classes {
    /// Two texts of one class.
    pub(super) same: Tensor,
    /// Two texts of different classes.
    pub(super) different: Tensor,
}

impl Classes {
    pub(super) fn of(batch: &Batch) -> Result<Self> {
        let texts = batch.queries()?;
        let labels: Vec<f64> = batch.numbers()?.to_dtype(DType::F64)?.to_vec1()?;
        let pairs = |holds: &dyn Fn(usize, usize) -> bool| mask(labels.len(), labels.len(), texts, holds);
        Ok(Self {
            same: pairs(&|row, column| row != column && labels[row] == labels[column])?,
            different: pairs(&|row, column| labels[row] != labels[column])?,
        })
    }
}

/// The largest number of each row where the mask is 1, or `otherwise` where it is 0 everywhere. Of equal ones, the first
/// has the gradient: `(.., m)` -> `(..,)`.
pub(super) fn largest(numbers: &Tensor, mask: &Tensor, otherwise: f64) -> Result<Tensor> {
    let last = numbers.rank() - 1;
    let absent = mask.affine(-1.0, 1.0)?;
    // Lower than every number that is there, and still finite.
    let floor = numbers.detach().flatten_all()?.min(0)?.affine(1.0, -1.0)?;
    let held = ((numbers * mask)? + absent.broadcast_mul(&floor)?)?.contiguous()?;
    let found = held.gather(&held.argmax_keepdim(last)?, last)?.squeeze(last)?;
    let any = mask.max(last)?;
    Ok(((found * &any)? + any.affine(-otherwise, otherwise)?)?)
}

/// The smallest one, likewise.
pub(super) fn smallest(numbers: &Tensor, mask: &Tensor, otherwise: f64) -> Result<Tensor> {
    Ok(largest(&numbers.neg()?, mask, -otherwise)?.neg()?)
}
