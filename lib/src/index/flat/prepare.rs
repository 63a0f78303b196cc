//! Vectors as they are compared.

use candle_core::{DType, Tensor};

use crate::loss::{Similarity, normalize};
use crate::model::Embeddings;
use crate::{Error, Result};

/// Detached f32 rows, of length 1 for cosine; all of their numbers are finite.
pub(in crate::index) fn prepare(kind: &'static str, embeddings: &Embeddings, similarity: Similarity) -> Result<Tensor> {
    let Embeddings { ids, vectors } = embeddings;
    // The fields are public: one of them may have been changed without the other.
    if vectors.dims2().ok().is_none_or(|(rows, _)| rows != ids.len()) {
        Embeddings::new(ids.clone(), vectors.clone())?;
    }
    prepared(vectors, similarity, |row, problem| Error::Vector { kind, id: ids[row].clone(), problem })
}

/// The same of vectors without ids.
pub(in crate::index) fn prepare_rows(vectors: &Tensor, similarity: Similarity) -> Result<Tensor> {
    if vectors.rank() != 2 {
        return Err(Error::Shape {
            what: "vectors".to_owned(),
            found: format!("{:?}", vectors.dims()),
            expected: "(n, dim)".to_owned(),
        });
    }
    prepared(vectors, similarity, |row, problem| Error::Vector { kind: "row", id: row.to_string(), problem })
}

fn prepared(vectors: &Tensor, similarity: Similarity, error: impl Fn(usize, String) -> Error) -> Result<Tensor> {
    let vectors = vectors.detach().to_dtype(DType::F32)?;
    // 0 times a number that is not finite is NaN; a row's square is infinite where its length has no meaning in f32.
    let (sums, problem) = match similarity {
        Similarity::Cosine => (vectors.sqr()?, "not finite, or too long for a cosine in single precision"),
        Similarity::Euclidean => (vectors.sqr()?, "not finite, or too long for a distance in single precision"),
        Similarity::Dot | Similarity::Manhattan => ((&vectors * 0.0)?, "not finite"),
    };
    if let Some(row) = sums.sum(1)?.to_vec1::<f32>()?.iter().position(|sum| !sum.is_finite()) {
        return Err(error(row, problem.to_owned()));
    }
    match similarity {
        Similarity::Cosine => normalize(&vectors),
        Similarity::Dot | Similarity::Euclidean | Similarity::Manhattan => Ok(vectors),
    }
}
