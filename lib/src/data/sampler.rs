//! The order in which examples are seen.

use std::collections::{HashSet, VecDeque};

use super::Texts;
use super::hashes::TextHashes;
use crate::random::Philox;
use crate::{Result, interrupt};

/// Rows that are looked at to fill one batch, in batches: a set in which everything repeats must not
/// make the plan quadratic.
const LOOK_AHEAD: usize = 50;
/// Batches that are planned between two looks at the interrupt flag.
const CHECKED: usize = 256;

/// The batches of an epoch as row numbers: every row once, in an order that depends on seed and epoch.
///
/// With `no_duplicates` no text occurs twice in a batch, over all columns: the row waits for a later
/// batch, so batches may be smaller near the end. `columns` are those of
/// [`TrainingSet::columns`](super::TrainingSet::columns); columns of different lengths are an error.
///
/// ```
/// let columns = [["q", "r"], ["same", "same"]].map(kensaku::data::Texts::from_iter);
/// let batches = kensaku::data::plan_batches(&columns, 2, true, 42, 0)?;
/// assert_eq!(batches.len(), 2);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn plan_batches(
    columns: &[Texts],
    batch_size: usize,
    no_duplicates: bool,
    seed: u64,
    epoch: u64,
) -> Result<Vec<Vec<usize>>> {
    let sampler = Sampler::new(&TextHashes::of(columns)?, batch_size, no_duplicates, seed);
    let epoch = sampler.epoch(epoch)?;
    Ok((0..epoch.len()).map(|batch| epoch.batch(batch).to_vec()).collect())
}

/// Draws the batches of any epoch.
pub(crate) struct Sampler {
    rows: usize,
    batch_size: usize,
    seed: u64,
    /// Column by column, the number of each text that must not be in a batch twice, or 0.
    repeats: Option<Vec<Vec<u32>>>,
}

/// The batches of one epoch.
pub(crate) struct Epoch {
    rows: Vec<usize>,
    /// Where each batch ends.
    ends: Vec<usize>,
}

impl Sampler {
    pub(crate) fn new(texts: &TextHashes, batch_size: usize, no_duplicates: bool, seed: u64) -> Self {
        let rows = texts.rows();
        let repeats = if no_duplicates { texts.repeats() } else { None };
        Self { rows, batch_size: batch_size.clamp(1, rows.max(1)), seed, repeats }
    }

    /// The number of batches, if it is the same in every epoch.
    pub(crate) fn batches(&self) -> Option<usize> {
        self.repeats.is_none().then(|| self.rows.div_ceil(self.batch_size))
    }

    pub(crate) fn epoch(&self, epoch: u64) -> Result<Epoch> {
        let mut rows: Vec<usize> = (0..self.rows).collect();
        Philox::stream(self.seed, epoch).shuffle(&mut rows);
        let Some(repeats) = &self.repeats else {
            let ends = (1..=self.rows.div_ceil(self.batch_size)).map(|batch| (batch * self.batch_size).min(self.rows));
            return Ok(Epoch { rows, ends: ends.collect() });
        };
        let mut waiting: VecDeque<usize> = rows.into();
        let mut epoch = Epoch { rows: Vec::with_capacity(self.rows), ends: Vec::new() };
        while !waiting.is_empty() {
            if epoch.ends.len() % CHECKED == CHECKED - 1 {
                interrupt::check("planning")?;
            }
            self.fill(&mut waiting, repeats, &mut epoch.rows);
            epoch.ends.push(epoch.rows.len());
        }
        Ok(epoch)
    }

    /// Takes a batch from the front; rows that clash with it go back to the front, in order.
    fn fill(&self, waiting: &mut VecDeque<usize>, repeats: &[Vec<u32>], batch: &mut Vec<usize>) {
        let full = batch.len() + self.batch_size;
        let mut seen = HashSet::new();
        let mut clashing = Vec::new();
        while batch.len() < full && clashing.len() < self.batch_size.saturating_mul(LOOK_AHEAD) {
            let Some(row) = waiting.pop_front() else { break };
            let texts = || repeats.iter().map(|column| column[row]).filter(|text| *text > 0);
            if texts().any(|text| seen.contains(&text)) {
                clashing.push(row);
            } else {
                seen.extend(texts());
                batch.push(row);
            }
        }
        for row in clashing.into_iter().rev() {
            waiting.push_front(row);
        }
    }
}

impl Epoch {
    /// The number of batches.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The rows of a batch.
    pub(crate) fn batch(&self, batch: usize) -> &[usize] {
        let start = batch.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.rows[start..self.ends[batch]]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Two columns with texts in common: rows clash within each column and across them.
        #[test]
        fn every_row_once_and_no_text_twice(
            words in prop::collection::vec((0..30_u8, 0..30_u8), 1..200),
            batch_size in 1..17_usize,
        ) {
            let column = |of: fn(&(u8, u8)) -> u8| words.iter().map(|row| of(row).to_string()).collect::<Texts>();
            let columns = [column(|row| row.0), column(|row| row.1)];
            let batches = plan_batches(&columns, batch_size, true, 7, 3).unwrap();
            let mut rows: Vec<usize> = batches.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..words.len()).collect::<Vec<_>>());
            for batch in &batches {
                // A row may hold a text twice, but no other row of its batch may hold it.
                let texts = |row: &usize| columns.iter().map(|column| column[*row].to_owned()).collect::<HashSet<_>>();
                let distinct: HashSet<String> = batch.iter().flat_map(texts).collect();
                prop_assert_eq!(distinct.len(), batch.iter().map(|row| texts(row).len()).sum::<usize>());
                prop_assert!(batch.len() <= batch_size);
            }
        }
    }

    #[test]
    fn an_epoch_has_its_own_order() {
        let columns = [(0..50).map(|n| n.to_string()).collect::<Texts>()];
        let plan = |seed, epoch| plan_batches(&columns, 8, true, seed, epoch).unwrap();
        assert_eq!(plan(1, 0), plan(1, 0));
        assert_ne!(plan(1, 0), plan(1, 1));
        assert_ne!(plan(1, 0), plan(2, 0));
    }

    #[test]
    fn any_batch_size_and_ragged_columns() {
        let columns = [["a", "b", "b"], ["c", "d", "e"]].map(Texts::from_iter);
        for size in [0, 1, 3, 10_000_000_000, usize::MAX] {
            for no_duplicates in [false, true] {
                let batches = plan_batches(&columns, size, no_duplicates, 1, 0).unwrap();
                assert_eq!(batches.concat().len(), 3, "{size}");
                assert_eq!(
                    batches.len(),
                    if size < 2 {
                        3
                    } else if no_duplicates {
                        2
                    } else {
                        1
                    },
                    "{size}"
                );
            }
        }
        let ragged = [Texts::from_iter(["a", "b"]), Texts::from_iter(["c"])];
        let error = plan_batches(&ragged, 2, true, 1, 0).unwrap_err().to_string();
        assert!(error.contains("2 and 1 rows; expected the same number of rows in every column"), "{error}");
        assert_eq!(plan_batches(&[], 2, true, 1, 0).unwrap(), [] as [Vec<usize>; 0]);
    }
}
