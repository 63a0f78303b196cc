//! The documents of one query.

use std::cmp::Ordering;
use std::fmt;

use polars::prelude::{PlIndexSet, PlSmallStr};

/// Document ids, each once: a run names a document by its position here.
pub(crate) type DocIds = PlIndexSet<PlSmallStr>;

/// One retrieved document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit<'a> {
    pub doc_id: &'a str,
    pub score: f64,
}

/// The documents that a system returned for a query, best first.
///
/// ```
/// use kensaku::eval::{Hit, Run};
/// let mut run = Run::new();
/// run.insert("q1", [("a", 0.5), ("b", 2.0)]);
/// for Hit { doc_id, score } in run.hits("q1") {
///     println!("{doc_id} {score}");
/// }
/// assert!(run.hits("q1").doc_ids().eq(["b", "a"]));
/// ```
#[derive(Clone, Copy)]
pub struct Hits<'a> {
    ids: &'a DocIds,
    ranked: &'a Ranked,
}

/// The same as numbers: 12 bytes per hit.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranked {
    docs: Vec<u32>,
    scores: Vec<f64>,
}

/// No hits.
pub(super) static NOTHING: Ranked = Ranked { docs: Vec::new(), scores: Vec::new() };

impl Ranked {
    /// From hits in any order.
    pub(super) fn sorted(mut hits: Vec<(u32, f64)>, ids: &DocIds) -> Self {
        // Ids are far away in memory, and most scores differ.
        let id = |doc: &u32| ids[*doc as usize].as_bytes();
        hits.sort_unstable_by(|(one, score), (other, others)| {
            by_score(*score, *others).then_with(|| id(other).cmp(id(one)))
        });
        hits.into_iter().collect()
    }

    pub(super) fn top(&self, k: usize) -> Self {
        let k = k.min(self.docs.len());
        Self { docs: self.docs[..k].to_vec(), scores: self.scores[..k].to_vec() }
    }
}

impl FromIterator<(u32, f64)> for Ranked {
    fn from_iter<I: IntoIterator<Item = (u32, f64)>>(hits: I) -> Self {
        let (docs, scores) = hits.into_iter().unzip();
        Self { docs, scores }
    }
}

impl<'a> Hits<'a> {
    pub(super) fn new(ids: &'a DocIds, ranked: &'a Ranked) -> Self {
        Self { ids, ranked }
    }

    /// The number of hits.
    pub fn len(&self) -> usize {
        self.ranked.docs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The hit of a rank, counted from 0.
    pub fn get(&self, rank: usize) -> Option<Hit<'a>> {
        let doc = *self.ranked.docs.get(rank)?;
        Some(Hit { doc_id: &self.ids[doc as usize], score: self.ranked.scores[rank] })
    }

    /// The hits, best first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Hit<'a>> + use<'a> {
        self.into_iter()
    }

    /// Their ids, best first.
    pub fn doc_ids(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let ids = self.ids;
        self.ranked.docs.iter().map(move |doc| ids[*doc as usize].as_str())
    }

    /// Their scores, best first.
    pub fn scores(&self) -> &'a [f64] {
        &self.ranked.scores
    }

    /// Their numbers in the ids of the run, best first.
    pub(super) fn docs(&self) -> &'a [u32] {
        &self.ranked.docs
    }
}

/// Iterates over [`Hits`].
#[derive(Debug, Clone)]
pub struct HitsIter<'a> {
    hits: Hits<'a>,
    next: usize,
}

impl<'a> Iterator for HitsIter<'a> {
    type Item = Hit<'a>;

    fn next(&mut self) -> Option<Hit<'a>> {
        let hit = self.hits.get(self.next)?;
        self.next += 1;
        Some(hit)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.hits.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for HitsIter<'_> {}

impl<'a> IntoIterator for Hits<'a> {
    type Item = Hit<'a>;
    type IntoIter = HitsIter<'a>;

    fn into_iter(self) -> HitsIter<'a> {
        HitsIter { hits: self, next: 0 }
    }
}

/// The same documents in the same order with the same scores.
impl PartialEq for Hits<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Hits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The higher score first; ties are by id, the later first.
fn by_score(score: f64, other: f64) -> Ordering {
    sort_key(other).total_cmp(&sort_key(score))
}

fn sort_key(score: f64) -> f32 {
    // A negative NaN is the lowest in the total order; adding 0 makes -0 equal to 0.
    if score.is_nan() { f32::NAN.copysign(-1.0) } else { score as f32 + 0.0 }
}
