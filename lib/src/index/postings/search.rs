//! The best documents for a query, without looking at all of them.
//!
//! The lists of the query are gone through side by side, a window of documents at a time, so that the scores of a
//! window stay in the processor's nearest cache. Lists are ordered by the most that they can add. Once a score is known that
//! `k` documents have (of one list alone it is known beforehand), a document that is only in the last lists, whose sum of
//! most is below that score, cannot be among the best: these lists are no longer added up, only looked at for documents of
//! the others that could still be (MaxScore; Turtle and Flood, "Query evaluation: strategies and optimizations", 1995).
//!
//! The result is the same as that of adding everything up: every document that is dropped is below the `k`th score even
//! after the rounding of single precision, and the score of every other is the sum over the lists in the same order.

use std::cmp::Reverse;

use super::bounds::Places;
use crate::index::top::SMALLEST;

/// Documents whose scores are added up at a time: 32 KiB of scores.
pub(in crate::index) const WINDOW: usize = 8_192;

/// A list of the query: its documents and what it adds to them.
pub(in crate::index) struct List<'a> {
    pub(in crate::index) docs: &'a [u32],
    pub(in crate::index) scores: &'a [f32],
    /// What the scores are multiplied by, such as how often the term is in the query. With one below 0 the list takes away.
    pub(in crate::index) weight: f32,
    /// The most it adds to a document, all counted, or takes away.
    pub(in crate::index) most: f32,
    /// What at least `k` documents have of it; 0 where that is not known.
    pub(in crate::index) floor: f32,
    /// Where to find a document, for a list of many.
    pub(super) places: Option<&'a Places>,
    /// The entries of the window.
    pub(super) at: usize,
    pub(super) end: usize,
}

/// What a thread keeps from query to query.
#[derive(Default)]
pub(in crate::index) struct Scratch {
    /// The scores of a window; zero between two windows.
    scores: Vec<f32>,
    candidates: Vec<(u32, f32)>,
}

#[cfg(test)]
impl Scratch {
    pub(in crate::index) fn is_clean(&self) -> bool {
        self.scores.iter().all(|score| *score == 0.0) && self.candidates.is_empty()
    }
}

/// The best `k` of `docs` documents, best first; of equal scores the higher number wins. A score is `base` plus a sum that
/// is above zero. `window` is a power of two.
///
/// Lists that take away come last, and are only looked at for documents that are among the best without them.
pub(in crate::index) fn best(
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
        rest[place] = rest[place + 1] + f64::from(list.most.max(0.0));
    }
    let mut top = Top::new(k.min(docs), base, lists);
    let mut essential = lists.partition_point(|list| list.most > 0.0);
    let Scratch { scores, candidates } = scratch;
    scores.resize(window.min(docs.next_multiple_of(STEP)), 0.0);
    loop {
        while essential > 0 && top.is_below(0.0, rest[essential - 1]) {
            essential -= 1;
        }
        let Some(first) = lists[..essential].iter().filter_map(|list| list.docs.get(list.at)).min() else { break };
        let start = *first & !(window as u32 - 1);
        let (mut adding, mut entries) = (0, 0);
        for list in lists.iter_mut().take_while(|list| list.most > 0.0) {
            if adding >= essential {
                // It may still be shorter to add up than to look at.
                list.at = list.seek(start);
            }
            list.end = list.seek(start.saturating_add(window as u32));
            if adding >= essential && list.end - list.at > LONG * entries {
                break;
            }
            list.add(start, scores);
            entries += list.end - list.at;
            adding += 1;
        }
        let rest = &rest[adding..];
        let (adding, looked_at) = lists.split_at_mut(adding);
        if entries < window / SPARSE {
            // Fewer entries than scores: the documents are those of the entries.
            let least = top.least(rest[0]);
            for list in adding.iter() {
                for doc in &list.docs[list.at..list.end] {
                    let score = std::mem::take(&mut scores[(doc - start) as usize]);
                    if score >= least {
                        candidates.push((*doc, score));
                    }
                }
            }
            candidates.sort_unstable_by_key(|(doc, _)| *doc);
            finish(candidates, looked_at, rest, &mut top);
        } else {
            for (number, block) in scores.chunks_mut(BLOCK).enumerate() {
                let least = top.least(rest[0]);
                collect(block, start + (number * BLOCK) as u32, least, candidates);
                finish(candidates, looked_at, rest, &mut top);
            }
            scores.fill(0.0);
        }
        adding.iter_mut().for_each(|list| list.at = list.end);
    }
    top.into_sorted()
}

