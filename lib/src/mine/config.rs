//! How hard negatives are chosen.

use serde::{Deserialize, Serialize};

use super::candidates::check_number;
use crate::data::Corpus;
use crate::error::expect;
use crate::{Error, Result};

/// How [`mine_negatives`](super::mine_negatives) and [`hard_negatives`](super::hard_negatives) choose. Ranks count from 0, over
/// the documents that may be negatives: what a margin or a limit shuts out has no rank.
///
/// ```
/// use kensaku::mine::MineConfig;
/// // No document that scores within 5 % of the positive: "TopK-PercPos" of NV-Retriever (Moreira et al. 2024).
/// let config = MineConfig { num_negatives: 4, relative_margin: Some(0.05), ..Default::default() };
/// # assert_eq!(config.range_max, 100);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MineConfig {
    /// Negatives per query, fewer than the corpus has documents. Default 1.
    pub num_negatives: usize,
    /// The first rank to take: the very best ones are often relevant without a judgement. Default 0.
    pub range_min: usize,
    /// The rank after the last one to take. Default 100.
    pub range_max: usize,
    /// Which documents of the range to take. Default the best.
    pub sampling: Sampling,
    /// For [`Sampling::Random`]: same seed, same negatives.
    pub seed: u64,
    /// Shuts out a document that scores more than this. Default none.
    pub max_score: Option<f64>,
    /// Shuts out a document that scores less than this. Default none.
    pub min_score: Option<f64>,
    /// Shuts out a document unless its score is lower than that of the query's lowest positive by at least this. Default none.
    pub absolute_margin: Option<f64>,
    /// Shuts out a document that scores above `p - |p| margin`, where `p` is the score of the query's lowest positive. 0.05
    /// is 95 % of it. Default none.
    pub relative_margin: Option<f64>,
}

/// Which documents of a range become negatives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// The best.
    #[default]
    Top,
    /// Any, each equally likely; those drawn keep the order of their ranks.
    Random,
}

impl Default for MineConfig {
    fn default() -> Self {
        Self {
            num_negatives: 1,
            range_min: 0,
            range_max: 100,
            sampling: Sampling::Top,
            seed: 42,
            max_score: None,
            min_score: None,
            absolute_margin: None,
            relative_margin: None,
        }
    }
}

impl MineConfig {
    pub(super) fn check(&self, corpus: &Corpus) -> Result<()> {
        check_number(self.num_negatives, corpus)?;
        if self.range_max < self.range_min.saturating_add(self.num_negatives) {
            let expected = format!("at least range_min + num_negatives = {} + {}", self.range_min, self.num_negatives);
            return Err(Error::Setting { field: "range_max", value: self.range_max.to_string(), expected });
        }
        let not_nan = |field, value: Option<f64>| {
            expect(field, value.unwrap_or(0.0), "a number, or None", value.is_none_or(|value| !value.is_nan()))
        };
        not_nan("max_score", self.max_score)?;
        not_nan("min_score", self.min_score)?;
        let at_least_0 = |field, value: Option<f64>| {
            expect(field, value.unwrap_or(0.0), "0 or more, or None", value.is_none_or(|value| value >= 0.0))
        };
        at_least_0("absolute_margin", self.absolute_margin)?;
        at_least_0("relative_margin", self.relative_margin)?;
        if let (Some(low), Some(high)) = (self.min_score, self.max_score)
            && low > high
        {
            let expected = format!("at most max_score = {high}");
            return Err(Error::Setting { field: "min_score", value: low.to_string(), expected });
        }
        Ok(())
    }

    /// What shuts a document out, if anything does. `positive` is the score of the lowest positive, `None` if it is below all
    /// hits.
    pub(super) fn shut_out(&self, score: f64, positive: Option<f64>) -> Option<Rule> {
        let near = |limit: &dyn Fn(f64) -> bool| positive.is_none_or(limit);
        if let Some(margin) = self.absolute_margin
            && near(&|positive| score + margin > positive)
        {
            return Some(Rule::AbsoluteMargin);
        }
        if let Some(margin) = self.relative_margin
            && near(&|positive| score > positive - positive.abs() * margin)
        {
            return Some(Rule::RelativeMargin);
        }
        if self.max_score.is_some_and(|most| score > most) {
            return Some(Rule::MaxScore);
        }
        self.min_score.is_some_and(|least| score < least).then_some(Rule::MinScore)
    }
}

/// Why a document cannot be a negative, in the order of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    AbsoluteMargin,
    RelativeMargin,
    MaxScore,
    MinScore,
}

impl Rule {
    pub(super) const ALL: [(Self, &'static str); 4] = [
        (Self::AbsoluteMargin, "absolute_margin"),
        (Self::RelativeMargin, "relative_margin"),
        (Self::MaxScore, "max_score"),
        (Self::MinScore, "min_score"),
    ];
}
