//! The scores, and the best match of each row of a query.

use std::ops::Range;

use candle_core::WithDType;
use rayon::prelude::*;

use super::{Matches, MaxSim, NONE};
use crate::nn::{Threads, View, gemm, vectorised};

/// Rows of documents in one product, and of queries: the product stays in the cache.
const DOC_ROWS: usize = 512;
const QUERY_ROWS: usize = 128;

/// Rows of queries, and of documents that lie side by side; where each document begins, and the end of the last.
pub(super) struct Block<'a, T> {
    pub(super) queries: &'a [T],
    pub(super) docs: &'a [T],
    pub(super) bounds: &'a [usize],
    pub(super) width: usize,
}

/// Where the largest products of a block go, and the rows of each document that they are with if they are wanted:
/// `(documents, rows of queries)`.
pub(super) type Best<'a, T> = (&'a mut [T], &'a mut [u32]);

impl MaxSim {
    pub(super) fn forward<T: WithDType>(
        &self,
        queries: &[T],
        docs: &[T],
        width: usize,
        best: impl Fn(Block<'_, T>, Best<'_, T>) + Sync,
    ) -> Vec<T> {
        let (query_count, doc_count) = (self.query_bounds.len() - 1, self.doc_bounds.len() - 1);
        let wanted = self.matches.is_some();
        let odd_queries = odd(queries, width, &self.query_bounds);
        let odd_docs = odd(docs, width, &self.doc_bounds);
        let score =
            |part: &Range<usize>| {
                let texts = self.queries_of(part.start);
                let bounds = &self.query_bounds[texts.start..=texts.end];
                let (first, last) = (bounds[0], bounds[texts.len()]);
                let doc_bounds = &self.doc_bounds[part.start..=part.end];
                let block = Block {
                    queries: &queries[first * width..last * width],
                    docs: &docs[doc_bounds[0] * width..doc_bounds[part.len()] * width],
                    bounds: doc_bounds,
                    width,
                };
                let mut values = vec![T::zero(); part.len() * (last - first)];
                let mut matches = if wanted { vec![NONE; values.len()] } else { Vec::new() };
                best(block, (&mut values, &mut matches));
                let mut scores = Vec::with_capacity(part.len() * texts.len());
                for (doc, values) in part.clone().zip(Chunks::new(&values, last - first, part.len())) {
                    scores.extend(sums(values, bounds).zip(texts.clone()).map(|(sum, query)| {
                        if odd_queries[query] || odd_docs[doc] { T::from_f64(f64::NAN) } else { sum }
                    }));
                }
                (scores, matches)
            };
        let parts: Vec<_> = self.parts().par_iter().map(score).collect();
        if let Some(kept) = &self.matches {
            let all = parts.iter().flat_map(|(_, matches)| matches.iter().copied()).collect();
            let _ = kept.set(Matches { rows: all, shares: Vec::new() });
        }
        let scores = parts.into_iter().flat_map(|(scores, _)| scores);
        if self.pairwise {
            return scores.collect();
        }
        let mut transposed = vec![T::zero(); query_count * doc_count];
        for (place, score) in scores.enumerate() {
            transposed[place % query_count * doc_count + place / query_count] = score;
        }
        transposed
    }

    /// Documents that are scored together.
    fn parts(&self) -> Vec<Range<usize>> {
        if self.query_bounds.len() == 1 {
            return Vec::new();
        }
        parts(&self.doc_bounds, if self.pairwise { 0 } else { DOC_ROWS })
    }
}

/// The scores of some documents with every query, by the calling thread: `(documents, queries)`. Both are rows of `width`
/// finite numbers that lie side by side, and where each text begins, and the end of the last; the first begins at 0.
pub(crate) fn block_max_sim(
    (queries, query_bounds): (&[f32], &[usize]),
    (docs, doc_bounds): (&[f32], &[usize]),
    width: usize,
    scores: &mut [f32],
) {
    let (rows, count) = (queries.len() / width, query_bounds.len() - 1);
    let mut values = Vec::new();
    for part in parts(doc_bounds, DOC_ROWS) {
        let bounds = &doc_bounds[part.start..=part.end];
        let docs = &docs[bounds[0] * width..bounds[part.len()] * width];
        values.clear();
        values.resize(part.len() * rows, 0.0);
        blocked(Block { queries, docs, bounds, width }, (&mut values, &mut []));
        for (doc, values) in part.clone().zip(Chunks::new(&values, rows, part.len())) {
            let scores = &mut scores[doc * count..(doc + 1) * count];
            scores.iter_mut().zip(sums(values, query_bounds)).for_each(|(score, sum)| *score = sum);
        }
    }
}

