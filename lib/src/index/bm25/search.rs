//! The best documents for a query, without looking at all of them.
//!
//! The lists of the query's terms are gone through side by side, a window of documents at a time, so that the scores of a
//! window stay in the processor's nearest cache. Lists are ordered by the most that they can add. Once `k` documents are
//! known, a document that is only in the last lists, whose sum of most is below the `k`th score, cannot be among the best:
//! these lists are no longer added up, only looked at for documents of the others that could still be (MaxScore; Turtle
//! and Flood, "Query evaluation: strategies and optimizations", 1995).
//!
//! The result is the same as that of adding everything up: every document that is dropped is below the `k`th score even
//! after the rounding of single precision, and the score of every other is the sum over the lists in the same order.

use crate::index::top::{SMALLEST, best_first};

/// Documents whose scores are added up at a time: 32 KiB of scores.
pub(super) const WINDOW: usize = 8_192;

/// A term of the query: its documents and what it adds to them.
pub(super) struct List<'a> {
    pub(super) docs: &'a [u32],
    pub(super) scores: &'a [f32],
    /// How often the term is in the query.
    pub(super) weight: f32,
    /// The most it adds to a document, all counted.
    pub(super) most: f32,
    /// The entries of the window.
    pub(super) at: usize,
    pub(super) end: usize,
}

/// What a thread keeps from query to query.
#[derive(Default)]
pub(super) struct Scratch {
    /// The scores of a window; zero between two windows.
    scores: Vec<f32>,
    candidates: Vec<(u32, f32)>,
}

#[cfg(test)]
impl Scratch {
    pub(super) fn is_clean(&self) -> bool {
        self.scores.iter().all(|score| *score == 0.0) && self.candidates.is_empty()
    }
}

/// The best `k` of `docs` documents, best first; of equal scores the higher number wins. A score is `base` plus a sum that
/// is above zero. `window` is a power of two.
pub(super) fn best(
    lists: &mut [List],
    base: f64,
    (docs, k): (usize, usize),
    window: usize,
    scratch: &mut Scratch,
) -> Vec<(u32, f32)> {
    lists.sort_by(|a, b| b.most.total_cmp(&a.most));
    // The most that the lists from each on can add.
    let mut rest = vec![0.0; lists.len() + 1];
    for (place, list) in lists.iter().enumerate().rev() {
        rest[place] = rest[place + 1] + f64::from(list.most);
    }
    let mut top = Top::new(k.min(docs), base, lists.len());
    let mut essential = lists.len();
    let Scratch { scores, candidates } = scratch;
    scores.resize(window.min(docs.next_multiple_of(STEP)), 0.0);
    loop {
        while essential > 0 && top.is_below(0.0, rest[essential - 1]) {
            essential -= 1;
        }
        let (adding, looked_at) = lists.split_at_mut(essential);
        let Some(first) = adding.iter().filter_map(|list| list.docs.get(list.at)).min() else { break };
        let start = *first & !(window as u32 - 1);
        for list in adding.iter_mut() {
            list.end = list.seek(u64::from(start) + window as u64);
            list.add(start, scores);
        }
        let entries: usize = adding.iter().map(|list| list.end - list.at).sum();
        if entries < window / SPARSE {
            // Fewer entries than scores: the documents are those of the entries.
            let least = top.least(rest[essential]);
            for list in adding.iter() {
                for doc in &list.docs[list.at..list.end] {
                    let score = std::mem::take(&mut scores[(doc - start) as usize]);
                    if score >= least {
                        candidates.push((*doc, score));
                    }
                }
            }
            candidates.sort_unstable_by_key(|(doc, _)| *doc);
            finish(candidates, looked_at, &rest[essential..], &mut top);
        } else {
            for (number, block) in scores.chunks_mut(BLOCK).enumerate() {
                let least = top.least(rest[essential]);
                collect(block, start + (number * BLOCK) as u32, least, candidates);
                finish(candidates, looked_at, &rest[essential..], &mut top);
            }
            scores.fill(0.0);
        }
        adding.iter_mut().for_each(|list| list.at = list.end);
    }
    top.into_sorted()
}

