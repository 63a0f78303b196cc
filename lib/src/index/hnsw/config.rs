//! The settings of a graph of vectors.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::expect;
use crate::loss::Similarity;

/// How an [`HnswIndex`](super::HnswIndex) is built, and searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HnswConfig {
    /// How vectors are compared. Cosine by default.
    pub similarity: Similarity,
    /// Neighbours of a vector at most, on all levels but the lowest, which has twice as many; 2 to 1,000. 32 by default, as with
    /// faiss.
    pub m: usize,
    /// Vectors that are nearest so far among which the neighbours of a new one are chosen: with more, the graph is better and takes
    /// longer to build. 200 by default.
    pub ef_construction: usize,
    /// Vectors that are nearest so far which a search keeps, at least `k`: with more, it finds more and takes longer. 100 by default.
    pub ef_search: usize,
    /// Of the levels, and of the order in which vectors come. 42 by default.
    pub seed: u64,
}

impl HnswConfig {
    pub(super) fn check(&self) -> Result<()> {
        expect("m", self.m, "2 to 1000", (2..=1_000).contains(&self.m))?;
        expect("ef_construction", self.ef_construction, "at least 1", self.ef_construction > 0)?;
        expect("ef_search", self.ef_search, "at least 1", self.ef_search > 0)
    }
}

impl Default for HnswConfig {
    fn default() -> Self {
        Self { similarity: Similarity::Cosine, m: 32, ef_construction: 200, ef_search: 100, seed: 42 }
    }
}

impl From<Similarity> for HnswConfig {
    fn from(similarity: Similarity) -> Self {
        Self { similarity, ..Self::default() }
    }
}
