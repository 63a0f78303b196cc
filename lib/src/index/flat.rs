//! Exact search over vectors.

use std::fmt;

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use super::top::top_k;
use crate::eval::{Hit, Run};
use crate::loss::{Similarity, normalize};
use crate::model::Embeddings;
use crate::{Error, Result, interrupt};

/// Compares a query with every document: exact, and the yardstick for everything that is not.
///
/// ```
/// use kensaku::index::FlatIndex;
/// use kensaku::loss::Similarity;
/// use kensaku::model::Embeddings;
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let vectors = Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8]], &Device::Cpu)?;
/// let docs = Embeddings::new(vec!["a".into(), "b".into()], vectors)?;
/// let index = FlatIndex::new(docs.clone(), Similarity::Cosine)?;
/// let run = index.search(&docs, 1)?;
/// assert_eq!(run.hits("b")[0].doc_id, "b");
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone)]
pub struct FlatIndex {
    /// By id, so that of equal scores the later row is first in trec_eval's order.
    doc_ids: Vec<String>,
    /// `(dim, n)`
    vectors: Tensor,
    similarity: Similarity,
}

/// Scores that one round holds: 64 MiB.
const SCORES: usize = 1 << 24;

impl FlatIndex {
    /// Keeps the documents' vectors, normalised for cosine.
    pub fn new(docs: Embeddings, similarity: Similarity) -> Result<Self> {
        let mut order: Vec<u32> = (0..docs.len() as u32).collect();
        order.sort_by(|a, b| docs.ids[*a as usize].as_bytes().cmp(docs.ids[*b as usize].as_bytes()));
        let doc_ids = order.iter().map(|row| docs.ids[*row as usize].clone()).collect();
        let rows = Tensor::new(order, docs.vectors.device())?;
        let vectors = prepare(&docs.vectors, similarity)?.index_select(&rows, 0)?.t()?;
        Ok(Self { doc_ids, vectors, similarity })
    }

    /// The `k` best documents of every query, in trec_eval's order of ties.
    pub fn search(&self, queries: &Embeddings, k: usize) -> Result<Run> {
        let vectors = prepare(&queries.vectors, self.similarity)?;
        if vectors.dim(1)? != self.vectors.dim(0)? {
            return Err(Error::Shape {
                what: "query vectors".to_owned(),
                found: format!("{:?}", vectors.dims()),
                expected: format!("(n, {}) as the documents have", self.vectors.dim(0)?),
            });
        }
        let mut run = Run::new();
        let rows = (SCORES / self.len().max(1)).clamp(1, 1_024);
        for start in (0..queries.len()).step_by(rows) {
            interrupt::check("search")?;
            let count = rows.min(queries.len() - start);
            let scores = vectors.narrow(0, start, count)?.matmul(&self.vectors)?.to_vec2::<f32>()?;
            let hits: Vec<Vec<Hit>> = scores.par_iter().map(|scores| self.hits(scores, k)).collect();
            for (query_id, hits) in queries.ids[start..].iter().zip(hits) {
                run.insert(query_id.clone(), hits);
            }
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

    fn hits(&self, scores: &[f32], k: usize) -> Vec<Hit> {
        let hit =
            |(row, score): (u32, f32)| Hit { doc_id: self.doc_ids[row as usize].clone(), score: f64::from(score) };
        top_k(scores, k, f32::NEG_INFINITY).into_iter().map(hit).collect()
    }
}

impl fmt::Debug for FlatIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (docs, width) = (self.len(), self.vectors.dims()[0]);
        write!(f, "FlatIndex {{ documents: {docs}, width: {width}, similarity: {:?} }}", self.similarity)
    }
}

/// Detached f32 rows, of length 1 for cosine.
fn prepare(vectors: &Tensor, similarity: Similarity) -> Result<Tensor> {
    let vectors = vectors.detach().to_dtype(DType::F32)?;
    match similarity {
        Similarity::Cosine => normalize(&vectors),
        Similarity::Dot => Ok(vectors),
    }
}
