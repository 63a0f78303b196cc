use super::Ranking;
use super::ranking::share;

/// The share of the relevant documents found among the first `k`.
pub(super) fn recall(ranking: &Ranking, k: usize) -> f64 {
    share(ranking.relevant_ranks(k).count() as f64, ranking.relevant())
}
