//! Selecting the best of many scores.

use std::cmp::Ordering;

/// The `k` best of the scores that are at least `floor`, with their positions, best first; of equal scores the later
/// position wins. No score is NaN: an index refuses those, they have no rank.
#[cfg(test)]
pub(crate) fn top_k(scores: &[f32], k: usize, floor: f32) -> Vec<(u32, f32)> {
    let mut best = Best::new(k.min(scores.len()), floor);
    for (position, &score) in scores.iter().enumerate() {
        if score >= best.threshold {
            best.push(position as u32, score);
        }
    }
    best.sorted()
}

/// The best so far of scores that come one by one.
#[derive(Clone)]
pub(crate) struct Best {
    k: usize,
    /// Nothing below this can be among the best: first the floor, then the kth best so far, updated after every k
    /// candidates.
    threshold: f32,
    found: Vec<(u32, f32)>,
}

impl Best {
    pub(crate) fn new(k: usize, floor: f32) -> Self {
        // No score is above infinity.
        let threshold = if k == 0 { f32::INFINITY } else { floor };
        Self { k, threshold, found: Vec::new() }
    }

    pub(crate) fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Adds a score that is not below the threshold.
    pub(crate) fn push(&mut self, position: u32, score: f32) {
        // Not -0, which is not below 0 in a run.
        self.found.push((position, score + 0.0));
        if self.found.len() >= 2 * self.k.max(8) {
            self.cut();
        }
    }

    /// What both have found, of positions that differ.
    pub(crate) fn merge(&mut self, other: Self) {
        self.found.extend(other.found);
        self.cut();
    }

    /// The best, in order.
    pub(crate) fn sorted(mut self) -> Vec<(u32, f32)> {
        self.found.sort_unstable_by(best_first);
        self.found.truncate(self.k);
        self.found
    }

    fn cut(&mut self) {
        if self.found.len() > self.k && self.k > 0 {
            self.found.select_nth_unstable_by(self.k - 1, best_first);
            self.threshold = self.found[self.k - 1].1;
        }
        self.found.truncate(self.k);
    }
}

/// The smallest score above zero: a document without any is not a hit of a lexical search.
pub(crate) const SMALLEST: f32 = f32::from_bits(1);

fn best_first(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then_with(|| b.0.cmp(&a.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_sorting_everything(
            scores in prop::collection::vec((-2i32..6).prop_map(|level| level as f32 / 2.0), 0..200),
            k in 0usize..40,
        ) {
            let mut sorted: Vec<(u32, f32)> = (0..).zip(scores.iter().copied()).filter(|(_, score)| *score > 0.0).collect();
            sorted.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(b.0.cmp(&a.0)));
            sorted.truncate(k);
            prop_assert_eq!(top_k(&scores, k, SMALLEST), sorted);
        }
    }

    #[test]
    fn odd_scores() {
        assert_eq!(top_k(&[1.0, f32::INFINITY, -0.0, -1.0], usize::MAX, SMALLEST), [(1, f32::INFINITY), (0, 1.0)]);
        assert!(top_k(&[], 3, SMALLEST).is_empty());
    }
}
