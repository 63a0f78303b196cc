//! Search structures: built once from a corpus, then `search(queries, k)` gives a [`Run`].

mod array;
mod bm25;
mod by_text;
mod embeddings;
mod file;
mod flat;
mod found;
mod hnsw;
mod hybrid;
mod ids;
mod late;
mod neighbours;
mod postings;
mod shards;
mod sparse;
mod strings;
mod top;

use std::fmt;
use std::sync::Arc;

use crate::Result;
use crate::data::Queries;
use crate::eval::Run;
use crate::model::{Embeddings, SparseEmbeddings, TokenEmbeddings};

pub use bm25::{Bm25, Bm25Params, Bm25Variant, Explanation, TermScore};
pub use by_text::{QueryEncoder, TextIndex};
pub use flat::{FlatConfig, FlatIndex, FlatPrecision};
pub use found::Found;
pub use hnsw::{HnswConfig, HnswIndex};
pub use hybrid::{Hybrid, HybridConfig};
pub use late::{LateConfig, LateIndex, LateSearch};
pub use neighbours::{
    CommunityConfig, ParaphraseConfig, ScoredPair, community_detection, paraphrase_mining, semantic_search,
};
pub use shards::{Shard, encode_shard};
pub use sparse::SparseIndex;

/// What finds documents for queries.
///
/// ```
/// use kensaku::index::{Bm25, Index};
/// use kensaku::data::{Corpus, Queries};
/// use kensaku::eval::Run;
/// # use kensaku::polars::prelude::*;
///
/// fn first(index: &impl Index<Queries = Queries>, text: &str) -> kensaku::Result<Run> {
///     index.search(&Queries::from_texts([text])?, 1)
/// }
///
/// let corpus = Corpus::new(df!("doc_id" => ["a", "b"], "text" => ["Cats purr.", "Dogs bark."])?)?;
/// let bm25 = Bm25::new(&corpus, kensaku::index::Bm25Params::default())?;
/// assert!(first(&bm25, "a cat")?.hits("1").doc_ids().eq(["a"]));
/// # Ok::<(), kensaku::Error>(())
/// ```
pub trait Index: fmt::Debug + Send + Sync {
    /// What is asked: [`Queries`] of an index of words,
    /// [`Embeddings`] of one of vectors.
    type Queries: ?Sized;

    /// The best `k` documents for each query, fewer if there are not as many. Of equal scores the document whose id comes later
    /// (in bytes) is first, as in trec_eval.
    fn search(&self, queries: &Self::Queries, k: usize) -> Result<Run>;

    /// The number of documents.
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For a list of several, as that of [`Hybrid::new`].
    fn boxed(self) -> Box<dyn Index<Queries = Self::Queries>>
    where
        Self: Sized + 'static,
    {
        Box::new(self)
    }
}

/// The methods of the same names as the trait.
macro_rules! indexes {
    ($($index:ty: $queries:ty),*) => {
        $(impl Index for $index {
            type Queries = $queries;

            fn search(&self, queries: &$queries, k: usize) -> Result<Run> {
                <$index>::search(self, queries, k)
            }

            fn len(&self) -> usize {
                <$index>::len(self)
            }
        })*
    };
}

indexes!(
    Bm25: Queries,
    FlatIndex: Embeddings,
    HnswIndex: Embeddings,
    LateIndex: TokenEmbeddings,
    SparseIndex: SparseEmbeddings
);

macro_rules! pointers {
    ($($pointer:ty),*) => {
        $(impl<I: Index + ?Sized> Index for $pointer {
            type Queries = I::Queries;

            fn search(&self, queries: &I::Queries, k: usize) -> Result<Run> {
                (**self).search(queries, k)
            }

            fn len(&self) -> usize {
                (**self).len()
            }
        })*
    };
}

pointers!(&I, Box<I>, Arc<I>);
