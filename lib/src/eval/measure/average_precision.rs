use super::Ranking;
use super::ranking::share;

/// The precision at the rank of each relevant document among the first `k`, summed and divided by the
/// number of all relevant documents (not by `k` where that is smaller).
pub(super) fn average_precision(ranking: &Ranking, k: usize) -> f64 {
    let precisions = (1..).zip(ranking.relevant_ranks(k)).map(|(found, rank)| f64::from(found) / rank as f64);
    share(precisions.sum(), ranking.relevant())
}
