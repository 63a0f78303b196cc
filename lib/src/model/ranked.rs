//! Lists of documents in order.

/// A document of a list that `rank` has put in order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Its place in the list that was given.
    pub index: usize,
    pub score: f32,
}

/// The best score first; of equal scores the earlier document.
pub(super) fn ranked(scores: Vec<f32>) -> Vec<Ranked> {
    let mut ranked: Vec<Ranked> =
        scores.into_iter().enumerate().map(|(index, score)| Ranked { index, score }).collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranked
}
