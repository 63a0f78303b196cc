//! Indexes of vectors, asked by texts: a model makes vectors of them.

use crate::Result;
use crate::data::Queries;
use crate::eval::Run;
use crate::model::{
    BiEncoder, ColBert, CustomModel, Embeddings, SparseEmbeddings, Splade, StaticEmbedding, TokenEmbeddings, TwoTowers,
};

use super::{Found, Index};

/// A model that makes of queries what an index of its vectors is asked.
///
/// ```
/// use kensaku::data::Corpus;
/// use kensaku::index::{FlatIndex, QueryEncoder};
/// use kensaku::model::BiEncoder;
/// # use kensaku::polars::prelude::*;
///
/// let corpus = Corpus::new(df!("doc_id" => ["a", "b"], "text" => ["Sorts a vector.", "Opens a file."])?)?;
/// let model = BiEncoder::tiny()?;
/// let index = FlatIndex::new(model.encode_docs(&corpus)?, model.config().similarity)?;
/// let found = model.search(&index, &["how do I sort a vector?"], 1)?.with_texts(&corpus)?;
/// assert_eq!(found.frame()?.column("text")?.str()?.get(0), Some("Sorts a vector."));
/// # Ok::<(), kensaku::Error>(())
/// ```
pub trait QueryEncoder: std::fmt::Debug + Send + Sync {
    /// What it makes of queries.
    type Encoded;

    fn encode_queries(&self, queries: &Queries) -> Result<Self::Encoded>;

    /// The `k` best documents for each text, from an index of this model's vectors.
    fn search<I, S>(&self, index: &I, texts: &[S], k: usize) -> Result<Found>
    where
        Self: Sized,
        I: Index<Queries = Self::Encoded> + ?Sized,
        S: AsRef<str>,
    {
        let queries = Queries::from_texts(texts.iter().map(AsRef::as_ref))?;
        let run = index.search(&self.encode_queries(&queries)?, k)?;
        Ok(Found::new(&queries, run))
    }

    /// The model with an index of its vectors: an index of texts.
    fn with_index<I: Index<Queries = Self::Encoded>>(self, index: I) -> TextIndex<Self, I>
    where
        Self: Sized,
    {
        TextIndex { model: self, index }
    }
}

/// A model with an index of its vectors, from [`QueryEncoder::with_index`]: asked by texts, as [`Bm25`](super::Bm25) is.
#[derive(Debug, Clone)]
pub struct TextIndex<M, I> {
    pub model: M,
    pub index: I,
}

impl<M: QueryEncoder, I: Index<Queries = M::Encoded>> Index for TextIndex<M, I> {
    type Queries = Queries;

    fn search(&self, queries: &Queries, k: usize) -> Result<Run> {
        self.index.search(&self.model.encode_queries(queries)?, k)
    }

    fn len(&self) -> usize {
        self.index.len()
    }
}

macro_rules! encoders {
    ($($model:ty: $encoded:ty),*) => {
        $(impl QueryEncoder for $model {
            type Encoded = $encoded;

            fn encode_queries(&self, queries: &Queries) -> Result<$encoded> {
                <$model>::encode_queries(self, queries)
            }
        })*
    };
}

encoders!(
    BiEncoder: Embeddings,
    ColBert: TokenEmbeddings,
    CustomModel: TokenEmbeddings,
    Splade: SparseEmbeddings,
    StaticEmbedding: Embeddings,
    TwoTowers: Embeddings
);

macro_rules! pointers {
    ($($pointer:ty),*) => {
        $(impl<M: QueryEncoder + ?Sized> QueryEncoder for $pointer {
            type Encoded = M::Encoded;

            fn encode_queries(&self, queries: &Queries) -> Result<M::Encoded> {
                (**self).encode_queries(queries)
            }
        })*
    };
}

pointers!(&M, std::sync::Arc<M>);
