//! What training minimises: one file per loss, and any closure of candle ops.
//!
//! A loss sees the embeddings of a batch as ordinary candle tensors that require gradients, and
//! returns a scalar:
//!
//! ```
//! use kensaku::loss::{self, Batch, Loss, MultipleNegativesRanking};
//! use kensaku::candle_nn::loss::cross_entropy;
//! # use kensaku::candle_core::{Device, Tensor};
//!
//! // The library's, and the same written by hand.
//! let library = MultipleNegativesRanking::default();
//! let by_hand = loss::custom(|batch| {
//!     let logits = (loss::cosine(batch.queries()?, batch.positives()?)? * 20.0)?;
//!     let own = Tensor::arange(0, logits.dim(0)? as u32, logits.device())?;
//!     Ok(cross_entropy(&logits, &own)?)
//! });
//!
//! # let rows = |seed: f32| Tensor::new(&[[1.0, seed, 0.0], [0.5, 1.0, seed]], &Device::Cpu);
//! let batch = Batch::pairs(rows(0.3)?, rows(0.7)?);
//! let difference = library.loss(&batch)?.sub(&by_hand.loss(&batch)?)?.to_scalar::<f32>()?;
//! assert!(difference.abs() < 1e-6);
//! # Ok::<(), kensaku::Error>(())
//! ```
//!
//! [`Batch::scores`] are those of the model, however it compares, so that a loss written with them suits any model.
//! Losses add up: `0.7 * a + 0.3 * b`, and [`Matryoshka`] and [`SpladeLoss`] are made of
//! any other.

/// The line of a loss in the table of needs, and its fields as settings.
macro_rules! described {
    ($name:literal) => {
        fn needs(&self) -> $crate::loss::Needs {
            $crate::loss::Needs::named($name)
        }

        fn settings(&self) -> serde_json::Value {
            serde_json::to_value(self).unwrap_or_default()
        }
    };
}

mod activated;
mod adaptive_layer;
mod adr_mse;
mod angle;
mod apart;
mod batch;
mod batch_triplets;
mod binary_cross_entropy;
mod classes;
mod contrastive;
mod contrastive_tension;
mod cosent;
mod cosine_similarity;
mod cross_entropy;
mod csr;
mod custom;
mod distance;
mod distill_kl_div;
mod flops;
mod functions;
mod gist_embed;
mod global_orthogonal;
mod info_nce;
mod lambda;
mod list_mle;
mod list_net;
mod lists;
mod margin_mse;
mod matryoshka;
mod max_sim;
mod mega_batch_margin;
mod mse;
mod multiple_negatives_ranking;
mod needs;
mod online_contrastive;
mod own_entropy;
mod parameter;
mod per_set;
mod scoring;
mod similarity;
mod softmax;
mod splade;
mod sum;
mod triplet;
mod xtr;

use std::sync::Arc;

use candle_core::{DType, Tensor};
use serde_json::Value;

use crate::error::expect;
use crate::random::Philox;
use crate::{Error, Result};

pub use activated::{Sigmoid, sigmoid};
pub use adaptive_layer::{AdaptiveLayer, LayerWeighting, matryoshka_2d};
pub use adr_mse::ADRMSE;
pub use angle::AnglE;
pub use batch::Batch;
pub use batch_triplets::{BatchAllTriplet, BatchHardSoftMarginTriplet, BatchHardTriplet, BatchSemiHardTriplet};
pub use binary_cross_entropy::BinaryCrossEntropy;
pub use contrastive::{Contrastive, Reduction};
pub use contrastive_tension::{ContrastiveTension, ContrastiveTensionInBatchNegatives};
pub use cosent::CoSENT;
pub use cosine_similarity::{CosineSimilarity, Difference};
pub use cross_entropy::CrossEntropy;
pub use csr::CSR;
pub(crate) use csr::{Autoencoder, LAST_NONZERO, LATENT_BIAS, PRE_BIAS, WEIGHT, largest};
pub use custom::{Custom, custom};
pub use distance::Distance;
pub use distill_kl_div::DistillKLDiv;
pub use flops::Flops;
pub use functions::{cross_entropy, kl_divergence, log_softmax, log_sum_exp, pairwise_ranking};
pub use gist_embed::{GISTEmbed, MarginStrategy};
pub use global_orthogonal::GlobalOrthogonalRegularization;
pub use info_nce::{InfoNCE, NTXent};
pub use lambda::{LambdaLoss, Logarithm, PairWeight, RankNet};
pub use list_mle::{ListMLE, PListMLE, RankWeight};
pub use list_net::ListNet;
pub use margin_mse::MarginMSE;
pub use matryoshka::Matryoshka;
pub use max_sim::{Interaction, max_sim, pairwise_max_sim, xtr_scores};
pub(crate) use max_sim::{block_max_sim, check_rows};
pub use mega_batch_margin::MegaBatchMargin;
pub use mse::{EmbedDistill, MSE, TeacherDistance};
pub use multiple_negatives_ranking::{Direction, Hardness, MultipleNegativesRanking, Partition};
pub use needs::{Labelled, Needs, Reads};
pub use online_contrastive::OnlineContrastive;
pub use parameter::LossParameter;
pub use per_set::PerSet;
pub use scoring::Scoring;
pub use similarity::{Similarity, cosine, dot, normalize, pairwise_cosine};
pub use softmax::Softmax;
pub use splade::{Ramp, RegularizerWarmup, SpladeLoss};
pub use sum::Sum;
pub use triplet::Triplet;
pub use xtr::XTR;

