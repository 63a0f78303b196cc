//! MaxSim: late interaction between the tokens of queries and documents.

mod backward;
mod forward;
mod retrieved;

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Shape, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::expect;
use crate::{Error, Result};

pub(crate) use forward::block_max_sim;

/// How the matches of a query's tokens become its score with a document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interaction {
    /// The sum over the query's tokens (Khattab and Zaharia 2020): `sum_t max_u q_t · d_u`.
    #[default]
    Sum,
    /// Their mean, which does not grow with the length of the query.
    Mean,
    /// Of [`xtr_scores`], with the documents that are scored together; to train with, by [`XTR`](crate::loss::XTR).
    Xtr { k: usize },
}

impl Interaction {
    /// Every query with every document: `(B, D)`.
    pub(crate) fn scores(
        self,
        (queries, query_bounds): (&Tensor, &[usize]),
        (docs, doc_bounds): (&Tensor, &[usize]),
    ) -> Result<Tensor> {
        match self {
            Self::Xtr { k } => xtr_scores(queries, query_bounds, docs, doc_bounds, k),
            _ => self.of_sums(max_sim(queries, query_bounds, docs, doc_bounds)?, query_bounds),
        }
    }

    /// From the sums over the tokens of each query, a row per query.
    pub(super) fn of_sums(self, sums: Tensor, query_bounds: &[usize]) -> Result<Tensor> {
        if self != Self::Mean {
            return Ok(sums);
        }
        let share = |ends: &[usize]| 1.0 / (ends[1] - ends[0]).max(1) as f64;
        let shares: Vec<f64> = query_bounds.windows(2).map(share).collect();
        let rows = shares.len();
        let shares = Tensor::from_vec(shares, (rows, 1), sums.device())?.to_dtype(sums.dtype())?;
        Ok(sums.broadcast_mul(&shares)?)
    }
}

/// The score of every query with every document: `s_ij = sum_t max_u q_it · d_ju`, over the rows `q_it` of query `i` and
/// `d_ju` of document `j`. `(Tq, dim)`, `(Td, dim)` -> `(B, D)`.
///
/// `query_bounds` and `doc_bounds` tell where the rows of each text begin, and the end of the last: `B + 1` and `D + 1`
/// numbers. Of equal matches the first one gets the gradient. A text without rows scores 0, and one with NaN or infinity
/// scores NaN. Products are made by blocks: no matrix `(Tq, Td)` of the whole batch is in memory. In f32 or f64.
///
/// ```
/// use kensaku::loss::max_sim;
/// # use kensaku::candle_core::{Device, Tensor};
///
/// // A query of two tokens; documents of two tokens and of one.
/// let queries = Tensor::new(&[[1.0f32, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// let docs = Tensor::new(&[[0.6f32, 0.8], [1.0, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// let scores = max_sim(&queries, &[0, 2], &docs, &[0, 2, 3])?;
/// assert_eq!(scores.to_vec2::<f32>()?, [[1.8, 1.0]]);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn max_sim(queries: &Tensor, query_bounds: &[usize], docs: &Tensor, doc_bounds: &[usize]) -> Result<Tensor> {
    apply(queries, query_bounds, docs, doc_bounds, (false, None))
}

