//! How exact a flat index is.

use serde::{Deserialize, Serialize};

use crate::error::expect;
use crate::loss::Similarity;
use crate::{Error, Result};

/// The settings of a [`FlatIndex`](super::FlatIndex). A [`Similarity`] alone converts to `FlatConfig { similarity, .. }`.
///
/// ```
/// use kensaku::index::{FlatConfig, FlatPrecision};
/// // A bit a dimension in memory; the best are compared once more by numbers of a byte.
/// let config = FlatConfig {
///     precision: FlatPrecision::Binary,
///     rescore_with: Some(FlatPrecision::Int8),
///     ..Default::default()
/// };
/// # assert_eq!(config.rescore_multiplier, 4);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlatConfig {
    /// How queries and documents are compared. Default cosine.
    pub similarity: Similarity,
    /// How the numbers of documents are kept. Default f32.
    pub precision: FlatPrecision,
    /// Of how many candidates for each hit the scores are computed once more, with the numbers of the query as they are; 0 for
    /// none. What is not binary is only rescored if `rescore_with` says by what. Default 4: of 20,000 clustered vectors of 384
    /// dimensions, signs rescored with f32 found 0.96 of the 10 nearest with 2, and all with 4; rescored by themselves 0.70.
    pub rescore_multiplier: usize,
    /// Numbers that are kept beside the others, for rescoring alone: of an index that is mapped from a file, memory holds
    /// those of candidates. Default none: binary vectors are rescored by themselves, as -1 and 1.
    pub rescore_with: Option<FlatPrecision>,
}

/// How the numbers of vectors are kept. Scores are sums in f32 of the query's numbers with these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlatPrecision {
    /// A bit: the sign, for cosine and dot product alone. The query's signs are compared with the document's, 64 at a time.
    Binary,
    /// A byte: the middle of one of 256 steps between the least and the greatest number of the dimension.
    Int8,
    /// Two bytes: the nearest number of half precision, to 3 digits.
    F16,
    /// Four bytes: as it is.
    #[default]
    F32,
}

impl Default for FlatConfig {
    fn default() -> Self {
        Self {
            similarity: Similarity::Cosine,
            precision: FlatPrecision::F32,
            rescore_multiplier: 4,
            rescore_with: None,
        }
    }
}

impl From<Similarity> for FlatConfig {
    fn from(similarity: Similarity) -> Self {
        Self { similarity, ..Self::default() }
    }
}

impl FlatConfig {
    pub(super) fn check(&self) -> Result<()> {
        let Self { similarity, precision, rescore_with, .. } = *self;
        if precision == FlatPrecision::Binary {
            let expected = "cosine or dot product, as signs tell nothing of a distance";
            let angle = matches!(similarity, Similarity::Cosine | Similarity::Dot);
            expect("similarity", format!("{similarity:?}"), expected, angle)?;
        }
        match rescore_with {
            Some(finer) if finer <= precision => Err(Error::Setting {
                field: "rescore_with",
                value: format!("{finer:?}"),
                expected: format!("a precision above {precision:?}, that of the index"),
            }),
            _ => Ok(()),
        }
    }

    /// How many candidates are rescored for `k` hits, if any are.
    pub(super) fn candidates(&self, k: usize) -> Option<usize> {
        let rescored = self.precision == FlatPrecision::Binary || self.rescore_with.is_some();
        (rescored && self.rescore_multiplier > 0).then(|| k.saturating_mul(self.rescore_multiplier))
    }
}
