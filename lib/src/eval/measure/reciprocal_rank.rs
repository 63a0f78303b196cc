use super::Ranking;

/// 1 / rank of the first relevant document among the first `k`; 0 without any.
pub(super) fn reciprocal_rank(ranking: &Ranking, k: usize) -> f64 {
    ranking.relevant_ranks(k).next().map_or(0.0, |rank| 1.0 / rank as f64)
}