/// A window with fewer entries than this part of its documents is not scanned.
const SPARSE: usize = 8;
/// Scores that are looked through before the `k`th score is brought up to date.
const BLOCK: usize = 1_024;
/// Scores that are compared at once.
const STEP: usize = 16;

impl List<'_> {
    /// The first entry, from the current one on, of document `doc` or a later one.
    fn seek(&self, doc: u64) -> usize {
        let mut step = 1;
        while self.docs.get(self.at + step - 1).is_some_and(|at| u64::from(*at) < doc) {
            step *= 2;
        }
        let (low, high) = (self.at + step / 2, self.docs.len().min(self.at + step - 1));
        low + self.docs[low..high].partition_point(|at| u64::from(*at) < doc)
    }

    /// Adds the entries of the window, which starts with document `start`, to its scores.
    fn add(&self, start: u32, scores: &mut [f32]) {
        let entries = self.docs[self.at..self.end].iter().zip(&self.scores[self.at..self.end]);
        for (doc, score) in entries {
            scores[(doc - start) as usize] += self.weight * score;
        }
    }
}

/// The documents of a block whose score is at least `least`.
fn collect(block: &[f32], start: u32, least: f32, candidates: &mut Vec<(u32, f32)>) {
    for (number, step) in block.chunks(STEP).enumerate() {
        // Without a branch in it, the comparison is one of vectors.
        if step.iter().fold(false, |any, score| any | (*score >= least)) {
            let start = start + (number * STEP) as u32;
            candidates
                .extend((start..).zip(step).filter(|(_, score)| **score >= least).map(|(doc, score)| (doc, *score)));
        }
    }
}

/// Adds what the other lists have for the candidates, which are sorted and leave, and keeps the best.
fn finish(candidates: &mut Vec<(u32, f32)>, lists: &mut [List], rest: &[f64], top: &mut Top) {
    for (list, rest) in lists.iter_mut().zip(rest) {
        let least = top.least(*rest);
        candidates.retain_mut(|(doc, score)| {
            let may = *score >= least;
            if may {
                list.at = list.seek((*doc).into());
                if list.docs.get(list.at) == Some(doc) {
                    *score += list.weight * list.scores[list.at];
                }
            }
            may
        });
    }
    candidates.drain(..).for_each(|(doc, score)| top.push(doc, score));
}

/// The best documents so far.
struct Top {
    k: usize,
    base: f64,
    /// Sums are below what they would be without rounding by less than this factor.
    slack: f64,
    best: Vec<(u32, f32)>,
    /// The `k`th score of some time ago.
    threshold: f32,
}

impl Top {
    fn new(k: usize, base: f64, terms: usize) -> Self {
        // Each sum, and the last one with `base`, is rounded by at most half of 2^-23.
        let slack = 1.0 + f64::from(f32::EPSILON) * (terms + 2) as f64;
        Self { k, base, slack, best: Vec::with_capacity(2 * k), threshold: f32::NEG_INFINITY }
    }

    /// Whether a document cannot be among the best whose sum so far is `sum`, and to which at most `rest` is added.
    fn is_below(&self, sum: f64, rest: f64) -> bool {
        self.k == 0 || (self.base + sum + rest) * self.slack < f64::from(self.threshold)
    }

    /// The least sum, above zero, for which [`is_below`](Self::is_below) is false or nearly so.
    fn least(&self, rest: f64) -> f32 {
        let least = (f64::from(self.threshold) / self.slack - self.base - rest) as f32;
        // The conversion may have rounded it up.
        least.next_down().max(SMALLEST)
    }

    fn push(&mut self, doc: u32, sum: f32) {
        let score = (self.base + f64::from(sum)) as f32;
        if score >= self.threshold && self.k > 0 {
            self.best.push((doc, score));
            if self.best.len() == 2 * self.k {
                self.best.select_nth_unstable_by(self.k - 1, best_first);
                self.best.truncate(self.k);
                self.threshold = self.best[self.k - 1].1;
            }
        }
    }

    fn into_sorted(mut self) -> Vec<(u32, f32)> {
        self.best.sort_unstable_by(best_first);
        self.best.truncate(self.k);
        self.best
    }
}
