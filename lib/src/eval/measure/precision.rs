use super::Ranking;

/// The share of relevant documents among the first `k`; missing documents count as not relevant.
pub(super) fn precision(ranking: &Ranking, k: usize) -> f64 {
    ranking.relevant_ranks(k).count() as f64 / k as f64
}
