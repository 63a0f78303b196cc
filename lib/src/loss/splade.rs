//! A loss of sparse vectors that keeps them sparse.

use candle_core::Tensor;
use serde_json::{Value, json};

use super::{Batch, Flops, Loss, MultipleNegativesRanking, Needs, Reads, Similarity, Term, not_negative, total};
use crate::{Error, Result};

/// `loss + l_d FLOPS(documents) + l_q FLOPS(queries)`: a loss that trains on examples, and regularisers that leave few
/// words to each text ([`Flops`]). Positives and negatives are documents.
///
/// By default the loss is [`MultipleNegativesRanking`] of dot products, with the weights that sentence-transformers
/// trains with. Distillation takes more, 1e-3 and above (Formal et al. 2021, Lassance et al. 2024). Values and gradients
/// equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, Loss, SpladeLoss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let loss = SpladeLoss { query_regularizer_weight: Some(0.1), ..SpladeLoss::default() };
/// let texts = Tensor::new(&[[2.0f32, 0.0], [0.0, 2.0]], &Device::Cpu)?;
/// let terms = loss.terms(&Batch::pairs(texts.clone(), texts))?;
/// let names: Vec<&str> = terms.iter().map(|term| term.name.as_str()).collect();
/// assert_eq!(names, ["MultipleNegativesRanking", "document regularizer", "query regularizer"]);
/// assert_eq!((terms[2].weight, terms[2].value.to_scalar::<f32>()?), (0.1, 2.0));
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "CachedSpladeLoss")]
#[derive(Debug, Clone, PartialEq)]
pub struct SpladeLoss<L = MultipleNegativesRanking> {
    pub loss: L,
    /// `l_d`
    pub document_regularizer_weight: f64,
    /// `l_q`; `None` leaves queries as they are.
    pub query_regularizer_weight: Option<f64>,
    /// Documents of at most this many words are not regularised.
    pub document_regularizer_threshold: Option<usize>,
    /// Queries of at most this many words are not regularised.
    pub query_regularizer_threshold: Option<usize>,
    /// Regularise all texts together as documents: for pairs of texts of one kind.
    pub use_document_regularizer_only: bool,
}

impl Default for SpladeLoss {
    fn default() -> Self {
        let loss = MultipleNegativesRanking { scale: 1.0, similarity: Similarity::Dot, ..Default::default() };
        Self::new(loss, 3e-5, Some(5e-5))
    }
}

impl<L: Loss> SpladeLoss<L> {
    /// A loss with the weights of both regularisers.
    pub fn new(loss: L, document_regularizer_weight: f64, query_regularizer_weight: Option<f64>) -> Self {
        Self {
            loss,
            document_regularizer_weight,
            query_regularizer_weight,
            document_regularizer_threshold: None,
            query_regularizer_threshold: None,
            use_document_regularizer_only: false,
        }
    }
}

impl<L: Loss> Loss for SpladeLoss<L> {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        total(&self.terms(batch)?)
    }

    fn terms(&self, batch: &Batch) -> Result<Vec<Term>> {
        self.check()?;
        let mut terms = self.loss.terms(batch)?;
        let (docs, queries) = (
            Flops { threshold: self.document_regularizer_threshold },
            Flops { threshold: self.query_regularizer_threshold },
        );
        let texts = if self.use_document_regularizer_only { Tensor::cat(&batch.columns, 0)? } else { batch.docs()? };
        terms.push(Term {
            name: "document regularizer".to_owned(),
            weight: self.document_regularizer_weight,
            value: docs.of(&texts)?,
        });
        if let Some(weight) = self.query_regularizer_weight {
            terms.push(Term { name: "query regularizer".to_owned(), weight, value: queries.of(batch.queries()?)? });
        }
        Ok(terms)
    }

    fn check(&self) -> Result<()> {
        not_negative("document_regularizer_weight", self.document_regularizer_weight)?;
        not_negative("query_regularizer_weight", self.query_regularizer_weight.unwrap_or(0.0))?;
        if let Some(weight) = self.query_regularizer_weight.filter(|_| self.use_document_regularizer_only) {
            return Err(Error::Setting {
                field: "query_regularizer_weight",
                value: weight.to_string(),
                expected: "None: with `use_document_regularizer_only` queries count as documents".to_owned(),
            });
        }
        self.loss.check()
    }

    fn needs(&self) -> Needs {
        Needs { reads: Reads::Vectors, ..self.loss.needs() }
    }

    fn settings(&self) -> Value {
        json!({
            "splade": {
                "document_regularizer_weight": self.document_regularizer_weight,
                "query_regularizer_weight": self.query_regularizer_weight,
                "document_regularizer_threshold": self.document_regularizer_threshold,
                "query_regularizer_threshold": self.query_regularizer_threshold,
                "use_document_regularizer_only": self.use_document_regularizer_only,
            },
            "loss": self.loss.settings(),
        })
    }

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        self.loss.objection(dim, unit)
    }
}
