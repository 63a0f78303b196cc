//! The best rows of a matrix for each of many queries, without the matrix of their scores.

use std::ops::Range;

use rayon::prelude::*;

use crate::index::top::Best;
use crate::{Result, interrupt};

/// Documents whose scores are computed at a time: with a window of queries they stay in a core's second-level cache.
const BLOCK: usize = 512;

/// Queries whose best are kept at a time.
pub(super) const WINDOW: usize = 384;

/// For each query its best rows with their scores, unless a score is not a number.
pub(in crate::index) type Scanned = std::result::Result<Vec<Vec<(u32, f32)>>, NotANumber>;

/// A score that is not a number: which query's, and which row's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::index) struct NotANumber {
    pub(in crate::index) query: usize,
    pub(in crate::index) row: usize,
}

/// Computes the scores of some rows with all queries: `(rows, queries)`.
pub(in crate::index) trait Score: Sync {
    fn rows(&self) -> usize;

    fn queries(&self) -> usize;

    /// `scratch` is the caller's, for numbers that rows have to be decoded to.
    fn score(&self, rows: Range<usize>, scratch: &mut Vec<f32>, scores: &mut [f32]) -> Result<()>;
}

/// The `k` best rows for each query, best first; of equal scores the later row wins.
pub(in crate::index) fn best(scores: &impl Score, k: usize) -> Result<Scanned> {
    let (rows, queries) = (scores.rows(), scores.queries());
    // Several parts per thread, so that a delayed one delays less; each starts from nothing, so not many.
    let part = rows.div_ceil(4 * rayon::current_num_threads()).max(1).next_multiple_of(BLOCK);
    let parts = (0..rows.div_ceil(part)).into_par_iter().map(|number| {
        let mut found = Found::new(queries, k.min(rows));
        let (mut buffer, mut scratch) = (vec![0.0; BLOCK * queries], Vec::new());
        let end = rows.min((number + 1) * part);
        for start in (number * part..end).step_by(BLOCK) {
            interrupt::check("search")?;
            let block = start..end.min(start + BLOCK);
            let values = &mut buffer[..block.len() * queries];
            scores.score(block, &mut scratch, values)?;
            found.add(start, values);
        }
        Ok(found)
    });
    let mut parts = parts.collect::<Result<Vec<_>>>()?.into_iter();
    let mut all = parts.next().unwrap_or_else(|| Found::new(queries, 0));
    parts.for_each(|part| all.merge(part));
    Ok(match all.odd {
        Some(odd) => Err(odd),
        None => Ok(all.best.into_iter().map(Best::sorted).collect()),
    })
}

/// The best so far of each query.
pub(in crate::index) struct Found {
    pub(in crate::index) best: Vec<Best>,
    /// Of each of them.
    thresholds: Vec<f32>,
    odd: Option<NotANumber>,
}

/// Scores that are compared at a time.
const LANES: usize = 16;

impl Found {
    pub(in crate::index) fn new(queries: usize, k: usize) -> Self {
        let best = Best::new(k, f32::NEG_INFINITY);
        Self { thresholds: vec![best.threshold(); queries], best: vec![best; queries], odd: None }
    }

    /// Adds the scores of rows from `first` on: `(rows, queries)`.
    pub(in crate::index) fn add(&mut self, first: usize, scores: &[f32]) {
        for (row, scores) in (first..).zip(scores.chunks_exact(self.best.len())) {
            for (part, scores) in scores.chunks(LANES).enumerate() {
                let thresholds = &self.thresholds[part * LANES..][..scores.len()];
                if any_not_below(scores, thresholds) {
                    self.add_some(row, part * LANES, scores);
                }
            }
        }
    }

    #[cold]
    fn add_some(&mut self, row: usize, first: usize, scores: &[f32]) {
        for (query, score) in (first..).zip(scores) {
            if score.is_nan() {
                self.odd.get_or_insert(NotANumber { query, row });
            } else if *score >= self.thresholds[query] {
                self.best[query].push(row as u32, *score);
                self.thresholds[query] = self.best[query].threshold();
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.odd = self.odd.or(other.odd);
        self.best.iter_mut().zip(other.best).for_each(|(best, other)| best.merge(other));
    }
}

/// Whether any score is not below its threshold, as NaN is not.
#[inline]
fn any_not_below(scores: &[f32], thresholds: &[f32]) -> bool {
    let mut any = false;
    for (score, threshold) in scores.iter().zip(thresholds) {
        any |= score.is_nan() | (score >= threshold);
    }
    any
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use proptest::prelude::*;

    use super::super::FlatPrecision;
    use super::super::compare::Numbers;
    use super::super::vectors::Vectors;
    use super::*;
    use crate::index::top::top_k;
    use crate::loss::Similarity;

    proptest! {
        /// Whole numbers, so that products are exact and many are equal.
        #[test]
        fn equals_sorting_all_products(
            (rows, queries, width) in (0..1200_usize, 1..40_usize, 1..5_usize),
            k in 0..30_usize,
            seed in any::<u64>(),
        ) {
            let mut rng = crate::random::Philox::new(seed);
            let mut matrix = |rows: usize| -> Vec<f32> { (0..rows * width).map(|_| (rng.uniform() * 4.0).floor() as f32).collect() };
            let (docs, asked) = (matrix(rows), matrix(queries));
            let tensor = |numbers: &[f32]| Tensor::from_slice(numbers, (numbers.len() / width, width), &Device::Cpu).unwrap();
            let vectors = Vectors::new(&tensor(&docs), FlatPrecision::F32).unwrap();
            let numbers = Numbers::new(&vectors, rows, tensor(&asked), Similarity::Dot).unwrap();
            let found = best(&numbers, k).unwrap().unwrap();
            for (query, found) in asked.chunks_exact(width).zip(found) {
                let scores = docs.chunks_exact(width).map(|doc| doc.iter().zip(query).map(|(x, y)| x * y).sum());
                let scores: Vec<f32> = scores.collect();
                prop_assert_eq!(found, top_k(&scores, k, f32::NEG_INFINITY));
            }
        }
    }

    /// Scores of two queries.
    struct Given([[f32; 2]; 3]);

    impl Score for Given {
        fn rows(&self) -> usize {
            3
        }

        fn queries(&self) -> usize {
            2
        }

        fn score(&self, rows: Range<usize>, _: &mut Vec<f32>, scores: &mut [f32]) -> Result<()> {
            scores.copy_from_slice(self.0[rows].as_flattened());
            Ok(())
        }
    }

    #[test]
    fn a_score_that_is_no_number_is_named() {
        // Also where it could not be among the best.
        let scores = Given([[9.0, 9.0], [1.0, f32::NAN], [0.0, f32::NAN]]);
        assert_eq!(best(&scores, 1).unwrap(), Err(NotANumber { query: 1, row: 1 }));
        assert_eq!(best(&Given([[1.0, 0.0]; 3]), 2).unwrap().unwrap()[0], [(2, 1.0), (1, 1.0)]);
    }
}