/// The score of every query with every document as XTR has it (Lee et al. 2023, eq. 5): each row of a query retrieves the
/// `k` tokens of all documents that it matches best, and others do not count. `s_ij` is the sum of the largest products
/// with retrieved tokens of document `j`, over the number of rows that have one; 0 without any. `(Tq, dim)`, `(Td, dim)`
/// -> `(B, D)`.
///
/// Of products that are equal to the `k`-th largest, all are retrieved. Values and gradients equal sentence-transformers
/// 6.2; PyLate divides by the number of positive products. Everything else as [`max_sim`], but for the products of a
/// query with all documents, `(tokens of the query, Td)`, which are in memory.
///
/// ```
/// use kensaku::loss::xtr_scores;
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let query = Tensor::new(&[[1.0f32, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// let docs = Tensor::new(&[[0.6f32, 0.8], [0.8, 0.6], [0.0, 1.0]], &Device::Cpu)?;
/// // Each token of the query retrieves one: 0.8 of the first document, 1 of the second.
/// let scores = xtr_scores(&query, &[0, 2], &docs, &[0, 2, 3], 1)?;
/// assert_eq!(scores.to_vec2::<f32>()?, [[0.8, 1.0]]);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn xtr_scores(
    queries: &Tensor,
    query_bounds: &[usize],
    docs: &Tensor,
    doc_bounds: &[usize],
    k: usize,
) -> Result<Tensor> {
    expect("k", k, "at least 1", k > 0)?;
    apply(queries, query_bounds, docs, doc_bounds, (false, Some(k)))
}

/// The same of query `i` with document `i` alone: `(Tq, dim)`, `(Td, dim)` -> `(B,)`.
///
/// ```
/// use kensaku::loss::{max_sim, pairwise_max_sim};
/// # use kensaku::candle_core::{Device, Tensor};
/// # let rows = Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8], [0.0, 1.0]], &Device::Cpu)?;
/// let bounds = [0, 1, 3];
/// let all = max_sim(&rows, &bounds, &rows, &bounds)?.to_vec2::<f32>()?;
/// let own = pairwise_max_sim(&rows, &bounds, &rows, &bounds)?.to_vec1::<f32>()?;
/// assert_eq!(own, [all[0][0], all[1][1]]);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn pairwise_max_sim(
    queries: &Tensor,
    query_bounds: &[usize],
    docs: &Tensor,
    doc_bounds: &[usize],
) -> Result<Tensor> {
    if query_bounds.len() != doc_bounds.len() {
        return Err(Error::Shape {
            what: "documents of a pairwise MaxSim".to_owned(),
            found: doc_bounds.len().saturating_sub(1).to_string(),
            expected: format!("{}, one per query", query_bounds.len().saturating_sub(1)),
        });
    }
    apply(queries, query_bounds, docs, doc_bounds, (true, None))
}

fn apply(
    queries: &Tensor,
    query_bounds: &[usize],
    docs: &Tensor,
    doc_bounds: &[usize],
    (pairwise, retrieved): (bool, Option<usize>),
) -> Result<Tensor> {
    check_rows("query", queries, query_bounds)?;
    check_rows("document", docs, doc_bounds)?;
    if queries.dim(1)? != docs.dim(1)? || queries.dtype() != docs.dtype() {
        let of = |rows: &Tensor| format!("{:?} {}", rows.dims(), rows.dtype().as_str());
        return Err(Error::Shape {
            what: "tokens of queries and documents".to_owned(),
            found: format!("{} and {}", of(queries), of(docs)),
            expected: "rows of one width and type".to_owned(),
        });
    }
    let op = MaxSim {
        query_bounds: query_bounds.to_vec(),
        doc_bounds: doc_bounds.to_vec(),
        pairwise,
        matches: (queries.track_op() || docs.track_op()).then(OnceLock::new),
        retrieved,
    };
    Ok(queries.contiguous()?.apply_op2(&docs.contiguous()?, op)?)
}

/// An error for bounds that do not cut the rows into texts.
pub(crate) fn check_rows(kind: &str, rows: &Tensor, bounds: &[usize]) -> Result<()> {
    let error = |what: &str, found: String, expected: String| {
        Err(Error::Shape { what: format!("{kind} {what}"), found, expected })
    };
    let &[count, width] = rows.dims() else {
        return error("tokens", format!("{:?}", rows.dims()), "(tokens, dim)".to_owned());
    };
    if !matches!(rows.dtype(), DType::F32 | DType::F64) || width == 0 {
        let found = format!("{:?} {}", rows.dims(), rows.dtype().as_str());
        return error("tokens", found, "rows of f32 or f64 with at least one number".to_owned());
    }
    if bounds.first() != Some(&0) || bounds.last() != Some(&count) || !bounds.is_sorted() {
        return error("bounds", format!("{bounds:?}"), format!("0 to {count}, rising"));
    }
    Ok(())
}

/// The operation.
struct MaxSim {
    query_bounds: Vec<usize>,
    doc_bounds: Vec<usize>,
    pairwise: bool,
    /// `k` of XTR.
    retrieved: Option<usize>,
    /// What a forward pass keeps, where a backward pass is to follow.
    matches: Option<OnceLock<Matches>>,
}

/// Which tokens made the scores.
struct Matches {
    /// The row of the document that each row of a query matches best: `(D, Tq)`, or `(Tq,)` of the pairwise scores.
    rows: Vec<u32>,
    /// The share of each row in a score, if it is not 1: `(B, D)`.
    shares: Vec<f64>,
}

/// The match of a row whose document has none.
const NONE: u32 = u32::MAX;

impl CustomOp2 for MaxSim {
    fn name(&self) -> &'static str {
        "max-sim"
    }

    fn cpu_fwd(
        &self,
        queries: &CpuStorage,
        query_layout: &Layout,
        docs: &CpuStorage,
        doc_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let width = query_layout.dims()[1];
        let scores = match (queries, docs) {
            (CpuStorage::F32(queries), CpuStorage::F32(docs)) => {
                let (queries, docs) = (rows(queries, query_layout)?, rows(docs, doc_layout)?);
                CpuStorage::F32(match self.retrieved {
                    Some(k) => self.retrieve(queries, docs, width, k, retrieved::blocked),
                    None => self.forward(queries, docs, width, forward::blocked),
                })
            }
            (CpuStorage::F64(queries), CpuStorage::F64(docs)) => {
                let (queries, docs) = (rows(queries, query_layout)?, rows(docs, doc_layout)?);
                CpuStorage::F64(match self.retrieved {
                    Some(k) => self.retrieve(queries, docs, width, k, retrieved::plain),
                    None => self.forward(queries, docs, width, forward::plain),
                })
            }
            _ => candle_core::bail!("max-sim of f32 or f64 only"),
        };
        Ok((scores, self.shape()))
    }

    fn bwd(
        &self,
        queries: &Tensor,
        docs: &Tensor,
        _scores: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(matches) = self.matches.as_ref().and_then(|matches| matches.get()) else {
            candle_core::bail!("max-sim: a backward pass without a forward pass that was to have one")
        };
        let (d_queries, d_docs) = match queries.dtype() {
            DType::F64 => self.backward::<f64>(queries, docs, gradient, matches)?,
            _ => self.backward::<f32>(queries, docs, gradient, matches)?,
        };
        Ok((Some(d_queries), Some(d_docs)))
    }
}

impl MaxSim {
    fn shape(&self) -> Shape {
        let (queries, docs) = (self.query_bounds.len() - 1, self.doc_bounds.len() - 1);
        if self.pairwise { queries.into() } else { (queries, docs).into() }
    }

    /// The queries that a document is scored with.
    fn queries_of(&self, doc: usize) -> std::ops::Range<usize> {
        if self.pairwise { doc..doc + 1 } else { 0..self.query_bounds.len() - 1 }
    }
}

fn rows<'a, T>(values: &'a [T], layout: &Layout) -> candle_core::Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => candle_core::bail!("max-sim of contiguous rows only"),
    }
}

#[cfg(test)]
mod tests;
