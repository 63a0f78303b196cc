//! Sums of losses: `0.7 * a + 0.3 * b`.

use std::fmt;
use std::ops::{Add, Mul};
use std::sync::Arc;

use candle_core::Tensor;
use serde_json::{Value, json};

use super::needs::Labelled;
use super::{
    ADRMSE, AdaptiveLayer, AnglE, Batch, BatchAllTriplet, BatchHardSoftMarginTriplet, BatchHardTriplet,
    BatchSemiHardTriplet, BinaryCrossEntropy, CSR, CoSENT, Contrastive, ContrastiveTension,
    ContrastiveTensionInBatchNegatives, CosineSimilarity, CrossEntropy, Custom, DistillKLDiv, EmbedDistill, Flops,
    GISTEmbed, GlobalOrthogonalRegularization, InfoNCE, LambdaLoss, ListMLE, ListNet, Loss, LossParameter, MSE,
    MarginMSE, Matryoshka, MegaBatchMargin, MultipleNegativesRanking, NTXent, Needs, OnlineContrastive, PListMLE,
    RankNet, Reads, Softmax, SpladeLoss, Term, Triplet, prior_layers_of_any, total,
};
use crate::Result;
use crate::error::expect;
use crate::random::Philox;

/// Losses that are added, each with its weight. A step reports every term.
///
/// ```
/// use kensaku::loss::{Batch, Loss, MegaBatchMargin, MultipleNegativesRanking};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let sum = 0.7 * MultipleNegativesRanking::default() + 0.3 * MegaBatchMargin::default();
/// let rows = Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8]], &Device::Cpu)?;
/// let terms = sum.terms(&Batch::pairs(rows.clone(), rows))?;
/// assert_eq!((terms[0].name.as_str(), terms[1].weight), ("MultipleNegativesRanking", 0.3));
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Sum(Vec<(f64, Arc<dyn Loss>)>);

impl Sum {
    fn of(weight: f64, loss: impl Loss + 'static) -> Self {
        Self(vec![(weight, Arc::new(loss))])
    }
}

impl Loss for Sum {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        total(&self.terms(batch)?)
    }

    fn terms(&self, batch: &Batch) -> Result<Vec<Term>> {
        let mut all = Vec::new();
        for (weight, loss) in &self.0 {
            let terms = loss.terms(batch)?;
            all.extend(terms.into_iter().map(|term| Term { weight: weight * term.weight, ..term }));
        }
        Ok(all)
    }

    fn check(&self) -> Result<()> {
        self.0.iter().try_for_each(|(weight, loss)| {
            expect("weight", *weight, "a finite number", weight.is_finite())?;
            loss.check()
        })
    }

    fn parameters(&self, dim: usize, seed: u64) -> Result<Vec<LossParameter>> {
        let mut all = Vec::new();
        for (_, loss) in &self.0 {
            all.extend(loss.parameters(dim, seed)?);
        }
        Ok(all)
    }

    fn observe(&self, batch: &Batch) -> Result<Vec<(String, Tensor)>> {
        let mut all = Vec::new();
        for (_, loss) in &self.0 {
            all.extend(loss.observe(batch)?);
        }
        Ok(all)
    }

    /// Those that any of them wants.
    fn prior_layers(&self, layers: usize, rng: &mut Philox) -> Result<Vec<usize>> {
        prior_layers_of_any(self.0.iter().map(|(_, loss)| loss), layers, rng)
    }

    /// What all of them need.
    fn needs(&self) -> Needs {
        self.0.iter().map(|(_, loss)| loss.needs()).reduce(Needs::and).unwrap_or_default()
    }

    fn settings(&self) -> Value {
        let terms = self
            .0
            .iter()
            .map(|(weight, loss)| json!({ "weight": weight, "name": loss.needs().name, "settings": loss.settings() }));
        json!({ "sum": terms.collect::<Vec<_>>() })
    }

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        self.0.iter().find_map(|(_, loss)| loss.objection(dim, unit))
    }
}

