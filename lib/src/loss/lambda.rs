//! Pairs of documents, weighted by what their order is worth.

use std::f64::consts::LN_2;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::functions::softplus;
use super::lists::{List, lists};
use super::{Batch, Loss, positive};
use crate::error::expect;
use crate::{Error, Result};

/// `mean_ij -w_ij log σ(σ_0 (s_i - s_j))` over the pairs of one query's documents whose labels say `y_i > y_j`, of all
/// queries of the batch.
///
/// The [weight](PairWeight) of a pair is what a swap of the two changes of nDCG, at the ranks that the scores give them.
/// It has no gradient. Labels are one number per document. Source: Burges et al. 2006, Wang et al. 2018. Values and
/// gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, LambdaLoss, Loss, PairWeight};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let number = |x: f32| Tensor::new(&[[x]], &Device::Cpu);
/// let labels = Some(Tensor::new(&[[1.0f32, 0.0]], &Device::Cpu)?);
/// let batch = Batch { labels, ..Batch::read_pairs(vec![number(3.0)?, number(3.0)?]) };
/// let loss = LambdaLoss { weight: PairWeight::One, ..Default::default() };
/// // In bits: one, for a coin toss.
/// assert!((loss.loss(&batch)?.to_scalar::<f32>()? - 1.0).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LambdaLoss {
    pub weight: PairWeight,
    /// The share of [`PairWeight::NdcgLoss2`] in [`PairWeight::NdcgLoss2PP`].
    pub mu: f64,
    /// `σ_0`, how steep the loss is.
    pub sigma: f64,
    /// Only pairs one of which is among the first `k` by score.
    pub k: Option<usize>,
    /// The logarithm: of base 2, or natural.
    pub log: Logarithm,
}

/// [`LambdaLoss`] without weights: every pair counts the same (Burges et al. 2005).
#[doc(alias = "RankNetLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RankNet {
    /// How steep the loss is.
    pub sigma: f64,
    /// Only pairs one of which is among the first `k` by score.
    pub k: Option<usize>,
}

/// The weight of a pair of documents at the ranks `i` and `j`, with gains `G = (2^y - 1) / maxDCG` and discounts
/// `D_i = log2(1 + i)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairWeight {
    /// 1
    One,
    /// `G_i / D_i`, of all pairs whatever their labels.
    NdcgLoss1,
    /// `|1 / D_|i-j| - 1 / D_(|i-j|+1)| |G_i - G_j|`
    NdcgLoss2,
    /// `|1 / D_i - 1 / D_j| |G_i - G_j|`
    LambdaRank,
    /// `mu` times NDCG-Loss2 plus LambdaRank.
    #[default]
    NdcgLoss2PP,
}

/// The base of a logarithm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Logarithm {
    #[default]
    Binary,
    Natural,
}

impl Default for LambdaLoss {
    fn default() -> Self {
        Self { weight: PairWeight::default(), mu: 10.0, sigma: 1.0, k: None, log: Logarithm::default() }
    }
}

impl Default for RankNet {
    fn default() -> Self {
        Self { sigma: 1.0, k: None }
    }
}

impl Loss for LambdaLoss {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.check()?;
        let mut terms = Vec::new();
        let mut pairs = 0;
        for list in lists(batch, true)? {
            let (better, worse, weights) = self.pairs(&list)?;
            if weights.is_empty() {
                continue;
            }
            pairs += weights.len();
            let of = |places: Vec<u32>| list.scores.index_select(&Tensor::new(places, list.scores.device())?, 0);
            let differences = ((of(better)? - of(worse)?)? * self.sigma)?;
            let weights = Tensor::new(weights, list.scores.device())?.to_dtype(list.scores.dtype())?;
            terms.push((softplus(&differences.neg()?)? * weights)?.sum(0)?);
        }
        if terms.is_empty() {
            let expected = "a query whose documents have different labels".to_owned();
            return Err(Error::NothingToTrain { problem: "a batch without pairs to order".to_owned(), expected });
        }
        let base = if self.log == Logarithm::Binary { LN_2 } else { 1.0 };
        Ok((Tensor::stack(&terms, 0)?.sum(0)? / (pairs as f64 * base))?)
    }

    fn check(&self) -> Result<()> {
        positive("sigma", self.sigma)?;
        positive("mu", self.mu)?;
        expect("k", 0, "at least 1", self.k != Some(0))
    }

    described!("LambdaLoss");
}

impl Loss for RankNet {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        LambdaLoss { weight: PairWeight::One, sigma: self.sigma, k: self.k, ..Default::default() }.loss(batch)
    }

    fn check(&self) -> Result<()> {
        LambdaLoss { sigma: self.sigma, k: self.k, ..Default::default() }.check()
    }

    described!("RankNet");
}

impl LambdaLoss {
    /// The places in the list of the better and the worse document of each pair, and its weight.
    fn pairs(&self, list: &List) -> Result<(Vec<u32>, Vec<u32>, Vec<f64>)> {
        let (order, labels) = (List::order(&list.found()?), &list.labels);
        let ideal = List::order(labels);
        let depth = self.k.unwrap_or(labels.len());
        let best: f64 = (1..).zip(&ideal).take(depth).map(|(rank, doc)| gain(labels[*doc]) / discount(rank)).sum();
        let gains: Vec<f64> = labels.iter().map(|label| if best > 0.0 { gain(*label) / best } else { 0.0 }).collect();
        let (mut better, mut worse, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for (i, a) in (1_usize..).zip(&order) {
            for (j, b) in (1_usize..).zip(&order) {
                let kept = self.weight == PairWeight::NdcgLoss1 || labels[*a] > labels[*b];
                if kept && (i <= depth || j <= depth) {
                    better.push(*a as u32);
                    worse.push(*b as u32);
                    weights.push(self.weight.of([i, j], [gains[*a], gains[*b]], self.mu));
                }
            }
        }
        Ok((better, worse, weights))
    }
}

impl PairWeight {
    fn of(self, [i, j]: [usize; 2], [first, second]: [f64; 2], mu: f64) -> f64 {
        let swap = (first - second).abs();
        let near = || {
            let apart = i.abs_diff(j);
            swap * (1.0 / discount(apart) - 1.0 / discount(apart + 1)).abs()
        };
        let lambda = || swap * (1.0 / discount(i) - 1.0 / discount(j)).abs();
        match self {
            Self::One => 1.0,
            Self::NdcgLoss1 => first / discount(i),
            Self::NdcgLoss2 => near(),
            Self::LambdaRank => lambda(),
            Self::NdcgLoss2PP => mu * near() + lambda(),
        }
    }
}

/// What a document of this label is worth.
fn gain(label: f64) -> f64 {
    label.exp2() - 1.0
}

/// By how much a rank, from 1, divides it.
fn discount(rank: usize) -> f64 {
    (1.0 + rank as f64).log2()
}
