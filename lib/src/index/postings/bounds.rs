//! What a search is told of the lists beforehand, so that it need not look at all of them.

use polars::prelude::PlHashMap;
use rayon::prelude::*;

use super::Postings;
use super::search::List;

/// The best scores of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::index) struct Best {
    pub(super) most: f32,
    /// The scores at [`RANKS`]; 0 where the list is shorter.
    ranked: [f32; RANKS.len()],
}

const RANKS: [usize; 3] = [10, 100, 1_000];

impl Best {
    fn new(scores: &[f32], sorted: &mut Vec<f32>) -> Self {
        let mut best = Self { most: scores.iter().copied().fold(0.0, f32::max), ..Self::default() };
        if scores.len() >= RANKS[0] {
            sorted.clear();
            sorted.extend_from_slice(scores);
            for (rank, place) in RANKS.iter().zip(&mut best.ranked).rev() {
                if *rank <= sorted.len() {
                    sorted.select_nth_unstable_by(rank - 1, |a, b| b.total_cmp(a));
                    sorted.truncate(*rank);
                    *place = sorted[rank - 1];
                }
            }
        }
        best
    }

    /// A score that at least `k` documents of the list have.
    pub(super) fn at_rank(&self, k: usize) -> f32 {
        RANKS.iter().position(|rank| *rank >= k).map_or(0.0, |place| self.ranked[place])
    }
}

/// The documents of a list as bits, and how many there are before each word of bits.
pub(super) struct Places {
    words: Vec<(u64, u32)>,
}

impl Places {
    /// For the documents of a list among `docs`; none if they are so few that this takes much memory beside the list.
    pub(super) fn new(list: &[u32], docs: usize) -> Option<Self> {
        if list.len() <= docs / 8 {
            return None;
        }
        let mut words = vec![(0_u64, 0); docs.div_ceil(64)];
        list.iter().for_each(|doc| words[*doc as usize / 64].0 |= 1 << (doc % 64));
        let mut before = 0;
        for (bits, rank) in &mut words {
            *rank = before;
            before += bits.count_ones();
        }
        Some(Self { words })
    }

    pub(super) fn get(&self, doc: u32) -> Option<usize> {
        let (bits, rank) = self.words[doc as usize / 64];
        let bit = 1 << (doc % 64);
        (bits & bit != 0).then(|| (rank + (bits & (bit - 1)).count_ones()) as usize)
    }
}

/// What is known of all lists.
#[derive(Default)]
pub(in crate::index) struct Bounds {
    /// The best scores of each list.
    pub(in crate::index) best: Vec<Best>,
    /// Of the lists that many documents are in.
    places: PlHashMap<u32, Places>,
}

impl Bounds {
    pub(in crate::index) fn new(postings: Postings<'_>, docs: usize) -> Self {
        let lists = (0..postings.ends.len()).into_par_iter().with_min_len(1_024);
        let best =
            lists.clone().map_init(Vec::new, |sorted, list| Best::new(&postings.scores[postings.range(list)], sorted));
        let places = |list| Some((list as u32, Places::new(&postings.docs[postings.range(list)], docs)?));
        Self { best: best.collect(), places: lists.filter_map(places).collect::<Vec<_>>().into_iter().collect() }
    }

    /// A list as a search for the best `k` goes through it, unless it changes the score of no document. What it adds is
    /// multiplied by `weight`.
    pub(in crate::index) fn list<'a>(
        &'a self,
        postings: Postings<'a>,
        list: u32,
        weight: f32,
        k: usize,
    ) -> Option<List<'a>> {
        let (range, best) = (postings.range(list as usize), &self.best[list as usize]);
        let most = weight * best.most;
        let floor = if weight > 0.0 { weight * best.at_rank(k) } else { 0.0 };
        let (docs, scores, places) = (&postings.docs[range.clone()], &postings.scores[range], self.places.get(&list));
        (most != 0.0).then_some(List { docs, scores, weight, most, floor, places, at: 0, end: 0 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn scores_at_ranks_and_places(
            scores in prop::collection::vec((0u32..50).prop_map(|level| level as f32), 1..2_500),
            step in 1usize..10,
        ) {
            let best = Best::new(&scores, &mut Vec::new());
            let mut sorted = scores.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            prop_assert_eq!(best.most, sorted[0]);
            for (k, rank) in [(1, 10), (10, 10), (11, 100), (100, 100), (1_000, 1_000)] {
                prop_assert_eq!(best.at_rank(k), sorted.get(rank - 1).copied().unwrap_or(0.0));
            }
            prop_assert_eq!(best.at_rank(1_001), 0.0);

            let list: Vec<u32> = (0..scores.len() as u32).map(|place| place * step as u32).collect();
            let docs = scores.len() * step + 2;
            match Places::new(&list, docs) {
                None => prop_assert!(8 * list.len() <= docs),
                Some(places) => {
                    for doc in 0..docs as u32 {
                        prop_assert_eq!(places.get(doc), list.binary_search(&doc).ok());
                    }
                }
            }
        }
    }
}
