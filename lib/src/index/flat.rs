//! Exact search over vectors.

use std::fmt;

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use super::top::top_k;
use crate::eval::{Hit, Run};
use crate::loss::{Similarity, normalize};
use crate::model::Embeddings;
use crate::show::progress;
use crate::{Error, Result, interrupt};

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
/// assert_eq!(run.hits("b")[0].doc_id, "b");
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone)]
pub struct FlatIndex {
    /// Sorted by id: of equal scores the later row comes first, as in trec_eval.
    doc_ids: Vec<String>,
    /// `(dim, n)`
    vectors: Tensor,
    similarity: Similarity,
}

/// Scores that are held at a time: 64 MiB.
const SCORES: usize = 1 << 24;

impl FlatIndex {
    /// Keeps the documents' vectors, normalised for cosine.
    ///
    /// Errors: vectors that are not one per id; a vector with NaN or infinity, or one too long for a cosine in f32.
    pub fn new(docs: Embeddings, similarity: Similarity) -> Result<Self> {
        let vectors = prepare("document", &docs, similarity)?;
        let mut order: Vec<u32> = (0..docs.len() as u32).collect();
        order.sort_by(|a, b| docs.ids[*a as usize].as_bytes().cmp(docs.ids[*b as usize].as_bytes()));
        let doc_ids = order.iter().map(|row| docs.ids[*row as usize].clone()).collect();
        let rows = Tensor::new(order, docs.vectors.device())?;
        let vectors = vectors.index_select(&rows, 0)?.t()?;
        Ok(Self { doc_ids, vectors, similarity })
    }

    /// The `k` best documents for every query, ties in trec_eval's order.
    ///
    /// Errors as for [`FlatIndex::new`]; vectors of another width than the documents'; a score that is not a number, as
    /// sums of huge products may be.
    pub fn search(&self, queries: &Embeddings, k: usize) -> Result<Run> {
        let vectors = prepare("query", queries, self.similarity)?;
        if vectors.dim(1)? != self.vectors.dim(0)? {
            return Err(Error::Shape {
                what: "query vectors".to_owned(),
                found: format!("{:?}", vectors.dims()),
                expected: format!("(n, {}) as the documents have", self.vectors.dim(0)?),
            });
        }
        let bar = progress("searching", Some(queries.len()));
        let mut run = Run::new();
        let rows = (SCORES / self.len().max(1)).clamp(1, 1_024);
        for start in (0..queries.len()).step_by(rows) {
            interrupt::check("search")?;
            let count = rows.min(queries.len() - start);
            let part = vectors.narrow(0, start, count)?;
            let scores = match self.similarity {
                Similarity::Cosine | Similarity::Dot => part.matmul(&self.vectors)?,
                distance => distance.of(&part, &self.vectors.t()?)?,
            };
            let scores = scores.to_vec2::<f32>()?;
            let hits = scores.par_iter().zip(&queries.ids[start..]).map(|(scores, query)| self.hits(query, scores, k));
            let hits: Vec<Vec<Hit>> = hits.collect::<Result<_>>()?;
            for (query_id, hits) in queries.ids[start..].iter().zip(hits) {
                run.insert(query_id.clone(), hits);
            }
            bar.inc(count);
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

    fn hits(&self, query_id: &str, scores: &[f32], k: usize) -> Result<Vec<Hit>> {
        if let Some(row) = scores.iter().position(|score| score.is_nan()) {
            let problem = format!("of no use: its score for document `{}` is NaN", self.doc_ids[row]);
            return Err(Error::Vector { kind: "query", id: query_id.to_owned(), problem });
        }
        let hit =
            |(row, score): (u32, f32)| Hit { doc_id: self.doc_ids[row as usize].clone(), score: f64::from(score) };
        Ok(top_k(scores, k, f32::NEG_INFINITY).into_iter().map(hit).collect())
    }
}

impl fmt::Debug for FlatIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (docs, width) = (self.len(), self.vectors.dims()[0]);
        write!(f, "FlatIndex {{ documents: {docs}, width: {width}, similarity: {:?} }}", self.similarity)
    }
}

/// Detached f32 rows, of length 1 for cosine; all of their numbers are finite.
fn prepare(kind: &'static str, embeddings: &Embeddings, similarity: Similarity) -> Result<Tensor> {
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
    fn a_score_that_is_no_number_is_an_error_and_a_large_one_a_hit() {
        let index = FlatIndex::new(embeddings(&[[1e20, 1e20], [1.0, 1.0]]), Similarity::Dot).unwrap();
        let run = index.search(&embeddings(&[[1e20, 1.0]]), 2).unwrap();
        assert_eq!(run.hits("e0")[0], Hit { doc_id: "e0".to_owned(), score: f64::INFINITY });
        let message = index.hits("q", &[1.0, f32::NAN], 2).unwrap_err().to_string();
        assert_eq!(message, "the vector of query `q` is of no use: its score for document `e1` is NaN");
    }

    #[test]
    fn ids_that_were_changed_are_an_error() {
        let mut changed = embeddings(&[[1.0, 0.0], [0.0, 1.0]]);
        changed.ids.push("one more".to_owned());
        let index = FlatIndex::new(embeddings(&[[1.0, 0.0]]), Similarity::Dot).unwrap();
        for error in [index.search(&changed, 1).unwrap_err(), FlatIndex::new(changed, Similarity::Dot).unwrap_err()] {
            assert!(error.to_string().contains("[2, 2] for 3 ids"), "{error}");
        }
    }
}
