use super::Ranking;

/// 1 if any of the first `k` documents is relevant, else 0.
pub(super) fn success(ranking: &Ranking, k: usize) -> f64 {
    if ranking.relevant_ranks(k).next().is_some() { 1.0 } else { 0.0 }
}
