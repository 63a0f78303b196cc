//! Inverted lists with what each entry adds to the score of its document: of words with BM25's summands, of a sparse model's
//! words with its weights.

mod bounds;
mod search;

use std::ops::Range;

use rayon::prelude::*;

pub(super) use bounds::Bounds;
pub(super) use search::{List, Scratch, WINDOW, best};

/// The lists, one after the other.
#[derive(Clone, Copy)]
pub(super) struct Postings<'a> {
    /// Where each list ends.
    pub(super) ends: &'a [u64],
    /// Document numbers, ascending in each list.
    pub(super) docs: &'a [u32],
    /// What each entry adds: finite, at least 0.
    pub(super) scores: &'a [f32],
}

impl Postings<'_> {
    /// The place of a list.
    pub(super) fn range(&self, list: usize) -> Range<usize> {
        let start = if list == 0 { 0 } else { self.ends[list - 1] };
        start as usize..self.ends[list] as usize
    }

    /// What does not fit in lists that were read, of so many documents. Whatever their bytes are, no number of those that pass
    /// leads outside of them.
    pub(super) fn problem(&self, docs: usize) -> Option<&'static str> {
        let Self { ends, docs: entries, scores } = self;
        if !ends.is_sorted() || ends.last().copied().unwrap_or(0) != entries.len() as u64 {
            return Some("its lists have no order");
        }
        if entries.len() != scores.len() {
            return Some("its entries have another number of scores");
        }
        let ascends = |list: usize| {
            let entries = &entries[self.range(list)];
            entries.is_sorted_by(|a, b| a < b) && entries.last().is_none_or(|doc| (*doc as usize) < docs)
        };
        if !(0..ends.len()).into_par_iter().with_min_len(1_024).all(ascends) {
            return Some("a list has no order, or documents that there are not");
        }
        if !scores.par_iter().with_min_len(1 << 16).all(|score| score.is_finite() && *score >= 0.0) {
            return Some("a score is not a number of at least 0");
        }
        None
    }
}
