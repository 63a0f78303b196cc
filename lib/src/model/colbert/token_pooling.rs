//! Fewer vectors per document: those of similar tokens become one.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::ward;
use crate::error::expect;
use crate::model::TokenEmbeddings;
use crate::nn::normalize_rows;
use crate::{Error, Result};

/// Hierarchical token pooling (Clavie et al. 2024): the vectors of a document's tokens are clustered by Ward's criterion on
/// their cosine distances, and every cluster becomes its mean. An index is smaller by the factor; retrieval loses little up
/// to factors of 2 or 3. The result is that of PyLate's `pool_factor` and of sentence-transformers'
/// `HierarchicalTokenPooling`.
///
/// ```
/// use kensaku::model::{TokenEmbeddings, TokenPooling};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// // `[CLS]`, then two pairs of tokens that are nearly the same.
/// let rows = [[0.0f32, 1.0], [1.0, 0.0], [0.6, 0.8], [1.0, 0.0], [0.6, 0.8]];
/// let doc = TokenEmbeddings::new(vec!["a".into()], Tensor::new(&rows, &Device::Cpu)?, vec![0, 5])?;
/// let pooled = doc.pooled(TokenPooling { pool_factor: 2.0, ..TokenPooling::default() })?;
/// assert_eq!(pooled.matrix(0)?.dims(), [3, 2]);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "HierarchicalTokenPooling")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenPooling {
    /// Of `n` vectors, `n / pool_factor` are kept, rounded down, but at least one. With 1, the default, all are.
    pub pool_factor: f64,
    /// The first vectors of a document, such as that of `[CLS]`, that are kept as they are and not counted. 1 by default.
    #[doc(alias = "num_protected_tokens")]
    pub protected_tokens: usize,
    /// Scale the means to length 1, as sentence-transformers does it; PyLate leaves them shorter. True by default.
    pub normalize: bool,
}

impl Default for TokenPooling {
    fn default() -> Self {
        Self { pool_factor: 1.0, protected_tokens: 1, normalize: true }
    }
}

impl TokenPooling {
    pub(super) fn check(&self) -> Result<()> {
        let holds = self.pool_factor >= 1.0 && self.pool_factor.is_finite();
        expect("pool_factor", self.pool_factor, "at least 1, which keeps all vectors", holds)
    }

    /// The vectors of one text, of `width` numbers and length 1 each.
    pub(super) fn pool(&self, rows: &[f32], width: usize) -> Vec<f32> {
        let protected = (self.protected_tokens.saturating_mul(width)).min(rows.len());
        let (kept, rest) = rows.split_at(protected);
        let rest: Vec<&[f32]> = rest.chunks_exact(width).collect();
        let most = ((rest.len() as f64 / self.pool_factor) as usize).max(1);
        if most >= rest.len() {
            return rows.to_vec();
        }
        let pair = |(a, b): (&[f32], &[f32])| {
            let cosine: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            (1.0 - cosine).clamp(0.0, 2.0)
        };
        let pairs = rest.iter().enumerate().flat_map(|(a, row)| rest[a + 1..].iter().map(|other| (*row, *other)));
        let clusters = ward::clusters(pairs.map(pair).collect(), rest.len(), most);
        let count = clusters.iter().max().map_or(0, |last| last + 1);
        let (mut sums, mut sizes) = (vec![0.0; count * width], vec![0.0_f32; count]);
        for (row, cluster) in rest.iter().zip(clusters) {
            let sum = &mut sums[cluster * width..(cluster + 1) * width];
            sum.iter_mut().zip(*row).for_each(|(sum, value)| *sum += value);
            sizes[cluster] += 1.0;
        }
        for (sum, size) in sums.chunks_exact_mut(width).zip(sizes) {
            sum.iter_mut().for_each(|value| *value /= size);
        }
        if self.normalize {
            normalize_rows(&mut sums, width);
        }
        [kept, &sums].concat()
    }
}

