//! The settings of a late-interaction index.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::expect;

/// How a [`LateIndex`](super::LateIndex) keeps the vectors of documents. The defaults are those of PyLate's PLAID indexes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LateConfig {
    /// Bits of each number of a residual, the difference between a vector and its centroid: 1, 2 or 4. With `None` vectors are
    /// kept as they are, and a search compares with all of them. 4 by default.
    pub nbits: Option<u8>,
    /// The number of centroids; by default the largest power of two that is at most `16 sqrt(n)`, where `n` is the number of
    /// vectors. There are no more than vectors to learn from.
    pub centroids: Option<usize>,
    /// Documents whose vectors centroids are learned from; by default `1 + 16 sqrt(120 n)` of `n`.
    #[doc(alias = "n_samples_kmeans")]
    pub sample: Option<usize>,
    /// Vectors for each centroid to learn it from, at most. 256 by default.
    pub max_points_per_centroid: usize,
    /// Iterations of k-means. 4 by default.
    #[doc(alias = "kmeans_niters")]
    pub kmeans_iterations: usize,
    /// 42 by default.
    pub seed: u64,
    pub search: LateSearch,
}

/// What a search in residual codes looks at. With the defaults it finds most of what is best; with `usize::MAX` for both numbers
/// everything is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LateSearch {
    /// Centroids for each token of a query: documents with a token near one of them are looked at. 8 by default.
    #[doc(alias = "n_ivf_probe", alias = "ncells")]
    pub nprobe: usize,
    /// Of these documents, those that are best when every token is replaced by its centroid: this many first by the centroids
    /// above the threshold, then a fourth of them by all centroids. These, `k` at least, are scored from their codes. 8,192 by
    /// default.
    #[doc(alias = "n_full_scores")]
    pub ndocs: usize,
    /// Centroids whose score is below this for all tokens of a query do not count in the first of these selections. 0.35 by
    /// default.
    pub centroid_score_threshold: f32,
}

impl LateConfig {
    /// Vectors as they are, all of which are compared.
    pub const EXACT: Self = Self { nbits: None, ..Self::PLAID };
    /// The defaults.
    pub const PLAID: Self = Self {
        nbits: Some(4),
        centroids: None,
        sample: None,
        max_points_per_centroid: 256,
        kmeans_iterations: 4,
        seed: 42,
        search: LateSearch { nprobe: 8, ndocs: 8_192, centroid_score_threshold: 0.35 },
    };

    pub(super) fn check(&self) -> Result<()> {
        if let Some(bits) = self.nbits {
            expect("nbits", bits, "1, 2 or 4", matches!(bits, 1 | 2 | 4))?;
        }
        expect("centroids", self.centroids.unwrap_or(1), "at least 1", self.centroids != Some(0))?;
        expect("sample", self.sample.unwrap_or(1), "at least 1", self.sample != Some(0))?;
        expect(
            "max_points_per_centroid",
            self.max_points_per_centroid,
            "at least 1",
            self.max_points_per_centroid > 0,
        )?;
        self.search.check()
    }
}

impl LateSearch {
    pub(super) fn check(&self) -> Result<()> {
        expect("nprobe", self.nprobe, "at least 1", self.nprobe > 0)?;
        expect("ndocs", self.ndocs, "at least 1", self.ndocs > 0)?;
        let threshold = self.centroid_score_threshold;
        expect("centroid_score_threshold", threshold, "a finite number", threshold.is_finite())
    }
}

impl Default for LateConfig {
    fn default() -> Self {
        Self::PLAID
    }
}

impl Default for LateSearch {
    fn default() -> Self {
        LateConfig::PLAID.search
    }
}
