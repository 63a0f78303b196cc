//! XTR: only what a token retrieves from all documents counts.

use candle_core::WithDType;
use rayon::prelude::*;

use super::forward::odd;
use super::{Matches, MaxSim, NONE};
use crate::nn::{Threads, View, gemm};

/// Of one query with all documents.
struct Retrieved<T> {
    scores: Vec<T>,
    /// `1 / Z`, by document.
    shares: Vec<f64>,
    /// `(rows, documents)`
    matches: Vec<u32>,
}

impl MaxSim {
    /// The scores by the `k` tokens of all documents that each row of a query matches best. A document of which one is
    /// among them has its largest product among them, too.
    pub(super) fn retrieve<T: WithDType>(
        &self,
        queries: &[T],
        docs: &[T],
        width: usize,
        k: usize,
        products: impl Fn(&[T], &[T], usize) -> Vec<T> + Sync,
    ) -> Vec<T> {
        let doc_count = self.doc_bounds.len() - 1;
        let tokens = docs.len() / width;
        let odd_queries = odd(queries, width, &self.query_bounds);
        let odd_docs = odd(docs, width, &self.doc_bounds);
        let any_odd = odd_docs.contains(&true);
        let retrieve = |(query, ends): (usize, &[usize])| {
            let rows = ends[1] - ends[0];
            let products = products(&queries[ends[0] * width..ends[1] * width], docs, width);
            let mut sums = vec![T::zero(); doc_count];
            let mut counts = vec![0_usize; doc_count];
            let mut matches = vec![NONE; rows * doc_count];
            for row in 0..rows {
                let products = &products[row * tokens..(row + 1) * tokens];
                let least = (k < tokens).then(|| kth_largest(products, k));
                for (doc, ends) in self.doc_bounds.windows(2).enumerate() {
                    let Some((at, largest)) = largest(&products[ends[0]..ends[1]]) else { continue };
                    if least.is_none_or(|least| largest >= least) {
                        sums[doc] += largest;
                        counts[doc] += 1;
                        matches[row * doc_count + doc] = (ends[0] + at) as u32;
                    }
                }
            }
            let shares: Vec<f64> = counts.iter().map(|count| 1.0 / (*count).max(1) as f64).collect();
            let odd = |doc: usize| odd_queries[query] || any_odd && (odd_docs[doc] || k < tokens);
            let score = |(doc, (sum, share)): (usize, (&T, &f64))| {
                if odd(doc) { T::from_f64(f64::NAN) } else { *sum * T::from_f64(*share) }
            };
            let scores = sums.iter().zip(&shares).enumerate().map(score).collect();
            Retrieved { scores, shares, matches }
        };
        let parts: Vec<Retrieved<T>> = self.query_bounds.par_windows(2).enumerate().map(retrieve).collect();
        if let Some(kept) = &self.matches {
            let rows = queries.len() / width;
            let mut all = vec![NONE; rows * doc_count];
            let matches = parts.iter().flat_map(|part| part.matches.iter().copied());
            matches.enumerate().for_each(|(place, at)| all[place % doc_count * rows + place / doc_count] = at);
            let shares = parts.iter().flat_map(|part| part.shares.iter().copied()).collect();
            let _ = kept.set(Matches { rows: all, shares });
        }
        parts.into_iter().flat_map(|part| part.scores).collect()
    }
}

/// Products of rows `(n, dim)` and `(m, dim)`, row-major `(n, m)`.
pub(super) fn blocked(queries: &[f32], docs: &[f32], width: usize) -> Vec<f32> {
    let (rows, columns) = (queries.len() / width, docs.len() / width);
    let mut products = vec![0.0; rows * columns];
    let (queries, docs) = (View::new(queries, rows, width), View::new(docs, columns, width));
    gemm(&mut products, queries, docs.t(), 1.0, false, Threads::This);
    products
}

/// The same, product by product.
pub(super) fn plain(queries: &[f64], docs: &[f64], width: usize) -> Vec<f64> {
    let row =
        |query: &[f64]| docs.chunks_exact(width).map(|doc| query.iter().zip(doc).map(|(a, b)| a * b).sum()).collect();
    queries.chunks_exact(width).flat_map(|query: &[f64]| -> Vec<f64> { row(query) }).collect()
}

/// `k` is at least 1 and less than the number of values.
fn kth_largest<T: WithDType>(values: &[T], k: usize) -> T {
    let mut values = values.to_vec();
    let order = |a: &T, b: &T| b.to_f64().total_cmp(&a.to_f64());
    *values.select_nth_unstable_by(k - 1, order).1
}

fn largest<T: WithDType>(values: &[T]) -> Option<(usize, T)> {
    let (mut at, mut largest) = (0, *values.first()?);
    for (index, value) in values.iter().enumerate() {
        if *value > largest {
            (at, largest) = (index, *value);
        }
    }
    Some((at, largest))
}