/// A window with fewer entries than this part of its documents is not scanned.
const SPARSE: usize = 8;
/// A list with more entries than this many times those of all before it is not added up if it need not be.
const LONG: usize = 4;
/// Scores that are looked through before the `k`th score is brought up to date.
const BLOCK: usize = 1_024;
/// Entries among which one is looked for at once.
const NEAR: usize = 64;
/// Scores that are compared at once.
const STEP: usize = 16;

impl List<'_> {
    /// The first entry, from the current one on, of document `doc` or a later one.
    fn seek(&self, doc: u32) -> usize {
        let is_before = |place: usize| self.docs.get(place).is_some_and(|at| *at < doc);
        let (mut low, mut step) = (self.at, NEAR);
        while is_before(low + step - 1) {
            low += step;
            step *= 2;
        }
        while step > NEAR {
            step /= 2;
            if is_before(low + step - 1) {
                low += step;
            }
        }
        // Counting all that are before it takes less time than branches that cannot be predicted.
        let count = |near: &[u32]| near.iter().map(|at| u32::from(*at < doc)).sum::<u32>() as usize;
        match self.docs[low..].first_chunk::<NEAR>() {
            Some(near) => low + count(near),
            None => low + count(&self.docs[low..]),
        }
    }

    /// The entry of a document that is not before the last one that was asked for.
    fn find(&mut self, doc: u32) -> Option<usize> {
        if let Some(places) = self.places {
            return places.get(doc);
        }
        self.at = self.seek(doc);
        (self.docs.get(self.at) == Some(&doc)).then_some(self.at)
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
        if step.iter().map(|score| u32::from(*score >= least)).sum::<u32>() > 0 {
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
            if may && let Some(place) = list.find(*doc) {
                *score += list.weight * list.scores[place];
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
    /// Scores, which are positive, as bits, and below them the document: in order of these numbers, hits are in order.
    best: Vec<u64>,
    /// A score that `k` documents have: the `k`th of some time ago.
    threshold: f32,
}

/// How many more than the best `k` are kept before the others are dropped.
const SPARE: usize = 64;

impl Top {
    fn new(k: usize, base: f64, lists: &[List]) -> Self {
        // Each sum, and the last one with `base`, is rounded by at most half of 2^-23.
        let slack = 1.0 + f64::from(f32::EPSILON) * (lists.len() + 2) as f64;
        let takes_away = lists.iter().any(|list| list.most < 0.0);
        let floor = if takes_away { 0.0 } else { lists.iter().map(|list| list.floor).fold(0.0, f32::max) };
        Self { k, base, slack, best: Vec::new(), threshold: (base + f64::from(floor)) as f32 }
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
        if score >= self.threshold && sum > 0.0 && self.k > 0 {
            self.best.push(u64::from(score.to_bits()) << 32 | u64::from(doc));
            if self.best.len() == self.k + SPARE.max(self.k / 2) {
                self.best.select_nth_unstable_by_key(self.k - 1, |hit| Reverse(*hit));
                self.best.truncate(self.k);
                self.threshold = hit(self.best[self.k - 1]).1;
            }
        }
    }

    fn into_sorted(mut self) -> Vec<(u32, f32)> {
        if self.k > 0 && self.best.len() > self.k {
            self.best.select_nth_unstable_by_key(self.k - 1, |hit| Reverse(*hit));
            self.best.truncate(self.k);
        }
        self.best.sort_unstable_by_key(|hit| Reverse(*hit));
        self.best.into_iter().map(hit).collect()
    }
}

fn hit(bits: u64) -> (u32, f32) {
    (bits as u32, f32::from_bits((bits >> 32) as u32))
}
