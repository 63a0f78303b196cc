//! How alike embeddings are, in candle ops that pass gradients on.

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use super::apart::{Norm, distances};
use crate::{Error, Result};

/// How a model compares a query with a document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Similarity {
    #[default]
    Cosine,
    Dot,
    /// Minus the Euclidean distance: 0 for equal vectors, less for others.
    Euclidean,
    /// Minus the sum of absolute differences.
    Manhattan,
}

impl Similarity {
    /// Every query with every document: `(n, dim)`, `(m, dim)` -> `(n, m)`. Values equal sentence-transformers' functions.
    ///
    /// ```
    /// use kensaku::loss::Similarity;
    /// # use kensaku::candle_core::{Device, Tensor};
    /// let (x, y) = (Tensor::new(&[[0.0f32, 0.0]], &Device::Cpu)?, Tensor::new(&[[3.0f32, 4.0]], &Device::Cpu)?);
    /// assert_eq!(Similarity::Euclidean.of(&x, &y)?.to_vec2::<f32>()?, [[-5.0]]);
    /// assert_eq!(Similarity::Manhattan.of(&x, &y)?.to_vec2::<f32>()?, [[-7.0]]);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn of(self, queries: &Tensor, docs: &Tensor) -> Result<Tensor> {
        match self {
            Self::Cosine => cosine(queries, docs),
            Self::Dot => dot(queries, docs),
            Self::Euclidean | Self::Manhattan => {
                check_shapes(queries, docs)?;
                let norm = if self == Self::Euclidean { Norm::Euclidean } else { Norm::Manhattan };
                Ok(distances(queries, docs, norm)?.neg()?)
            }
        }
    }

    /// Row `i` with row `i`: `(n, dim)`, `(n, dim)` -> `(n,)`.
    pub fn pairwise(self, queries: &Tensor, docs: &Tensor) -> Result<Tensor> {
        match self {
            Self::Cosine => pairwise_cosine(queries, docs),
            Self::Dot => Ok((queries * docs)?.sum(D::Minus1)?),
            // The root has no slope at 0.
            Self::Euclidean => Ok((queries - docs)?.sqr()?.sum(D::Minus1)?.maximum(1e-24)?.sqrt()?.neg()?),
            Self::Manhattan => Ok((queries - docs)?.abs()?.sum(D::Minus1)?.neg()?),
        }
    }
}

/// Dot product of every query with every document: `(n, dim)`, `(m, dim)` -> `(n, m)`.
pub fn dot(queries: &Tensor, docs: &Tensor) -> Result<Tensor> {
    check_shapes(queries, docs)?;
    Ok(queries.matmul(&docs.t()?)?)
}

/// An error for what is not rows of one width.
fn check_shapes(queries: &Tensor, docs: &Tensor) -> Result<()> {
    floats(queries)?;
    if queries.rank() != 2 || docs.rank() != 2 || queries.dim(1)? != docs.dim(1)? {
        return Err(Error::Shape {
            what: "embeddings of queries and documents".to_owned(),
            found: format!("{:?} and {:?}", queries.dims(), docs.dims()),
            expected: "(n, dim) and (m, dim)".to_owned(),
        });
    }
    Ok(())
}

/// Cosine of every query with every document: `(n, dim)`, `(m, dim)` -> `(n, m)`.
///
/// ```
/// # use kensaku::candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[3.0f32, 4.0], [0.0, 1.0]], &Device::Cpu)?;
/// let cosines = kensaku::loss::cosine(&x, &x)?.to_vec2::<f32>()?;
/// assert!((cosines[0][1] - 0.8).abs() < 1e-6 && (cosines[0][0] - 1.0).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn cosine(queries: &Tensor, docs: &Tensor) -> Result<Tensor> {
    dot(&normalize(queries)?, &normalize(docs)?)
}

/// Cosine of row `i` with row `i`: `(n, dim)`, `(n, dim)` -> `(n,)`.
pub fn pairwise_cosine(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    Ok((normalize(left)? * normalize(right)?)?.sum(D::Minus1)?)
}

/// An error for whole numbers, of which candle has no roots.
pub(super) fn floats(x: &Tensor) -> Result<()> {
    if x.dtype().is_float() {
        return Ok(());
    }
    let expected = "floats, such as `.to_dtype(DType::F32)?` makes".to_owned();
    Err(Error::Setting { field: "dtype", value: x.dtype().as_str().to_owned(), expected })
}

/// Rows of length 1: `x / max(|x|, 1e-12)`, `(n, dim)` -> `(n, dim)`.
pub fn normalize(x: &Tensor) -> Result<Tensor> {
    floats(x)?;
    // The square root of a zero row has no slope: the smallest square keeps the gradient finite.
    let length = x.sqr()?.sum_keepdim(D::Minus1)?.maximum(1e-24)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}
