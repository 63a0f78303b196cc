//! Search in a graph of vectors.

mod build;
mod codes;
mod compare;
mod config;
mod file;
mod graph;
mod prefetch;
#[cfg(test)]
mod tests;
mod walk;

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

use super::array::Array;
use super::flat::prepare;
use super::ids;
use crate::eval::{DocIds, Run};
use crate::loss::Similarity;
use crate::model::Embeddings;
use crate::nn::prefer_large_pages;
use crate::show::progress;
use crate::{Error, Result, interrupt};

use codes::Codes;
use compare::{Vectors, doc};
use graph::Graph;
use walk::{Scratch, Walk};

pub use config::HnswConfig;

/// Approximate search in a hierarchical navigable small world (Malkov and Yashunin, "Efficient and robust approximate nearest
/// neighbor search using hierarchical navigable small world graphs", TPAMI 2020): a graph of vectors that are near each other, on
/// several levels of which the higher ones have fewer vectors. A query walks from neighbour to neighbour towards what is near it,
/// so that it is compared with few vectors. It finds most of what [`FlatIndex`](super::FlatIndex) finds, with the same scores.
///
/// The graph is built with all threads, and the same with any number of them.
///
/// ```
/// use kensaku::index::HnswIndex;
/// use kensaku::loss::Similarity;
/// use kensaku::model::Embeddings;
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let vectors = Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8]], &Device::Cpu)?;
/// let docs = Embeddings::new(vec!["a".into(), "b".into()], vectors)?;
/// let index = HnswIndex::new(&docs, Similarity::Cosine)?;
/// let run = index.search(&docs, 1)?;
/// assert!(run.hits("b").doc_ids().eq(["b"]));
/// # Ok::<(), kensaku::Error>(())
/// ```
pub struct HnswIndex {
    config: HnswConfig,
    /// Sorted, see [`ids`].
    doc_ids: Arc<DocIds>,
    width: usize,
    /// `(n, width)`
    vectors: Array<f32>,
    /// The same in fewer bits, to walk by; what is found is compared again.
    codes: Option<Codes>,
    graph: Graph,
}

impl HnswIndex {
    /// Indexes vectors, of length 1 for cosine. Settings are a [`HnswConfig`], or a [`Similarity`] with the defaults of all others.
    ///
    /// Errors: settings out of range; vectors that are not one per id; a vector with NaN or infinity, or one whose square exceeds
    /// single precision; an interrupt.
    pub fn new(docs: &Embeddings, config: impl Into<HnswConfig>) -> Result<Self> {
        let config = config.into();
        config.check()?;
        let (values, width) = values("document", docs, config.similarity)?;
        let (doc_ids, order) = ids::sorted(&docs.ids)?;
        let mut vectors = Vec::with_capacity(values.len());
        prefer_large_pages(vectors.spare_capacity_mut());
        order.iter().for_each(|row| vectors.extend_from_slice(&values[*row as usize * width..][..width]));
        drop(values);
        let codes = has_codes(config.similarity, width).then(|| Codes::new(&vectors, width));
        let compared = Vectors::new(&vectors, width, config.similarity, codes.as_ref());
        let graph = build::build(compared, doc_ids.len(), &config)?;
        Ok(Self { config, doc_ids, width, vectors: vectors.into(), codes, graph })
    }

    /// The same index, which keeps another number of vectors in a search: with more, it finds more and takes longer.
    pub fn with_ef_search(mut self, ef_search: usize) -> Result<Self> {
        let config = HnswConfig { ef_search, ..self.config };
        config.check()?;
        self.config = config;
        Ok(self)
    }

    /// The `k` best documents that are found for every query, in parallel over the queries; ties in trec_eval's order.
    ///
    /// Errors as for [`new`](Self::new), and for vectors of another width than the documents'.
    pub fn search(&self, queries: &Embeddings, k: usize) -> Result<Run> {
        let (values, width) = values("query", queries, self.config.similarity)?;
        if width != self.width {
            return Err(Error::Shape {
                what: "query vectors".to_owned(),
                found: format!("{:?}", queries.vectors.dims()),
                expected: format!("(n, {}) as the documents have", self.width),
            });
        }
        let mut run = Run::of_index(&self.doc_ids);
        let bar = progress("searching", Some(queries.len()));
        let vectors = Vectors::new(&self.vectors, width, self.config.similarity, self.codes.as_ref());
        let walk = Walk::new(vectors, &self.graph);
        let ef = self.config.ef_search.max(k).min(self.len());
        let hits = (0..queries.len()).into_par_iter().map_init(
            || (Scratch::new(self.len()), Vec::new(), Vec::new()),
            |(scratch, buffer, near), query| {
                interrupt::check("searching")?;
                bar.inc(1);
                if self.is_empty() {
                    return Ok(Vec::new());
                }
                let vector = vectors.other(&values[query * width..][..width], buffer);
                let start = walk.descend(vector, 0, scratch);
                let mut found = walk.nearest(vector, start, ef, 0, scratch);
                if !vectors.is_exact() {
                    let docs: Vec<u32> = found.iter().map(|near| doc(*near)).collect();
                    vectors.exact(vector, &docs, near);
                    near.sort_unstable_by(|a, b| b.cmp(a));
                    found = near;
                }
                Ok(found.iter().take(k).map(|near| vectors.hit(*near)).collect::<Vec<_>>())
            },
        );
        for (query_id, hits) in queries.ids.iter().zip(hits.collect::<Result<Vec<_>>>()?) {
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
    pub fn config(&self) -> &HnswConfig {
        &self.config
    }
}

impl fmt::Debug for HnswIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (docs, width, config) = (self.len(), self.width, &self.config);
        write!(f, "HnswIndex {{ documents: {docs}, width: {width}, config: {config:?} }}")
    }
}

/// Whether a walk goes by codes.
fn has_codes(similarity: Similarity, width: usize) -> bool {
    similarity != Similarity::Manhattan && (1..=Codes::WIDEST).contains(&width)
}

/// Row-major numbers of which all comparisons are numbers, and their width.
fn values(kind: &'static str, embeddings: &Embeddings, similarity: Similarity) -> Result<(Vec<f32>, usize)> {
    // Vectors whose squares are finite have finite products, too.
    let checked = if similarity == Similarity::Cosine { similarity } else { Similarity::Euclidean };
    let vectors = prepare(kind, embeddings, checked)?;
    let width = vectors.dim(1)?;
    Ok((vectors.flatten_all()?.to_vec1()?, width))
}
