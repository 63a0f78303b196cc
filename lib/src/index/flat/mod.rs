//! Search that compares a query with every document.

mod compare;
mod config;
mod file;
mod nearest;
mod prepare;
pub(super) mod scan;
#[cfg(test)]
mod tests;
mod vectors;

use std::fmt;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use self::compare::{Numbers, Signs, rescore};
use self::scan::{NotANumber, Scanned, WINDOW};
use self::vectors::{Stored, Vectors};
use super::ids;
use crate::eval::{DocIds, Run};
use crate::model::Embeddings;
use crate::show::progress;
use crate::{Error, Result};

pub use config::{FlatConfig, FlatPrecision};
pub(super) use nearest::nearest;
pub(super) use prepare::{prepare, prepare_rows};

/// Compares a query with every document: exact in f32, the default, and the yardstick for approximate indexes. With fewer bits
/// a number it takes less memory, and gives up little ([`FlatPrecision`]).
///
/// ```
/// use kensaku::index::{FlatConfig, FlatIndex, FlatPrecision};
/// use kensaku::loss::Similarity;
/// use kensaku::model::Embeddings;
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let vectors = Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8]], &Device::Cpu)?;
/// let docs = Embeddings::new(vec!["a".into(), "b".into()], vectors)?;
/// let index = FlatIndex::new(docs.clone(), Similarity::Cosine)?;
/// let run = index.search(&docs, 1)?;
/// assert!(run.hits("b").doc_ids().eq(["b"]));
///
/// let small = FlatIndex::new(docs.clone(), FlatConfig { precision: FlatPrecision::Int8, ..Default::default() })?;
/// assert_eq!((index.bytes(), small.bytes()), (16, 4));
/// assert!(small.search(&docs, 1)?.hits("b").doc_ids().eq(["b"]));
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone)]
pub struct FlatIndex {
    /// Sorted by id: of equal scores the later row comes first, as in trec_eval.
    doc_ids: Arc<DocIds>,
    docs: Arc<Vectors>,
    /// What candidates are compared with once more, beside `docs`.
    finer: Option<Arc<Vectors>>,
    config: FlatConfig,
}

impl FlatIndex {
    /// Keeps the documents' vectors, normalised for cosine.
    ///
    /// Errors: vectors that are not one per id; a vector with NaN or infinity, or one too long for a cosine in f32; settings
    /// that do not go together; numbers that a precision does not hold.
    pub fn new(docs: Embeddings, config: impl Into<FlatConfig>) -> Result<Self> {
        let config = config.into();
        config.check()?;
        let vectors = prepare("document", &docs, config.similarity)?;
        let (doc_ids, order) = ids::sorted(&docs.ids)?;
        let vectors = vectors.index_select(&Tensor::new(order, &Device::Cpu)?, 0)?;
        let finer = config.rescore_with.map(|precision| Vectors::new(&vectors, precision)).transpose()?;
        Ok(Self {
            doc_ids,
            docs: Arc::new(Vectors::new(&vectors, config.precision)?),
            finer: finer.map(Arc::new),
            config,
        })
    }

    /// The `k` best documents for every query, ties in trec_eval's order.
    ///
    /// Errors as for [`FlatIndex::new`]; vectors of another width than the documents'; a score that is not a number, as
    /// sums of huge products may be.
    pub fn search(&self, queries: &Embeddings, k: usize) -> Result<Run> {
        let vectors = prepare("query", queries, self.config.similarity)?;
        if vectors.dim(1)? != self.docs.dim {
            return Err(Error::Shape {
                what: "query vectors".to_owned(),
                found: format!("{:?}", vectors.dims()),
                expected: format!("(n, {}) as the documents have", self.docs.dim),
            });
        }
        let bar = progress("searching", Some(queries.len()));
        let mut run = Run::of_index(&self.doc_ids);
        for start in (0..queries.len()).step_by(WINDOW) {
            let ids = &queries.ids[start..queries.len().min(start + WINDOW)];
            let best = self.best(vectors.narrow(0, start, ids.len())?, k)?;
            let best = best.map_err(|NotANumber { query, row }| {
                let problem = format!("of no use: its score for document `{}` is NaN", self.doc_ids[row]);
                Error::Vector { kind: "query", id: ids[query].clone(), problem }
            })?;
            for (query_id, hits) in ids.iter().zip(best) {
                run.insert_ranked(query_id.clone(), hits);
            }
            bar.inc(ids.len());
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

    /// The numbers of a vector.
    pub fn dim(&self) -> usize {
        self.docs.dim
    }

    /// The settings the index was built with.
    pub fn config(&self) -> &FlatConfig {
        &self.config
    }

    /// Bytes of all vectors that every search reads; those for rescoring alone are not among them.
    pub fn bytes(&self) -> usize {
        self.docs.bytes()
    }

    fn best(&self, queries: Tensor, k: usize) -> Result<Scanned> {
        let (docs, rows, similarity) = (&*self.docs, self.len(), self.config.similarity);
        let candidates = self.config.candidates(k);
        let depth = candidates.unwrap_or(k);
        let found = match &docs.codes {
            Stored::Binary(signs) => scan::best(&Signs::new(signs, rows, &queries, similarity)?, depth)?,
            _ => scan::best(&Numbers::new(docs, rows, queries.clone(), similarity)?, depth)?,
        };
        match (found, candidates) {
            (Ok(found), Some(_)) => rescore(self.finer.as_deref().unwrap_or(docs), &queries, similarity, found, k),
            (found, _) => Ok(found),
        }
    }
}

impl fmt::Debug for FlatIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FlatConfig { similarity, precision, .. } = self.config;
        let (docs, width) = (self.len(), self.dim());
        write!(f, "FlatIndex {{ documents: {docs}, width: {width}, similarity: {similarity:?}")?;
        match precision {
            FlatPrecision::F32 => write!(f, " }}"),
            precision => write!(f, ", precision: {precision:?} }}"),
        }
    }
}
