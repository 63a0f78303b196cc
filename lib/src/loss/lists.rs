//! The documents of each query as lists, for losses of their order.

use candle_core::{DType, Tensor};

use super::Batch;
use crate::{Error, Result};

/// The scores of one query's documents, and their labels if there are any.
pub(super) struct List {
    /// `(n,)`
    pub(super) scores: Tensor,
    pub(super) labels: Vec<f64>,
}

impl List {
    /// The places of the documents in the order of some numbers, the largest first. Of equal ones the earlier comes first.
    pub(super) fn order(numbers: &[f64]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..numbers.len()).collect();
        order.sort_by(|a, b| numbers[*b].total_cmp(&numbers[*a]));
        order
    }

    /// The scores as numbers.
    pub(super) fn found(&self) -> Result<Vec<f64>> {
        Ok(self.scores.detach().to_dtype(DType::F64)?.to_vec1()?)
    }
}

/// The lists of a batch: each query's own documents. Labels are one number per document, in the shape of the scores:
/// `(B, n)`, or one after the other where lists have lengths of their own.
pub(super) fn lists(batch: &Batch, labelled: bool) -> Result<Vec<List>> {
    let scores = if batch.lists.is_empty() { batch.own_scores()? } else { batch.pair_scores()? };
    let bounds = match scores.dims() {
        &[lists, docs] => (0..=lists).map(|list| list * docs).collect(),
        _ => batch.lists.clone(),
    };
    let count = scores.elem_count();
    if bounds.first() != Some(&0) || bounds.last() != Some(&count) || !bounds.is_sorted_by(|a, b| a < b) {
        let (what, expected) = ("lists of a batch".to_owned(), format!("bounds from 0 to {count}, rising"));
        return Err(Error::Shape { what, found: format!("{bounds:?}"), expected });
    }
    let labels: Vec<f64> = match labelled.then(|| batch.labels()).transpose()? {
        None => Vec::new(),
        Some(labels) if labels.dims() == scores.dims() => labels.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?,
        Some(labels) => {
            let (what, found) = ("labels of a batch".to_owned(), format!("{:?}", labels.dims()));
            return Err(Error::Shape { what, found, expected: format!("{:?}, one per document", scores.dims()) });
        }
    };
    let scores = scores.flatten_all()?;
    let list = |bounds: &[usize]| {
        let (start, end) = (bounds[0], bounds[1]);
        let labels = labels.get(start..end).map(<[f64]>::to_vec).unwrap_or_default();
        Ok(List { scores: scores.narrow(0, start, end - start)?, labels })
    };
    bounds.windows(2).map(list).collect()
}

/// The mean over the lists.
pub(super) fn mean(losses: Vec<Tensor>) -> Result<Tensor> {
    Ok(Tensor::stack(&losses, 0)?.mean(0)?)
}
