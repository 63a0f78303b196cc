use super::Ranking;

/// Normalized discounted cumulative gain: `sum of gain(rank) / log2(rank + 1)`, divided by the same
/// sum over all judged documents in the best order. The gain is the grade; a negative grade gains
/// nothing. Every positive grade counts, whatever the relevance level. Järvelin and Kekäläinen, TOIS 2002.
pub(super) fn ndcg(ranking: &Ranking, k: usize) -> f64 {
    let mut ideal = ranking.judged.clone();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best = discounted_gain(&ideal, k);
    if best > 0.0 { discounted_gain(&ranking.grades, k) / best } else { 0.0 }
}

fn discounted_gain(grades: &[i64], k: usize) -> f64 {
    let gains = (1..).zip(grades).take(k).filter(|(_, grade)| **grade > 0);
    gains.map(|(rank, grade)| *grade as f64 / f64::log2(f64::from(rank) + 1.0)).sum()
}
