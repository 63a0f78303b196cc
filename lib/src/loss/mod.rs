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
use serde::Serialize;
use serde_json::Value;

use crate::{Error, Result};

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
    /// One tensor `(B, dim)` per column of negatives.
    pub negatives: Vec<Tensor>,
    /// How similar query and positive are `(B,)`, where the training set says so.
    pub scores: Option<Tensor>,
}

impl Batch {
    /// A batch of queries and positives.
    pub fn pairs(queries: Tensor, positives: Tensor) -> Self {
        Self { queries, positives, negatives: Vec::new(), scores: None }
    }

    /// The documents of all columns, one column after the other `((1 + negatives) * B, dim)`: row `i`
    /// is the positive of query `i`.
    pub fn docs(&self) -> Result<Tensor> {
        let columns: Vec<&Tensor> = std::iter::once(&self.positives).chain(&self.negatives).collect();
        Ok(Tensor::cat(&columns, 0)?)
    }

    /// `B`; an error if there is no example, or if the tensors do not belong together.
    pub fn examples(&self) -> Result<usize> {
        let shape = |tensor: &Tensor| format!("{:?}", tensor.dims());
        let problem = |what: &str, found: String, expected: String| {
            Err(Error::Shape { what: format!("{what} of a batch"), found, expected })
        };
        let &[examples, _] = self.queries.dims() else {
            return problem("queries", shape(&self.queries), "(B, dim)".to_owned());
        };
        if examples == 0 {
            return problem("queries", shape(&self.queries), "at least one example".to_owned());
        }
        for (what, docs) in
            std::iter::once(("positives", &self.positives)).chain(self.negatives.iter().map(|docs| ("negatives", docs)))
        {
            if docs.dims() != self.queries.dims() {
                return problem(what, shape(docs), format!("that of the queries, {}", shape(&self.queries)));
            }
        }
        match &self.scores {
            Some(scores) if scores.dims() != [examples] => {
                problem("scores", shape(scores), format!("[{examples}], one per example"))
            }
            _ => Ok(examples),
        }
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

    /// Its settings, by which a checkpoint recognises it. `Null`, as for a closure: nothing is compared.
    fn settings(&self) -> Value {
        Value::Null
    }

    /// Why vectors of `dim` numbers, of length 1 if `unit`, are not what it can learn from, if so.
    fn objection(&self, _dim: usize, _unit: bool) -> Option<String> {
        None
    }
}

/// What a loss asks of the training set. The default asks for nothing, as a closure does, of which nothing
/// is known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Needs {
    /// The name, for messages; empty for a closure.
    pub name: &'static str,
    /// At least one column of negatives.
    pub negatives: bool,
    /// The column `score`.
    pub scores: bool,
    /// The least and the largest score that it can reach.
    pub score_range: Option<(f32, f32)>,
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

    fn settings(&self) -> Value {
        self.as_ref().settings()
    }

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        self.as_ref().objection(dim, unit)
    }
}

/// Settings as [`Loss::settings`] returns them.
fn settings(loss: &impl Serialize) -> Value {
    serde_json::to_value(loss).unwrap_or_default()
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

    fn settings(&self) -> Value {
        self.0.settings()
    }

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        self.0.objection(dim, unit)
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom(|batch| ..)")
    }
}
