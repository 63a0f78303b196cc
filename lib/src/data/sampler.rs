//! The order in which examples are seen.

use std::collections::{HashSet, VecDeque};

use xxhash_rust::xxh3::xxh3_64;

use super::Texts;
use crate::random::Philox;

/// Rows that are looked at to fill one batch, in batches: a set in which everything repeats must not
/// make the plan quadratic.
const LOOK_AHEAD: usize = 50;

/// The batches of an epoch as row numbers: every row once, in an order that seed and epoch decide.
///
/// With `no_duplicates` no text stands twice in a batch, over all columns: the row waits for a later
/// batch, so batches may be smaller near the end. `columns` are those of
/// [`TrainingSet::columns`](super::TrainingSet::columns).
///
/// ```
/// let columns = [["q", "r"], ["same", "same"]].map(kensaku::data::Texts::from_iter);
/// let batches = kensaku::data::plan_batches(&columns, 2, true, 42, 0);
/// assert_eq!(batches.len(), 2);
/// ```
pub fn plan_batches(
    columns: &[Texts],
    batch_size: usize,
    no_duplicates: bool,
    seed: u64,
    epoch: u64,
) -> Vec<Vec<usize>> {
    let mut rows: Vec<usize> = (0..columns.first().map_or(0, Texts::len)).collect();
    Philox::stream(seed, epoch).shuffle(&mut rows);
    if !no_duplicates {
        return rows.chunks(batch_size.max(1)).map(<[usize]>::to_vec).collect();
    }
    let texts: Vec<Vec<u64>> =
        columns.iter().map(|column| column.iter().map(|text| xxh3_64(text.as_bytes())).collect()).collect();
    let mut waiting: VecDeque<usize> = rows.into();
    let mut batches = Vec::new();
    while !waiting.is_empty() {
        batches.push(fill(&mut waiting, &texts, batch_size.max(1)));
    }
    batches
}

/// Takes a batch from the front; rows that clash with it go back to the front, in order.
fn fill(waiting: &mut VecDeque<usize>, texts: &[Vec<u64>], batch_size: usize) -> Vec<usize> {
    let mut batch = Vec::with_capacity(batch_size);
    let mut seen = HashSet::new();
    let mut clashing = Vec::new();
    while batch.len() < batch_size && clashing.len() < batch_size * LOOK_AHEAD {
        let Some(row) = waiting.pop_front() else { break };
        if texts.iter().any(|column| seen.contains(&column[row])) {
            clashing.push(row);
        } else {
            seen.extend(texts.iter().map(|column| column[row]));
            batch.push(row);
        }
    }
    for row in clashing.into_iter().rev() {
        waiting.push_front(row);
    }
    batch
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_row_once_and_no_text_twice(words in prop::collection::vec(0..20_u8, 1..200), batch_size in 1..17_usize) {
            let column = |shift: u8| words.iter().map(|word| (word + shift).to_string()).collect::<Texts>();
            let columns = [column(0), column(100)];
            let batches = plan_batches(&columns, batch_size, true, 7, 3);
            let mut rows: Vec<usize> = batches.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..words.len()).collect::<Vec<_>>());
            for batch in &batches {
                let distinct: HashSet<&str> = batch.iter().map(|row| &columns[0][*row]).collect();
                prop_assert_eq!(distinct.len(), batch.len());
                prop_assert!(batch.len() <= batch_size);
            }
        }
    }

    #[test]
    fn an_epoch_has_its_own_order() {
        let columns = [(0..50).map(|n| n.to_string()).collect::<Texts>()];
        let plan = |seed, epoch| plan_batches(&columns, 8, true, seed, epoch);
        assert_eq!(plan(1, 0), plan(1, 0));
        assert_ne!(plan(1, 0), plan(1, 1));
        assert_ne!(plan(1, 0), plan(2, 0));
    }
}
