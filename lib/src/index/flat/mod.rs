//! Exact search over vectors.

pub(super) mod scan;

use std::fmt;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use self::scan::{Distances, NotANumber, Products, Scanned, WINDOW};
use super::{Index, ids};
use crate::eval::{DocIds, Run};
use crate::loss::{Similarity, normalize};
use crate::model::Embeddings;
use crate::nn::View;
use crate::show::progress;
use crate::{Error, Result};

/// Exact search: compares a query with every document. The yardstick for approximate indexes.
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
/// assert!(run.hits("b").doc_ids().eq(["b"]));
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone)]
pub struct FlatIndex {
    /// Sorted by id: of equal scores the later row comes first, as in trec_eval.
    doc_ids: Arc<DocIds>,
    /// `(n, dim)`
    vectors: Arc<[f32]>,
    dim: usize,
    similarity: Similarity,
}

impl FlatIndex {
    /// Keeps the documents' vectors, normalised for cosine.
    ///
    /// Errors: vectors that are not one per id; a vector with NaN or infinity, or one too long for a cosine in f32.
    pub fn new(docs: Embeddings, similarity: Similarity) -> Result<Self> {
        let vectors = prepare("document", &docs, similarity)?;
        let (doc_ids, order) = ids::sorted(&docs.ids)?;
        let (_, dim) = vectors.dims2()?;
        let rows = Tensor::new(order, &Device::Cpu)?;
        let vectors = vectors.index_select(&rows, 0)?.flatten_all()?.to_vec1::<f32>()?;
        Ok(Self { doc_ids, vectors: vectors.into(), dim, similarity })
    }

    /// The `k` best documents for every query, ties in trec_eval's order.
    ///
    /// Errors as for [`FlatIndex::new`]; vectors of another width than the documents'; a score that is not a number, as
    /// sums of huge products may be.
    pub fn search(&self, queries: &Embeddings, k: usize) -> Result<Run> {
        let vectors = prepare("query", queries, self.similarity)?;
        if vectors.dim(1)? != self.dim {
            return Err(Error::Shape {
                what: "query vectors".to_owned(),
                found: format!("{:?}", vectors.dims()),
                expected: format!("(n, {}) as the documents have", self.dim),
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

    fn best(&self, queries: Tensor, k: usize) -> Result<Scanned> {
        let (docs, dim, sizes) = (&*self.vectors, self.dim, (self.len(), queries.dim(0)?));
        match self.similarity {
            Similarity::Cosine | Similarity::Dot => {
                let queries = queries.flatten_all()?.to_vec1::<f32>()?;
                let (docs, queries) = (View::new(docs, sizes.0, dim), View::new(&queries, sizes.1, dim));
                scan::best(&Products { docs, queries, sizes }, k)
            }
            similarity => scan::best(&Distances { docs, queries, similarity, sizes }, k),
        }
    }
}

impl Index for FlatIndex {
    type Queries = Embeddings;

    fn search(&self, queries: &Embeddings, k: usize) -> Result<Run> {
        self.search(queries, k)
    }

    fn len(&self) -> usize {
        self.len()
    }
}

impl fmt::Debug for FlatIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (docs, width) = (self.len(), self.dim);
        write!(f, "FlatIndex {{ documents: {docs}, width: {width}, similarity: {:?} }}", self.similarity)
    }
}

/// Detached f32 rows, of length 1 for cosine; all of their numbers are finite.
pub(super) fn prepare(kind: &'static str, embeddings: &Embeddings, similarity: Similarity) -> Result<Tensor> {
    let Embeddings { ids, vectors } = embeddings;
    // The fields are public: one of them may have been changed without the other.
    if vectors.dims2().ok().is_none_or(|(rows, _)| rows != ids.len()) {
        Embeddings::new(ids.clone(), vectors.clone())?;
    }
    let vectors = vectors.detach().to_dtype(DType::F32)?;
    // 0 times a number that is not finite is NaN; a row's square is infinite where its length has no meaning in f32.
    let (sums, problem) = match similarity {
        Similarity::Cosine => (vectors.sqr()?, "not finite, or too long for a cosine in single precision"),
        Similarity::Euclidean => (vectors.sqr()?, "not finite, or too long for a distance in single precision"),
        Similarity::Dot | Similarity::Manhattan => ((&vectors * 0.0)?, "not finite"),
    };
    if let Some(row) = sums.sum(1)?.to_vec1::<f32>()?.iter().position(|sum| !sum.is_finite()) {
        return Err(Error::Vector { kind, id: ids[row].clone(), problem: problem.to_owned() });
    }
    match similarity {
        Similarity::Cosine => normalize(&vectors),
        Similarity::Dot | Similarity::Euclidean | Similarity::Manhattan => Ok(vectors),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::eval::Hit;

    fn embeddings(rows: &[[f32; 2]]) -> Embeddings {
        let ids = (0..rows.len()).map(|row| format!("e{row}")).collect();
        let vectors = Tensor::from_slice(rows.as_flattened(), (rows.len(), 2), &Device::Cpu).unwrap();
        Embeddings::new(ids, vectors).unwrap()
    }

    #[test]
    fn vectors_without_a_meaning_are_named() {
        for (similarity, odd) in [
            (Similarity::Cosine, f32::NAN),
            (Similarity::Cosine, f32::INFINITY),
            (Similarity::Cosine, 1e20),
            (Similarity::Dot, f32::NAN),
            (Similarity::Dot, f32::NEG_INFINITY),
            (Similarity::Euclidean, 1e20),
            (Similarity::Manhattan, f32::INFINITY),
        ] {
            let (good, bad) = (embeddings(&[[1.0, 0.0], [0.0, 1.0]]), embeddings(&[[1.0, 0.0], [0.5, odd]]));
            let message = FlatIndex::new(bad.clone(), similarity).unwrap_err().to_string();
            assert!(message.starts_with("the vector of document `e1` is not finite"), "{message}");
            let message = FlatIndex::new(good, similarity).unwrap().search(&bad, 2).unwrap_err().to_string();
            assert!(message.starts_with("the vector of query `e1` is not finite"), "{message}");
        }
    }

    #[test]
    fn a_score_that_is_too_large_is_a_hit() {
        let index = FlatIndex::new(embeddings(&[[1e20, 1e20], [1.0, 1.0]]), Similarity::Dot).unwrap();
        let run = index.search(&embeddings(&[[1e20, 1.0]]), 2).unwrap();
        assert_eq!(run.hits("e0").get(0), Some(Hit { doc_id: "e0", score: f64::INFINITY }));
    }

    #[test]
    fn ids_that_were_changed_are_an_error() {
        let mut same = embeddings(&[[1.0, 0.0], [0.0, 1.0]]);
        same.ids[1] = "e0".to_owned();
        let message = FlatIndex::new(same, Similarity::Dot).unwrap_err().to_string();
        assert_eq!(message, "embeddings: duplicate text id `e0` (rows 0 and 1)");
        let mut changed = embeddings(&[[1.0, 0.0], [0.0, 1.0]]);
        changed.ids.push("one more".to_owned());
        let index = FlatIndex::new(embeddings(&[[1.0, 0.0]]), Similarity::Dot).unwrap();
        for error in [index.search(&changed, 1).unwrap_err(), FlatIndex::new(changed, Similarity::Dot).unwrap_err()] {
            assert!(error.to_string().contains("[2, 2] for 3 ids"), "{error}");
        }
    }
}
