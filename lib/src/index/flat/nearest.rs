//! Exact search by rows, for vectors without ids.

use candle_core::{Device, Tensor};

use super::FlatPrecision;
use super::compare::Numbers;
use super::prepare::prepare_rows;
use super::scan::{self, NotANumber, WINDOW};
use super::vectors::Vectors;
use crate::loss::Similarity;
use crate::model::Ranked;
use crate::show::progress;
use crate::{Error, Result};

/// The `k` best rows of `docs` for each row of `queries`, which are told one after the other; of equal scores the earlier row
/// is first.
pub(in crate::index) fn nearest(
    queries: &Tensor,
    docs: &Tensor,
    similarity: Similarity,
    k: usize,
    mut told: impl FnMut(usize, Vec<Ranked>) -> Result<()>,
) -> Result<()> {
    let (queries, docs) = (prepare_rows(queries, similarity)?, prepare_rows(docs, similarity)?);
    let ((count, dim), rows) = (queries.dims2()?, docs.dim(0)?);
    if dim != docs.dim(1)? {
        let (found, expected) =
            (format!("{:?}", queries.dims()), format!("(n, {}) as the documents have", docs.dim(1)?));
        return Err(Error::Shape { what: "query vectors".to_owned(), found, expected });
    }
    // A scan prefers the later row.
    let backwards: Vec<u32> = (0..rows as u32).rev().collect();
    let docs = docs.index_select(&Tensor::new(backwards, &Device::Cpu)?, 0)?;
    let docs = Vectors::new(&docs, FlatPrecision::F32)?;
    let bar = progress("searching", Some(count));
    for start in (0..count).step_by(WINDOW) {
        let window = queries.narrow(0, start, WINDOW.min(count - start))?;
        let found = scan::best(&Numbers::new(&docs, rows, window, similarity)?, k)?;
        let found = found.map_err(|NotANumber { query, row }| {
            let problem = format!("of no use: its score for row {} is NaN", rows - 1 - row);
            Error::Vector { kind: "query", id: (start + query).to_string(), problem }
        })?;
        for (query, hits) in (start..).zip(found) {
            let hits = hits.into_iter().map(|(row, score)| Ranked { index: rows - 1 - row as usize, score });
            told(query, hits.collect())?;
            bar.inc(1);
        }
    }
    Ok(())
}