/// Turns the embeddings of a batch into a scalar to minimise.
///
/// Implemented by the library's losses and by every `Fn(&Batch) -> Result<Tensor>`.
pub trait Loss: Send + Sync {
    fn loss(&self, batch: &Batch) -> Result<Tensor>;

    /// An error that names a setting that cannot be meant.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The terms that the loss is the weighted sum of, to be reported one by one.
    fn terms(&self, batch: &Batch) -> Result<Vec<Term>> {
        Ok(vec![Term { name: self.needs().name.to_owned(), weight: 1.0, value: self.loss(batch)? }])
    }

    /// The parameters that train with the model, for vectors of length `dim`; `seed` decides random ones. In [`Loss::loss`]
    /// they are [`Batch::parameter`].
    fn parameters(&self, _dim: usize, _seed: u64) -> Result<Vec<LossParameter>> {
        Ok(Vec::new())
    }

    /// The state ([`LossParameter::state`]) after a batch of the training, by name. A trainer asks for it once per batch,
    /// and has the batches and checkpoints after it hold what is returned.
    fn observe(&self, _batch: &Batch) -> Result<Vec<(String, Tensor)>> {
        Ok(Vec::new())
    }

    /// The layers before the last whose outputs the loss needs in this step, as [`Batch::layers`], of an encoder with this
    /// number of layers. 0 is the output of the embeddings.
    fn prior_layers(&self, _layers: usize, _rng: &mut Philox) -> Result<Vec<usize>> {
        Ok(Vec::new())
    }

    /// What it asks of the training set, so that a trainer can say beforehand what is missing.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Its settings, by which a checkpoint recognises it. `Null`, as for a closure: nothing is compared.
    fn settings(&self) -> Value {
        Value::Null
    }

    /// The loss as a value of one type for all losses, such as those of a list.
    fn boxed(self) -> Custom
    where
        Self: Sized + 'static,
    {
        Custom::of(self)
    }

    /// The losses of several training sets, if each has its own.
    fn per_set(&self) -> Option<&PerSet> {
        None
    }

    /// Why vectors of `dim` numbers, of length 1 if `unit`, are not what it can learn from, if so.
    fn objection(&self, _dim: usize, _unit: bool) -> Option<String> {
        None
    }
}

/// Losses side by side, on copies of one model.
pub use crate::train::{compare, compare_with};

/// One of the terms of a loss.
#[derive(Debug, Clone)]
pub struct Term {
    pub name: String,
    pub weight: f64,
    /// A scalar, without its weight.
    pub value: Tensor,
}

/// An error that names the field, unless it is above 0.
fn positive(field: &'static str, value: f64) -> Result<()> {
    expect(field, value, "a number above 0", value > 0.0 && value.is_finite())
}

/// An error that names the field, unless it is finite and at least 0.
fn not_negative(field: &'static str, value: f64) -> Result<()> {
    expect(field, value, "0 or more", value >= 0.0 && value.is_finite())
}

/// The value of a scalar.
pub(crate) fn scalar(value: &Tensor) -> Result<f64> {
    Ok(value.to_dtype(DType::F64)?.to_scalar()?)
}

/// The layers that any of the losses needs.
fn prior_layers_of_any<'a>(
    losses: impl Iterator<Item = &'a Arc<dyn Loss>>,
    layers: usize,
    rng: &mut Philox,
) -> Result<Vec<usize>> {
    let mut all = Vec::new();
    for loss in losses {
        all.extend(loss.prior_layers(layers, rng)?);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// The weighted sum.
pub(crate) fn total(terms: &[Term]) -> Result<Tensor> {
    let weighted = |term: &Term| term.value.affine(term.weight, 0.0);
    let mut rest = terms.iter();
    let first = rest.next().ok_or_else(|| Error::NothingToTrain {
        problem: "a loss without terms".to_owned(),
        expected: "at least one".to_owned(),
    })?;
    rest.try_fold(weighted(first)?, |sum, term| Ok((sum + weighted(term)?)?))
}