impl TokenEmbeddings {
    /// The same texts with fewer vectors each, see [`TokenPooling`]. The vectors have to have length 1, as those of
    /// [`ColBert`](super::ColBert) have. It is meant for documents; a query needs all of its vectors.
    ///
    /// # Errors
    /// For a factor below 1, and for a vector that is NaN or infinite.
    pub fn pooled(&self, pooling: TokenPooling) -> Result<Self> {
        pooling.check()?;
        let (values, width) = (self.vectors.flatten_all()?.to_vec1::<f32>()?, self.vectors.dim(1)?);
        let of = |bounds: &[usize]| &values[bounds[0] * width..bounds[1] * width];
        for (text, bounds) in self.bounds.windows(2).enumerate() {
            if let Some(value) = of(bounds).iter().find(|value| !value.is_finite()) {
                return Err(Error::VectorNotFinite { text, value: *value });
            }
        }
        let texts: Vec<Vec<f32>> =
            self.bounds.par_windows(2).map(|bounds| pooling.pool(of(bounds), width.max(1))).collect();
        let mut bounds = vec![0];
        for text in &texts {
            bounds.push(bounds.last().copied().unwrap_or(0) + text.len() / width.max(1));
        }
        let rows = bounds.last().copied().unwrap_or(0);
        let vectors = candle_core::Tensor::from_vec(texts.concat(), (rows, width), self.vectors.device())?;
        Self::new(self.ids.clone(), vectors, bounds)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::random::Philox;

    fn embeddings(lengths: &[usize], width: usize) -> TokenEmbeddings {
        let mut rng = Philox::new(1);
        let mut bounds = vec![0];
        lengths.iter().for_each(|length| bounds.push(bounds[bounds.len() - 1] + length));
        let rows = bounds[lengths.len()];
        let mut values: Vec<f32> = (0..rows * width).map(|_| rng.normal() as f32).collect();
        normalize_rows(&mut values, width);
        let ids = (0..lengths.len()).map(|text| text.to_string()).collect();
        TokenEmbeddings::new(ids, Tensor::from_vec(values, (rows, width), &Device::Cpu).unwrap(), bounds).unwrap()
    }

    #[test]
    fn a_text_keeps_its_share() {
        let docs = embeddings(&[12, 0, 1, 2, 3, 7], 4);
        let lengths = |pool_factor: f64, protected_tokens: usize| {
            let pooled = docs.pooled(TokenPooling { pool_factor, protected_tokens, normalize: true }).unwrap();
            pooled.bounds.windows(2).map(|bounds| bounds[1] - bounds[0]).collect::<Vec<_>>()
        };
        assert_eq!(lengths(1.0, 1), [12, 0, 1, 2, 3, 7]);
        assert_eq!(lengths(2.0, 1), [6, 0, 1, 2, 2, 4]);
        assert_eq!(lengths(1.5, 0), [8, 0, 1, 1, 2, 4]);
        assert_eq!(lengths(100.0, 2), [3, 0, 1, 2, 3, 3]);
        let whole = docs.pooled(TokenPooling::default()).unwrap();
        assert_eq!(whole.vectors.to_vec2::<f32>().unwrap(), docs.vectors.to_vec2::<f32>().unwrap());
    }

    #[test]
    fn means_are_of_all_tokens() {
        let docs = embeddings(&[9], 5);
        let one = TokenPooling { pool_factor: 50.0, protected_tokens: 1, normalize: false };
        let pooled = docs.pooled(one).unwrap().vectors.to_vec2::<f32>().unwrap();
        let rows = docs.vectors.to_vec2::<f32>().unwrap();
        assert_eq!((pooled.len(), &pooled[0]), (2, &rows[0]));
        for (column, mean) in pooled[1].iter().enumerate() {
            let expected: f32 = rows[1..].iter().map(|row| row[column]).sum::<f32>() / 8.0;
            assert!((mean - expected).abs() < 1e-6, "{mean} and {expected}");
        }
        let unit = docs.pooled(TokenPooling { normalize: true, ..one }).unwrap().vectors.to_vec2::<f32>().unwrap();
        assert!((unit[1].iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn errors() {
        let docs = embeddings(&[3], 2);
        let message = |pool_factor| docs.pooled(TokenPooling { pool_factor, ..Default::default() }).unwrap_err();
        assert_eq!(message(0.5).to_string(), "pool_factor = 0.5: expected at least 1, which keeps all vectors");
        assert!(message(f64::NAN).to_string().starts_with("pool_factor = NaN"));
        let rows = Tensor::new(&[[f32::NAN, 0.0], [1.0, 0.0]], &Device::Cpu).unwrap();
        let broken = TokenEmbeddings::new(vec!["a".to_owned()], rows, vec![0, 2]).unwrap();
        assert!(broken.pooled(TokenPooling::default()).unwrap_err().to_string().contains("NaN"));
    }
}
