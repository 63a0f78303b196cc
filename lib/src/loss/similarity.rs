//! How alike embeddings are, in candle ops that pass gradients on.

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How a model compares a query with a document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Similarity {
    #[default]
    Cosine,
    Dot,
}

impl Similarity {
    /// Every query with every document: `(n, dim)`, `(m, dim)` -> `(n, m)`.
    pub fn of(self, queries: &Tensor, docs: &Tensor) -> Result<Tensor> {
        match self {
            Self::Cosine => cosine(queries, docs),
            Self::Dot => dot(queries, docs),
        }
    }
}

/// Dot product of every query with every document: `(n, dim)`, `(m, dim)` -> `(n, m)`.
pub fn dot(queries: &Tensor, docs: &Tensor) -> Result<Tensor> {
    Ok(queries.matmul(&docs.t()?)?)
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

/// Rows of length 1: `x / max(|x|, 1e-12)`, `(n, dim)` -> `(n, dim)`.
pub fn normalize(x: &Tensor) -> Result<Tensor> {
    // The square root of a zero row has no slope: the smallest square keeps the gradient finite.
    let length = x.sqr()?.sum_keepdim(D::Minus1)?.maximum(1e-24)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}

/// `log sum exp` of each row: `(n, m)` -> `(n,)`. Entries of minus infinity count as absent; of a row that has no other,
/// it is minus infinity, without a gradient.
pub fn log_sum_exp(x: &Tensor) -> Result<Tensor> {
    if x.dim(D::Minus1)? == 0 {
        return Err(Error::Shape {
            what: "log_sum_exp".to_owned(),
            found: format!("{:?}", x.dims()),
            expected: "rows of at least one number".to_owned(),
        });
    }
    // Of nothing but minus infinity, the largest finite number: infinity less itself is no number.
    let max = x.detach().max_keepdim(D::Minus1)?.maximum(f64::from(f32::MIN))?;
    let sum = x.broadcast_sub(&max)?.exp()?.sum_keepdim(D::Minus1)?;
    // The logarithm has no slope at 0. Elsewhere the sum is at least 1, from the maximum itself.
    let nothing = sum.detach().lt(0.5)?;
    let log = (sum + nothing.to_dtype(x.dtype())?)?.log()?;
    let absent = Tensor::full(f32::NEG_INFINITY, log.shape(), x.device())?.to_dtype(x.dtype())?;
    Ok(nothing.where_cond(&absent, &(log + max)?)?.squeeze(D::Minus1)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn absent_numbers_have_no_part_and_no_gradient() {
        let infinity = f32::NEG_INFINITY;
        let x = Var::new(&[[0.0, infinity], [infinity, infinity], [1e4, 1e4]], &Device::Cpu).unwrap();
        let sums = log_sum_exp(&x).unwrap();
        assert_eq!(sums.to_vec1::<f32>().unwrap(), [0.0, infinity, 1e4 + 2f32.ln()]);
        let kept = sums.narrow(0, 0, 1).unwrap().add(&sums.narrow(0, 2, 1).unwrap()).unwrap().sum_all().unwrap();
        let grads = kept.backward().unwrap().get(&x).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(grads, [[1.0, 0.0], [0.0, 0.0], [0.5, 0.5]]);
        assert!(log_sum_exp(&Tensor::zeros((2, 0), candle_core::DType::F32, &Device::Cpu).unwrap()).is_err());
    }
}
