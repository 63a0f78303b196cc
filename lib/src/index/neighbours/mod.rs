//! What is near to what, by vectors without ids.

mod communities;
mod paraphrases;

use candle_core::Tensor;

use super::flat;
use crate::Result;
use crate::loss::Similarity;
use crate::model::Ranked;

pub use communities::{CommunityConfig, community_detection};
pub use paraphrases::{ParaphraseConfig, ScoredPair, paraphrase_mining};

/// The `k` best documents for each query, best first, by their rows: `(n, dim)` and `(m, dim)`. Of equal scores the earlier
/// row is first. [`FlatIndex`](super::FlatIndex) does the same for vectors with ids, for more than one call.
///
/// ```
/// use kensaku::index::semantic_search;
/// use kensaku::loss::Similarity;
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let docs = Tensor::new(&[[1.0f32, 0.0], [0.0, 1.0], [0.6, 0.8]], &Device::Cpu)?;
/// let queries = Tensor::new(&[[0.0f32, 2.0]], &Device::Cpu)?;
/// let hits = semantic_search(&queries, &docs, 2, Similarity::Cosine)?;
/// assert_eq!((hits[0][0].index, hits[0][0].score, hits[0][1].index), (1, 1.0, 2));
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// # Errors
/// For vectors of another width, or with numbers that are not finite.
pub fn semantic_search(queries: &Tensor, docs: &Tensor, k: usize, similarity: Similarity) -> Result<Vec<Vec<Ranked>>> {
    let mut all = Vec::new();
    flat::nearest(queries, docs, similarity, k, |_, hits| {
        all.push(hits);
        Ok(())
    })?;
    Ok(all)
}
