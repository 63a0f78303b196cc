//! Search with a vector per token.

mod build;
mod codec;
mod config;
mod docs;
mod exact;
mod file;
mod kmeans;
mod search;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::array::Array;
use super::ids;
use crate::eval::{DocIds, Run};
use crate::loss::check_rows;
use crate::model::TokenEmbeddings;
use crate::show::progress;
use crate::{Error, Result};

use build::Coded;
use docs::Docs;

pub use config::{LateConfig, LateSearch};

/// Search with a vector per token, those of a [`ColBert`](crate::model::ColBert): the score of a document is MaxSim,
/// `sum_t max_u q_t · d_u`, see [`max_sim`](crate::loss::max_sim).
///
/// With [`LateConfig::EXACT`] a query is compared with every token of every document; the matrix of these products is never in
/// memory. By default the index is PLAID's (Santhanam et al., "PLAID: an efficient engine for late interaction retrieval", CIKM
/// 2022): k-means gives centroids, and a vector is kept as the number of the nearest one and 4 bits for each number that it
/// differs by, an eighth of its size. A search looks at the documents with a token near a centroid that is near a token of the
/// query, compares them with centroids in the place of their vectors, and scores the best of them from their codes
/// ([`LateSearch`]).
///
/// ```
/// use kensaku::index::{LateConfig, LateIndex};
/// use kensaku::model::TokenEmbeddings;
/// # use kensaku::candle_core::{Device, Tensor};
///
/// // Documents of two tokens and of one.
/// let vectors = Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8], [0.0, 1.0]], &Device::Cpu)?;
/// let docs = TokenEmbeddings::new(vec!["a".into(), "b".into()], vectors, vec![0, 2, 3])?;
/// let index = LateIndex::new(&docs, LateConfig::EXACT)?;
/// let run = index.search(&docs, 1)?;
/// assert!(run.hits("a").doc_ids().eq(["a"]) && run.hits("a").scores() == [2.0]);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub struct LateIndex {
    config: LateConfig,
    /// Sorted, see [`ids`].
    doc_ids: Arc<DocIds>,
    /// Where the tokens of each document end.
    ends: Array<u64>,
    width: usize,
    tokens: Tokens,
}

/// The vectors of tokens, document by document.
enum Tokens {
    /// `(tokens, width)`
    Exact(Array<f32>),
    Coded(Box<Coded>),
}

impl LateIndex {
    /// Indexes the vectors of documents, with all threads and progress. The result does not depend on the number of threads.
    ///
    /// Errors: settings out of range; bounds that do not cut the vectors into one text per id, or an id twice; a vector with NaN or
    /// infinity, or too long for products in f32; an interrupt.
    pub fn new(docs: &TokenEmbeddings, config: LateConfig) -> Result<Self> {
        config.check()?;
        let vectors = prepare("document", docs)?;
        let (doc_ids, order) = ids::sorted(&docs.ids)?;
        let width = docs.vectors.dim(1)?;
        let docs = Docs { vectors: &vectors, bounds: &docs.bounds, width, order: &order };
        let tokens = match config.nbits {
            Some(bits) => Tokens::Coded(Box::new(Coded::new(&docs, bits, &config)?)),
            None => Tokens::Exact(docs.gathered(0..docs.len()).into()),
        };
        Ok(Self { config, doc_ids, ends: docs.ends().into(), width, tokens })
    }

    /// The same index, which searches with other settings.
    pub fn with_search(mut self, search: LateSearch) -> Result<Self> {
        search.check()?;
        self.config.search = search;
        Ok(self)
    }

    /// The `k` best documents for every query, ties in trec_eval's order. In codes, fewer if fewer were looked at; as they are, a
    /// document without vectors has the score 0.
    ///
    /// Errors as for [`new`](Self::new), and for vectors of another width than the documents'.
    pub fn search(&self, queries: &TokenEmbeddings, k: usize) -> Result<Run> {
        let vectors = prepare("query", queries)?;
        if queries.vectors.dim(1)? != self.width {
            return Err(Error::Shape {
                what: "query vectors".to_owned(),
                found: format!("{:?}", queries.vectors.dims()),
                expected: format!("(tokens, {}) as the documents have", self.width),
            });
        }
        let bar = progress("searching", Some(queries.len()));
        let hits = match &self.tokens {
            Tokens::Exact(tokens) => exact::search(self, tokens, (&queries.ids, &vectors, &queries.bounds), k, &bar)?,
            Tokens::Coded(coded) => search::search(self, coded, (&vectors, &queries.bounds), k, &bar)?,
        };
        let mut run = Run::of_index(&self.doc_ids);
        for (query_id, hits) in queries.ids.iter().zip(hits) {
            run.insert_ranked(query_id, hits);
        }
        Ok(run)
    }

    /// The number of documents.
    pub fn len(&self) -> usize {
        self.doc_ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.doc_ids.is_empty()
    }

    /// The settings of the index.
    pub fn config(&self) -> &LateConfig {
        &self.config
    }

    /// The tokens of documents: where each begins, and the end of the last.
    fn bounds(&self, docs: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
        let start = if docs.start == 0 { 0 } else { self.ends[docs.start - 1] };
        std::iter::once(start).chain(self.ends[docs].iter().copied()).map(|bound| bound as usize)
    }
}

impl fmt::Debug for LateIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (docs, tokens, width) = (self.len(), self.ends.last().copied().unwrap_or(0), self.width);
        write!(f, "LateIndex {{ documents: {docs}, tokens: {tokens}, width: {width}")?;
        if let Tokens::Coded(coded) = &self.tokens {
            let codec = &coded.codec;
            write!(f, ", centroids: {}, bits: {}", codec.centroids.len() / width, codec.bits)?;
        }
        f.write_str(" }")
    }
}

/// The vectors in f32, of which all products are numbers.
fn prepare(kind: &'static str, embeddings: &TokenEmbeddings) -> Result<Vec<f32>> {
    let TokenEmbeddings { ids, vectors, bounds } = embeddings;
    let vectors = vectors.detach().to_dtype(DType::F32)?;
    check_rows(kind, &vectors, bounds)?;
    if bounds.len() != ids.len() + 1 {
        // The fields are public: one of them may have been changed without the other.
        TokenEmbeddings::new(ids.clone(), Tensor::clone(&vectors), bounds.clone())?;
    }
    let width = vectors.dim(1)?;
    let values = vectors.flatten_all()?.to_vec1::<f32>()?;
    for (id, ends) in ids.iter().zip(bounds.windows(2)) {
        let rows = values[ends[0] * width..ends[1] * width].chunks_exact(width);
        if rows.map(|row| row.iter().map(|value| value * value).sum::<f32>()).any(|square| !square.is_finite()) {
            let problem = "not finite, or too long for products in single precision".to_owned();
            return Err(Error::Vector { kind, id: id.clone(), problem });
        }
    }
    Ok(values)
}