impl Needs {
    fn and(self, other: Self) -> Self {
        let labels = match (self.labels, other.labels) {
            (Labelled::No | Labelled::Unknown | Labelled::Optional, labels) if labels != Labelled::No => labels,
            (labels, _) => labels,
        };
        let columns = *self.columns.start().max(other.columns.start())..=*self.columns.end().min(other.columns.end());
        Self {
            name: "a sum of losses",
            columns,
            labels,
            score_range: self.score_range.or(other.score_range),
            in_batch: self.in_batch || other.in_batch,
            guide: self.guide || other.guide,
            reads: if self.reads == Reads::Scores { other.reads } else { self.reads },
            lists: self.lists && other.lists,
        }
    }
}

impl<R: Loss + 'static> Add<R> for Sum {
    type Output = Self;

    fn add(mut self, other: R) -> Self {
        self.0.extend(Self::of(1.0, other).0);
        self
    }
}

impl Mul<Sum> for f64 {
    type Output = Sum;

    fn mul(self, mut sum: Sum) -> Sum {
        sum.0.iter_mut().for_each(|(weight, _)| *weight *= self);
        sum
    }
}

/// Those that are made of another.
macro_rules! wrappers {
    ($($wrapper:ident),*) => {$(
        impl<L: Loss + 'static> Mul<$wrapper<L>> for f64 {
            type Output = Sum;

            fn mul(self, loss: $wrapper<L>) -> Sum {
                Sum::of(self, loss)
            }
        }

        impl<L: Loss + 'static, R: Loss + 'static> Add<R> for $wrapper<L> {
            type Output = Sum;

            fn add(self, other: R) -> Sum {
                Sum::of(1.0, self) + other
            }
        }
    )*};
}

wrappers!(AdaptiveLayer, CSR, Matryoshka, SpladeLoss);

/// Rust has no weight times any loss: one by one.
macro_rules! terms {
    ($($loss:ty),* $(,)?) => {$(
        impl Mul<$loss> for f64 {
            type Output = Sum;

            fn mul(self, loss: $loss) -> Sum {
                Sum::of(self, loss)
            }
        }

        impl<R: Loss + 'static> Add<R> for $loss {
            type Output = Sum;

            fn add(self, other: R) -> Sum {
                Sum::of(1.0, self) + other
            }
        }
    )*};
}

terms!(
    ADRMSE,
    AnglE,
    BatchAllTriplet,
    BatchHardSoftMarginTriplet,
    BatchHardTriplet,
    BatchSemiHardTriplet,
    BinaryCrossEntropy,
    CoSENT,
    Contrastive,
    ContrastiveTension,
    ContrastiveTensionInBatchNegatives,
    CosineSimilarity,
    CrossEntropy,
    Custom,
    DistillKLDiv,
    EmbedDistill,
    Flops,
    GISTEmbed,
    GlobalOrthogonalRegularization,
    InfoNCE,
    LambdaLoss,
    ListMLE,
    ListNet,
    MSE,
    MarginMSE,
    MegaBatchMargin,
    MultipleNegativesRanking,
    NTXent,
    OnlineContrastive,
    PListMLE,
    RankNet,
    Softmax,
    Triplet,
);

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut terms = Vec::new();
        spoken(1.0, "", &self.settings(), &mut terms);
        f.write_str(&terms.join(" + "))
    }
}

/// Each term with its weight; a sum in a sum is its terms.
fn spoken(weight: f64, name: &str, settings: &Value, terms: &mut Vec<String>) {
    let Some(sum) = settings["sum"].as_array() else {
        terms.push(format!("{weight} * {}", if name.is_empty() { "a closure" } else { name }));
        return;
    };
    for term in sum {
        let own = term["weight"].as_f64().unwrap_or(f64::NAN);
        spoken(weight * own, term["name"].as_str().unwrap_or_default(), &term["settings"], terms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::custom;

    #[test]
    fn a_sum_is_printed_term_by_term() {
        let own = || custom(|batch| Ok(batch.scores()?.mean_all()?));
        let sum = 0.5 * MultipleNegativesRanking::default() + 0.25 * own();
        assert_eq!(format!("{sum:?}"), "0.5 * MultipleNegativesRanking + 0.25 * a closure");
        assert_eq!(
            format!("{:?}", 0.5 * (own() + 0.5 * sum)),
            "0.5 * a closure + 0.125 * MultipleNegativesRanking + 0.0625 * a closure"
        );
    }
}
