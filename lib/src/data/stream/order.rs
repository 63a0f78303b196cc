//! The order of the rows of a stream: groups in random order, and within some neighbours of them rows in random order.

use std::collections::VecDeque;
use std::ops::Range;

use crate::data::sampler::Repeats;
use crate::random::Philox;

/// Streams of random numbers that the order of groups does not draw from.
const WITHIN: u64 = 1 << 62;
/// What sets the streams of epochs apart.
const APART: u64 = 0x9E37_79B9_7F4A_7C15;
/// Rows that are looked at for one that goes with a batch.
const LOOK_AHEAD: usize = 1_000;

/// How the rows of a stream follow each other.
#[derive(Debug, Clone)]
pub(crate) struct StreamOrder {
    /// The rows of each group.
    groups: Vec<usize>,
    rows: usize,
    /// Rows that are in memory at least, if there are as many.
    buffer: usize,
    batch_size: usize,
    seed: u64,
}

/// The batches of one epoch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StreamEpoch {
    epoch: u64,
    /// The groups in their order.
    groups: Vec<u32>,
    windows: Vec<Window>,
    /// Rows of all groups.
    rows: usize,
}

/// Groups whose rows are in memory together.
#[derive(Debug, Clone, PartialEq)]
struct Window {
    groups: Range<usize>,
    rows: usize,
    /// Rows and batches of the windows before.
    first_row: usize,
    first_batch: usize,
    batches: usize,
}

impl StreamOrder {
    pub(super) fn new(groups: Vec<usize>, buffer: usize, batch_size: usize, seed: u64) -> Self {
        let rows = groups.iter().sum();
        Self { groups, rows, buffer, batch_size: batch_size.max(1), seed }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn epoch(&self, epoch: u64) -> StreamEpoch {
        let mut groups: Vec<u32> = (0..self.groups.len() as u32).collect();
        Philox::stream(self.seed, epoch).shuffle(&mut groups);
        let (mut windows, mut start, mut rows) = (Vec::<Window>::new(), 0, 0);
        for (place, group) in groups.iter().enumerate() {
            rows += self.groups[*group as usize];
            let last = place + 1 == groups.len();
            if rows > 0 && (rows >= self.buffer || last) {
                let end = |before: &Window| (before.first_row + before.rows, before.first_batch + before.batches);
                let (first_row, first_batch) = windows.last().map_or((0, 0), end);
                let batches = rows.div_ceil(self.batch_size);
                windows.push(Window { groups: start..place + 1, rows, first_row, first_batch, batches });
                (start, rows) = (place + 1, 0);
            }
        }
        StreamEpoch { epoch, groups, windows, rows: self.rows }
    }

    /// The rows of a window in the order of its batches. Those that share a text are put in different batches, as far as there
    /// are enough.
    pub(super) fn within(&self, epoch: &StreamEpoch, window: usize, repeats: Option<&Repeats>) -> Within {
        let mut rows: Vec<u32> = (0..epoch.windows[window].rows as u32).collect();
        let stream = epoch.epoch.wrapping_mul(APART) ^ window as u64;
        Philox::stream(self.seed, WITHIN | stream & (WITHIN - 1)).shuffle(&mut rows);
        spread(rows, epoch.windows[window].batches, repeats)
    }
}

/// Rows in order, and how many had to share a batch with one that has the same text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Within {
    pub(super) rows: Vec<u32>,
    pub(super) clashes: usize,
}

impl StreamEpoch {
    /// The number of batches.
    pub(crate) fn len(&self) -> usize {
        self.windows.last().map_or(0, |last| last.first_batch + last.batches)
    }

    /// The places of a batch in the order of all epochs, one after the other.
    pub(crate) fn batch(&self, batch: usize) -> Vec<usize> {
        let window = &self.windows[self.windows.partition_point(|window| window.first_batch <= batch) - 1];
        let own = even(window.rows, window.batches, batch - window.first_batch);
        let first = self.epoch as usize * self.rows + window.first_row;
        (first + own.start..first + own.end).collect()
    }

    /// The window of a place within the epoch, and the place there.
    pub(super) fn locate(&self, place: usize) -> (usize, usize) {
        let window = self.windows.partition_point(|window| window.first_row <= place) - 1;
        (window, place - self.windows[window].first_row)
    }

    /// The groups of a window.
    pub(super) fn groups(&self, window: usize) -> &[u32] {
        &self.groups[self.windows[window].groups.clone()]
    }
}

/// One of several parts of about the same size.
fn even(rows: usize, parts: usize, part: usize) -> Range<usize> {
    let bound = |part: usize| (rows as u128 * part as u128 / parts as u128) as usize;
    bound(part)..bound(part + 1)
}

