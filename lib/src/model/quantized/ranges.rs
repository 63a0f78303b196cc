//! What the numbers of vectors lie between.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The smallest and the largest number of each dimension, to which int8 and uint8 are scaled.
///
/// Those of a large sample of documents serve all vectors that are compared with each other, queries too. A number beyond
/// them becomes the first or the last step.
///
/// ```
/// use kensaku::model::Ranges;
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let ranges = Ranges::of(&Tensor::new(&[[0.0f32, 2.0], [1.0, -2.0]], &Device::Cpu)?)?;
/// assert_eq!((ranges.min, ranges.max), (vec![0.0, -2.0], vec![1.0, 2.0]));
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranges {
    /// `(dim,)` each.
    pub min: Vec<f32>,
    pub max: Vec<f32>,
}

impl Ranges {
    /// Those of the rows of `vectors` `(n, dim)`.
    ///
    /// # Errors
    /// For less than two rows, which have no range; for numbers that are not finite.
    #[doc(alias = "calibration_embeddings")]
    pub fn of(vectors: &Tensor) -> Result<Self> {
        let (rows, dim, values) = finite_rows(vectors)?;
        if rows < 2 {
            return Err(Error::Setting {
                field: "ranges",
                value: format!("those of {rows} vectors"),
                expected: "at least 2 vectors, better hundreds, or ranges that are known".to_owned(),
            });
        }
        let mut ranges = Self { min: vec![f32::INFINITY; dim], max: vec![f32::NEG_INFINITY; dim] };
        for row in values.chunks_exact(dim) {
            for ((min, max), value) in ranges.min.iter_mut().zip(&mut ranges.max).zip(row) {
                (*min, *max) = (min.min(*value), max.max(*value));
            }
        }
        Ok(ranges)
    }

    /// The start and the width of each step, of 256 from the smallest to the largest number.
    pub(super) fn steps(&self, dim: usize) -> Result<Vec<(f32, f32)>> {
        let Self { min, max } = self;
        let lengths = [min.len(), max.len()];
        if lengths != [dim; 2] {
            let what = "ranges of embeddings".to_owned();
            let expected = format!("{dim} numbers each, as the vectors have");
            return Err(Error::Shape { what, found: format!("{lengths:?}"), expected });
        }
        let step = |(min, max): (&f32, &f32)| {
            if !(min <= max && min.is_finite() && max.is_finite()) {
                let value = format!("{min} to {max}");
                return Err(Error::Setting { field: "ranges", value, expected: "finite, and rising".to_owned() });
            }
            let step = (max - min) / 255.0;
            // A dimension that is always the same.
            Ok((*min, if step == 0.0 { 1.0 } else { step }))
        };
        min.iter().zip(max).map(step).collect()
    }
}

/// The shape and the numbers of vectors; an error for one that is not finite.
pub(super) fn finite_rows(vectors: &Tensor) -> Result<(usize, usize, Vec<f32>)> {
    let &[rows, dim] = vectors.dims() else {
        return Err(Error::Shape {
            what: "embeddings".to_owned(),
            found: format!("{:?}", vectors.dims()),
            expected: "one row per text, (n, dim)".to_owned(),
        });
    };
    let values = vectors.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(Error::VectorNotFinite { text: place / dim, value: values[place] }),
        None => Ok((rows, dim.max(1), values)),
    }
}