/// The sum of the values of each text.
fn sums<T: WithDType>(values: &[T], bounds: &[usize]) -> impl Iterator<Item = T> {
    let sum = |rows: &[usize]| {
        values[rows[0] - bounds[0]..rows[1] - bounds[0]].iter().fold(T::zero(), |sum, value| sum + *value)
    };
    bounds.windows(2).map(sum)
}

/// Ranges of documents of at most a number of rows, or one document that has more.
fn parts(bounds: &[usize], most: usize) -> Vec<Range<usize>> {
    let docs = bounds.len() - 1;
    let (mut parts, mut start) = (Vec::new(), 0);
    for doc in 0..docs {
        if doc > start && (most == 0 || bounds[doc + 1] - bounds[start] > most) {
            parts.push(start..doc);
            start = doc;
        }
    }
    if start < docs {
        parts.push(start..docs);
    }
    parts
}

/// Chunks of a length that may be 0.
struct Chunks<'a, T> {
    values: &'a [T],
    length: usize,
    left: usize,
}

impl<'a, T> Chunks<'a, T> {
    fn new(values: &'a [T], length: usize, count: usize) -> Self {
        Self { values, length, left: count }
    }
}

impl<'a, T> Iterator for Chunks<'a, T> {
    type Item = &'a [T];

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (chunk, rest) = self.values.split_at(self.length);
        self.values = rest;
        Some(chunk)
    }
}

/// Which texts have a number that is not finite: a maximum would pass over it.
pub(super) fn odd<T: WithDType>(values: &[T], width: usize, bounds: &[usize]) -> Vec<bool> {
    let text =
        |rows: &[usize]| !values[rows[0] * width..rows[1] * width].iter().all(|value| value.to_f64().is_finite());
    bounds.par_windows(2).map(text).collect()
}

/// By products of matrices.
pub(super) fn blocked(block: Block<'_, f32>, (values, matches): Best<'_, f32>) {
    let Block { queries, docs, bounds, width } = block;
    let (rows, columns) = (queries.len() / width, docs.len() / width);
    let mut products = vec![0.0; QUERY_ROWS.min(rows) * columns];
    for first in (0..rows).step_by(QUERY_ROWS) {
        let count = QUERY_ROWS.min(rows - first);
        let products = &mut products[..count * columns];
        let own = View::new(&queries[first * width..(first + count) * width], count, width);
        gemm(products, own, View::new(docs, columns, width).t(), 1.0, false, Threads::This);
        largest(products, columns, bounds, first, rows, values, matches);
    }
}

vectorised! {
    /// Of each row of products the largest within each document.
    fn largest(
        products: &[f32],
        columns: usize,
        bounds: &[usize],
        first: usize,
        rows: usize,
        values: &mut [f32],
        matches: &mut [u32],
    ) {
        if columns == 0 {
            return;
        }
        for (row, products) in products.chunks_exact(columns).enumerate() {
            for (doc, ends) in bounds.windows(2).enumerate().filter(|(_, ends)| ends[0] < ends[1]) {
                let products = &products[ends[0] - bounds[0]..ends[1] - bounds[0]];
                let largest = crate::nn::lane_max(products, f32::NEG_INFINITY);
                let place = doc * rows + first + row;
                values[place] = largest;
                if let Some(found) = matches.get_mut(place) {
                    let at = products.iter().position(|product| *product == largest).unwrap_or(0);
                    *found = (ends[0] + at) as u32;
                }
            }
        }
    }
}

/// Product by product.
pub(super) fn plain(block: Block<'_, f64>, (values, matches): Best<'_, f64>) {
    let Block { queries, docs, bounds, width } = block;
    let rows = queries.len() / width;
    for (row, query) in queries.chunks_exact(width).enumerate() {
        for (doc, ends) in bounds.windows(2).enumerate().filter(|(_, ends)| ends[0] < ends[1]) {
            let (mut largest, mut at) = (f64::NEG_INFINITY, ends[0]);
            for index in ends[0]..ends[1] {
                let token = &docs[(index - bounds[0]) * width..][..width];
                let product: f64 = query.iter().zip(token).map(|(a, b)| a * b).sum();
                if product > largest {
                    (largest, at) = (product, index);
                }
            }
            let place = doc * rows + row;
            values[place] = largest;
            if let Some(found) = matches.get_mut(place) {
                *found = at as u32;
            }
        }
    }
}