/// Cuts rows into batches of about the same size. A row that shares a text with one of its batch waits for a later one, and
/// takes any place in the end.
fn spread(rows: Vec<u32>, batches: usize, repeats: Option<&Repeats>) -> Within {
    let Some(repeats) = repeats else { return Within { rows, clashes: 0 } };
    let count = rows.len();
    // Of each text the last batch that has it, from 1.
    let mut seen = vec![0; repeats.texts + 1];
    let mut waiting: VecDeque<u32> = rows.into();
    let mut within = Within { rows: Vec::with_capacity(count), clashes: 0 };
    let mut clashing = Vec::new();
    for batch in 0..batches {
        let end = even(count, batches, batch).end;
        while within.rows.len() < end {
            let next = if clashing.len() < LOOK_AHEAD { waiting.pop_front() } else { None };
            let Some(row) = next else { break };
            if repeats.of(row).any(|text| seen[text as usize] == batch + 1) {
                clashing.push(row);
                continue;
            }
            repeats.of(row).for_each(|text| seen[text as usize] = batch + 1);
            within.rows.push(row);
        }
        // The number of batches is known before their texts are.
        let short = end - within.rows.len();
        within.clashes += short;
        within.rows.extend(clashing.drain(..short));
        while let Some(row) = clashing.pop() {
            waiting.push_front(row);
        }
    }
    within
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::{TextHashes, Texts};

    fn order(groups: &[usize], buffer: usize, batch_size: usize) -> StreamOrder {
        StreamOrder::new(groups.to_vec(), buffer, batch_size, 7)
    }

    /// The group and the row there of each row of an epoch, by batches.
    fn seen(order: &StreamOrder, epoch: u64) -> Vec<Vec<(u32, usize)>> {
        let found = order.epoch(epoch);
        let batches = (0..found.len()).map(|batch| found.batch(batch));
        let row = |place: usize| {
            assert_eq!(place / order.rows, epoch as usize);
            let (window, place) = found.locate(place % order.rows);
            let mut row = order.within(&found, window, None).rows[place] as usize;
            for group in found.groups(window) {
                match row.checked_sub(order.groups[*group as usize]) {
                    Some(rest) => row = rest,
                    None => return (*group, row),
                }
            }
            panic!("row {row} beyond window {window}");
        };
        batches.map(|batch| batch.into_iter().map(row).collect()).collect()
    }

    proptest! {
        #[test]
        fn each_row_once_in_batches_of_one_size(
            groups in prop::collection::vec(0..40_usize, 1..12),
            buffer in 1..100_usize,
            batch_size in 1..17_usize,
            epoch in 0..3_u64,
        ) {
            let order = order(&groups, buffer, batch_size);
            let batches = seen(&order, epoch);
            prop_assert_eq!(&batches, &seen(&order, epoch));
            for batch in &batches {
                prop_assert!(!batch.is_empty() && batch.len() <= batch_size);
            }
            let mut rows: Vec<(u32, usize)> = batches.concat();
            rows.sort_unstable();
            let all = groups.iter().enumerate().flat_map(|(group, rows)| (0..*rows).map(move |row| (group as u32, row)));
            prop_assert_eq!(rows, all.collect::<Vec<_>>());
            // What is in memory is a window: not more than the buffer and one group.
            let found = order.epoch(epoch);
            let most = groups.iter().max().unwrap();
            for window in &found.windows {
                prop_assert!(window.rows < buffer + most);
            }
        }

        #[test]
        fn rows_that_share_a_text_are_in_different_batches(
            texts in prop::collection::vec(0..12_u32, 1..200),
            batch_size in 1..9_usize,
        ) {
            let batches = texts.len().div_ceil(batch_size);
            let rows: Vec<u32> = (0..texts.len() as u32).collect();
            let column: Texts = texts.iter().map(u32::to_string).collect();
            let repeats = TextHashes::of(&[column]).unwrap().repeats();
            let within = spread(rows.clone(), batches, repeats.as_ref());
            let mut clashes = 0;
            for batch in 0..batches {
                let own = &within.rows[even(texts.len(), batches, batch)];
                let mut different: Vec<u32> = own.iter().map(|row| texts[*row as usize]).collect();
                different.sort_unstable();
                different.dedup();
                clashes += own.len() - different.len();
            }
            prop_assert!(within.clashes >= clashes, "{} of {}", clashes, within.clashes);
            let mut again = within.rows.clone();
            again.sort_unstable();
            prop_assert_eq!(again, rows);
            if repeats.is_none() {
                prop_assert_eq!(within.clashes, 0);
            }
        }
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let order = order(&[30, 30, 30, 30], 50, 8);
        let other = StreamOrder { seed: 8, ..order.clone() };
        assert_ne!(seen(&order, 0), seen(&order, 1));
        assert_ne!(seen(&order, 0), seen(&other, 0));
        // A window mixes its groups: a batch of one group alone would be none.
        let mixed = seen(&order, 0).iter().filter(|batch| batch.iter().any(|(group, _)| *group != batch[0].0)).count();
        assert!(mixed > 12, "{mixed} of 16");
        assert_eq!(StreamOrder::new(Vec::new(), 9, 9, 1).epoch(0).len(), 0);
    }
}
