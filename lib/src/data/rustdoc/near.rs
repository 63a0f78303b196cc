//! Near-duplicate summaries, so that none is on both sides of the split.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;

/// Two summaries are near duplicates if the sets of their words have a Jaccard similarity of at
/// least 3/5: |A and B| / |A or B|. Of four words one may differ (3/5), of nine two (7/11).
///
/// A fraction, not a float: rounding must not decide which lists are compared.
const NEAR: (usize, usize) = (3, 5);

/// For each set of words the smallest index of its group; groups are the connected components of
/// "near duplicate". Exact (every pair at or above the threshold is found) and independent of the
/// number of threads.
///
/// Sets are compared only where they share one of their rarest words: two sets with Jaccard
/// similarity t share at least one word among the first `n - ceil(t n) + 1` of each, in any fixed
/// order of words (prefix filtering, Chaudhuri et al. 2006, "A primitive operator for similarity
/// joins"); the rarest first makes these lists short.
pub(super) fn groups(texts: &[Vec<String>]) -> Vec<usize> {
    let sets = rank(texts);
    let mut holders: HashMap<u32, Vec<usize>> = HashMap::new();
    for (at, set) in sets.iter().enumerate() {
        for word in prefix(set) {
            holders.entry(*word).or_default().push(at);
        }
    }
    let pairs: Vec<(usize, usize)> = (0..sets.len())
        .into_par_iter()
        .flat_map_iter(|at| {
            let others = prefix(&sets[at]).iter().flat_map(|word| &holders[word]);
            let earlier: BTreeSet<usize> = others.copied().filter(|other| *other < at).collect();
            let sets = &sets;
            earlier.into_iter().filter(move |other| near(&sets[*other], &sets[at])).map(move |other| (other, at))
        })
        .collect();
    let mut parents: Vec<usize> = (0..sets.len()).collect();
    for (a, b) in pairs {
        let (a, b) = (root(&mut parents, a), root(&mut parents, b));
        parents[a.max(b)] = a.min(b);
    }
    (0..sets.len()).map(|at| root(&mut parents, at)).collect()
}

/// Words as numbers, the rarest first; each set sorted.
fn rank(texts: &[Vec<String>]) -> Vec<Vec<u32>> {
    let sets: Vec<BTreeSet<&str>> = texts.iter().map(|words| words.iter().map(String::as_str).collect()).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    sets.iter().flatten().for_each(|word| *counts.entry(word).or_default() += 1);
    let mut by_rarity: Vec<(usize, &str)> = counts.into_iter().map(|(word, count)| (count, word)).collect();
    by_rarity.sort_unstable();
    let ranks: HashMap<&str, u32> = by_rarity.into_iter().zip(0..).map(|((_, word), rank)| (word, rank)).collect();
    let ranked = |set: &BTreeSet<&str>| {
        let mut set: Vec<u32> = set.iter().map(|word| ranks[word]).collect();
        set.sort_unstable();
        set
    };
    sets.iter().map(ranked).collect()
}

fn prefix(set: &[u32]) -> &[u32] {
    let shared = (NEAR.0 * set.len()).div_ceil(NEAR.1);
    &set[..(set.len() + 1 - shared).min(set.len())]
}

/// Of sorted sets.
fn near(a: &[u32], b: &[u32]) -> bool {
    let (mut i, mut j, mut both) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j, both) = (i + 1, j + 1, both + 1),
        }
    }
    let either = a.len() + b.len() - both;
    NEAR.1 * both >= NEAR.0 * either
}

fn root(parents: &mut [usize], mut at: usize) -> usize {
    while parents[at] != at {
        parents[at] = parents[parents[at]];
        at = parents[at];
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(lines: &[&str]) -> Vec<Vec<String>> {
        lines.iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
    }

    #[test]
    fn one_word_of_four_differs() {
        let found = groups(&texts(&["a b c d", "w x y z", "a b c e", "d c b a", "w x p q"]));
        assert_eq!(found, [0, 1, 0, 0, 4]);
    }

    proptest! {
        #[test]
        fn every_near_pair_is_in_one_group(sets in prop::collection::vec(prop::collection::vec(0u32..12, 1..7), 1..40)) {
            let texts: Vec<Vec<String>> = sets.iter().map(|set| set.iter().map(u32::to_string).collect()).collect();
            let found = groups(&texts);
            let ranked = rank(&texts);
            let mut expected: Vec<usize> = (0..sets.len()).collect();
            for b in 0..sets.len() {
                for a in 0..b {
                    if near(&ranked[a], &ranked[b]) {
                        let (low, high) = (expected[a].min(expected[b]), expected[a].max(expected[b]));
                        expected.iter_mut().filter(|group| **group == high).for_each(|group| *group = low);
                    }
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
