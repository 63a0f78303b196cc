//! What training minimises: one file a loss, and any closure of candle ops.
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
//!     let logits = (loss::cosine(&batch.queries, &batch.positives)? * 20.0)?;
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

mod cosine_similarity;
mod multiple_negatives_ranking;
mod similarity;
mod triplet;

use std::fmt;
use std::sync::Arc;

use candle_core::Tensor;

use crate::Result;

pub use cosine_similarity::{CosineSimilarity, Difference};
pub use multiple_negatives_ranking::{Direction, Hardness, MultipleNegativesRanking, Partition};
pub use similarity::{Similarity, cosine, dot, log_sum_exp, normalize, pairwise_cosine};
pub use triplet::{Distance, Triplet};

/// The embeddings of one training batch: row `i` of every tensor belongs to example `i`.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `(B, dim)`
    pub queries: Tensor,
    /// `(B, dim)`
    pub positives: Tensor,
    /// One tensor `(B, dim)` a column of negatives.
    pub negatives: Vec<Tensor>,
    /// How similar query and positive are `(B,)`, where the training set says so.
    pub scores: Option<Tensor>,
}

impl Batch {
    /// A batch of queries and positives.
    pub fn pairs(queries: Tensor, positives: Tensor) -> Self {
        Self { queries, positives, negatives: Vec::new(), scores: None }
    }

    /// The documents of all columns, one column behind the other `((1 + negatives) * B, dim)`: row `i`
    /// is the positive of query `i`.
    pub fn docs(&self) -> Result<Tensor> {
        let columns: Vec<&Tensor> = std::iter::once(&self.positives).chain(&self.negatives).collect();
        Ok(Tensor::cat(&columns, 0)?)
    }
}

/// Turns the embeddings of a batch into a scalar to minimise.
///
/// Implemented by the library's losses and by every `Fn(&Batch) -> Result<Tensor>`.
pub trait Loss {
    fn loss(&self, batch: &Batch) -> Result<Tensor>;

    /// What it asks of the training set, so that a trainer can say beforehand what is missing.
    fn needs(&self) -> Needs {
        Needs::default()
    }
}

/// What a loss asks of the training set. The default asks for nothing, as a closure does, of which nothing
/// is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// The name, for messages; empty for a closure.
    pub name: &'static str,
    /// At least one column of negatives.
    pub negatives: bool,
    /// The column `score`.
    pub scores: bool,
    /// Other examples of the batch, as negatives.
    pub in_batch: bool,
}

impl<F: Fn(&Batch) -> Result<Tensor>> Loss for F {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self(batch)
    }
}

impl Loss for Box<dyn Loss> {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.as_ref().loss(batch)
    }

    fn needs(&self) -> Needs {
        self.as_ref().needs()
    }
}

/// A closure as a value with a name, so that a notebook can keep it from one cell to the next.
#[derive(Clone)]
pub struct Custom(Arc<dyn Loss>);

/// Makes a loss of a closure, see the [module](self).
pub fn custom(loss: impl Fn(&Batch) -> Result<Tensor> + 'static) -> Custom {
    Custom(Arc::new(loss))
}

impl Loss for Custom {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.0.loss(batch)
    }

    fn needs(&self) -> Needs {
        self.0.needs()
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom(|batch| ..)")
    }
}
