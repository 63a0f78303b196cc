//! Any loss of scores, with those of XTR.

use candle_core::Tensor;
use serde_json::{Value, json};

use super::{Batch, Interaction, Loss, Needs, Scoring, Term};
use crate::error::expect;
use crate::{Error, Result};

/// The same loss with [`xtr_scores`](super::xtr_scores) in place of MaxSim: a document counts by what each token of a
/// query retrieves among all documents of the batch. For late-interaction models.
///
/// Source: Lee et al. 2023, "Rethinking the role of token retrieval in multi-vector retrieval". Values and gradients
/// equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, Interaction, Loss, MultipleNegativesRanking, XTR};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let ranking = MultipleNegativesRanking { scale: 1.0, ..Default::default() };
/// let rows = Tensor::new(&[[1.0f32, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// let column = (rows, vec![0, 1, 2]);
/// let batch = Batch::tokens(vec![column.clone(), column], Interaction::Sum);
/// // Each query retrieves one token, from its own document.
/// let loss = XTR::new(ranking, 1).loss(&batch)?.to_scalar::<f32>()?;
/// assert!((loss - (1.0 + (-1.0f32).exp()).ln()).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "XTRScores")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XTR<L> {
    pub loss: L,
    /// The tokens that each token of a query retrieves.
    pub k: usize,
}

impl<L: Loss> XTR<L> {
    pub fn new(loss: L, k: usize) -> Self {
        Self { loss, k }
    }

    fn retrieved(&self, batch: &Batch) -> Result<Batch> {
        match batch.scoring {
            Scoring::Tokens(_) => {
                Ok(Batch { scoring: Scoring::Tokens(Interaction::Xtr { k: self.k }), ..batch.clone() })
            }
            other => Err(Error::Shape {
                what: "outputs of a model for XTR".to_owned(),
                found: other.spoken().to_owned(),
                expected: "a vector per token, as a late-interaction model makes them".to_owned(),
            }),
        }
    }
}

impl<L: Loss> Loss for XTR<L> {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.check()?;
        self.loss.loss(&self.retrieved(batch)?)
    }

    fn terms(&self, batch: &Batch) -> Result<Vec<Term>> {
        self.check()?;
        self.loss.terms(&self.retrieved(batch)?)
    }

    fn check(&self) -> Result<()> {
        expect("k", self.k, "at least 1", self.k > 0)?;
        self.loss.check()
    }

    fn needs(&self) -> Needs {
        // Other examples decide what is retrieved.
        Needs { in_batch: true, ..self.loss.needs() }
    }

    fn settings(&self) -> Value {
        json!({ "xtr": { "k": self.k }, "loss": self.loss.settings() })
    }

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        self.loss.objection(dim, unit)
    }
}
