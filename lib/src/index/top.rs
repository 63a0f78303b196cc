//! Selecting the best of many scores.

use std::cmp::Ordering;

/// The `k` best of the scores that are at least `floor`, with their positions, best first; of equal scores the later
/// position wins. No score is NaN: an index refuses those, they have no rank.
pub(crate) fn top_k(scores: &[f32], k: usize, floor: f32) -> Vec<(u32, f32)> {
    let k = k.min(scores.len());
    if k == 0 {
        return Vec::new();
    }
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(2 * k);
    // Nothing below this can be among the best: first the floor, then the kth best so far, updated after every k
    // candidates.
    let mut threshold = floor;
    for (position, &score) in scores.iter().enumerate() {
        if score >= threshold {
            best.push((position as u32, score));
            if best.len() == 2 * k {
                best.select_nth_unstable_by(k - 1, best_first);
                best.truncate(k);
                threshold = best[k - 1].1;
            }
        }
    }
    best.sort_unstable_by(best_first);
    best.truncate(k);
    best
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
