//! How far embeddings are from each other.

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use super::functions::mask;
use super::similarity::{cosine, floats, pairwise_cosine};
use crate::Result;

/// How far two embeddings are from each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// `1 - cos`
    Cosine,
    #[default]
    Euclidean,
    /// The square of the Euclidean distance.
    SquaredEuclidean,
    Manhattan,
}

impl Distance {
    /// Row `i` from row `i`: `(n, dim)`, `(n, dim)` -> `(n,)`.
    pub fn pairwise(self, left: &Tensor, right: &Tensor) -> Result<Tensor> {
        floats(left)?;
        Ok(match self {
            Self::Cosine => pairwise_cosine(left, right)?.affine(-1.0, 1.0)?,
            // PyTorch's pairwise distance adds 1e-6 to each difference, against a slope of infinity at zero.
            Self::Euclidean => ((left - right)? + 1e-6)?.sqr()?.sum(D::Minus1)?.sqrt()?,
            Self::SquaredEuclidean => (left - right)?.sqr()?.sum(D::Minus1)?,
            Self::Manhattan => ((left - right)? + 1e-6)?.abs()?.sum(D::Minus1)?,
        })
    }

    /// Every row from every row: `(n, dim)` -> `(n, n)`. A row from itself, and rows that are equal, have the distance 0
    /// without a gradient.
    pub fn matrix(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Cosine => Ok(cosine(x, x)?.affine(-1.0, 1.0)?),
            Self::SquaredEuclidean => squares(x),
            Self::Euclidean => {
                let squares = squares(x)?;
                // The root of 0 has a slope of infinity.
                let equal = squares.detach().le(0.0)?.to_dtype(x.dtype())?;
                Ok((&squares + &equal)?.sqrt()?.mul(&equal.affine(-1.0, 1.0)?)?)
            }
            Self::Manhattan => Ok(x.unsqueeze(1)?.broadcast_sub(&x.unsqueeze(0)?)?.abs()?.sum(D::Minus1)?),
        }
    }

    /// The largest distance of two vectors of length 1; none for vectors without numbers.
    pub(super) fn most(self, dim: usize) -> Option<f64> {
        (dim > 0).then(|| match self {
            Self::Cosine | Self::Euclidean => 2.0,
            Self::SquaredEuclidean => 4.0,
            Self::Manhattan => 2.0 * (dim as f64).sqrt(),
        })
    }

    /// Why a margin can never be reached by vectors of length 1, or by cosines, if so.
    pub(super) fn objection(self, loss: &str, margin: f64, dim: usize, unit: bool) -> Option<String> {
        let most = self.most(dim)?;
        let out_of_reach = margin >= most && (unit || self == Self::Cosine);
        out_of_reach.then(|| {
            format!(
                "they are at most {most:.3} apart, so that no negative is ever far enough for {loss}'s margin of \
                 {margin}: set one below {most:.3}"
            )
        })
    }
}

/// `|x_i|² - 2 x_i · x_j + |x_j|²`, at least 0.
fn squares(x: &Tensor) -> Result<Tensor> {
    let products = x.matmul(&x.t()?)?;
    // Lengths from the same products, so that a row is at exactly 0 from itself.
    let own = mask(x.dim(0)?, x.dim(0)?, x, |row, column| row == column)?;
    let lengths = (&products * own)?.sum_keepdim(D::Minus1)?;
    Ok(products.affine(-2.0, 0.0)?.broadcast_add(&lengths)?.broadcast_add(&lengths.t()?)?.relu()?)
}
