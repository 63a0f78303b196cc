//! How likely an order is.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::functions::{log_sum_exp, mask, without};
use super::lists::{List, lists, mean};
use super::{Batch, Loss};
use crate::Result;

/// `mean_q -sum_i (s_i - log sum_{j >= i} exp s_j)`: the likelihood of the right order of each query's documents
/// (Plackett-Luce).
///
/// The right order is that of the columns, or of the labels, one number per document. Source: Xia et al. 2008. Values and
/// gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, ListMLE, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let number = |x: f32| Tensor::new(&[[x]], &Device::Cpu);
/// let batch = Batch::read_pairs(vec![number(1.0)?, number(1.0)?]);
/// assert!((ListMLE::default().loss(&batch)?.to_scalar::<f32>()? - 2.0f32.ln()).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "ListMLELoss")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListMLE {
    /// Whether the columns are in the right order; otherwise labels tell it.
    pub respect_input_order: bool,
}

/// The same with a weight for each rank, `mean_q -sum_i w_i (s_i - log sum_{j >= i} exp s_j)`; the weights of a list sum
/// to 1.
///
/// Source: Lan et al. 2014. Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{PListMLE, RankWeight};
///
/// assert_eq!(RankWeight::Halving.of(3), [0.75, 0.25, 0.0]);
/// assert_eq!(RankWeight::Discount.of(1), [1.0]);
/// assert_eq!(PListMLE::default().weight, RankWeight::Halving);
/// ```
#[doc(alias = "PListMLELoss")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PListMLE {
    pub weight: RankWeight,
    /// As in [`ListMLE`].
    pub respect_input_order: bool,
}

/// How much a rank counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankWeight {
    /// `2^(n - i) - 1` of rank `i` of `n`: each counts about half of the one before.
    #[default]
    Halving,
    /// `1 / log2(1 + i)`, as in DCG.
    Discount,
}

impl RankWeight {
    /// The weights of a list of `n` documents, divided by their sum.
    pub fn of(self, n: usize) -> Vec<f64> {
        let weight = |rank: usize| match self {
            // Less the factor `2^n`, which no number holds of a long list.
            Self::Halving => 0.5f64.powf(rank as f64) - 0.5f64.powf(n as f64),
            Self::Discount => 1.0 / (1.0 + rank as f64).log2(),
        };
        let weights: Vec<f64> = (1..=n).map(weight).collect();
        let sum = weights.iter().sum::<f64>();
        // The only weight of a list of one may be 0.
        weights.into_iter().map(|weight| if sum > 0.0 { weight / sum } else { 0.0 }).collect()
    }
}

impl Default for ListMLE {
    fn default() -> Self {
        Self { respect_input_order: true }
    }
}

impl Default for PListMLE {
    fn default() -> Self {
        Self { weight: RankWeight::default(), respect_input_order: true }
    }
}

impl Loss for ListMLE {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        likelihood(batch, self.respect_input_order, |n| vec![1.0; n])
    }

    described!("ListMLE");
}

impl Loss for PListMLE {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        likelihood(batch, self.respect_input_order, |n| self.weight.of(n))
    }

    described!("PListMLE");
}

fn likelihood(batch: &Batch, in_order: bool, weights: impl Fn(usize) -> Vec<f64>) -> Result<Tensor> {
    let one = |list: List| {
        let scores = if in_order {
            list.scores
        } else {
            let order = List::order(&list.labels).into_iter().map(|place| place as u32).collect::<Vec<_>>();
            list.scores.index_select(&Tensor::new(order, list.scores.device())?, 0)?
        };
        let n = scores.dim(0)?;
        let earlier = mask(n, n, &scores, |row, column| column < row)?;
        let rest = without(&scores.unsqueeze(0)?.expand((n, n))?.contiguous()?, &earlier)?;
        let weights = Tensor::new(weights(n), scores.device())?.to_dtype(scores.dtype())?;
        Ok(((log_sum_exp(&rest)? - scores)? * weights)?.sum(0)?)
    };
    mean(lists(batch, !in_order)?.into_iter().map(one).collect::<Result<_>>()?)
}
