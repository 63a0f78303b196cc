//! A loss of sparse vectors that keeps them sparse.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Batch, Flops, Loss, LossParameter, MultipleNegativesRanking, Needs, Reads, Similarity, Term, not_negative, total,
};
use crate::error::expect;
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
    /// How the weights of the regularisers grow at the beginning of a training; `None`: they are whole from the first step.
    pub regularizer_warmup: Option<RegularizerWarmup>,
}

/// Weights of regularisers that grow from 0 over the first part of a training: a model that has to be sparse before it
/// ranks may lose all words (Formal et al. 2021). Whole where no end of the training is known
/// ([`Batch::progress`]).
///
/// ```
/// use kensaku::loss::{Ramp, RegularizerWarmup};
///
/// let warmup = RegularizerWarmup { ramp: Ramp::Quadratic, ratio: 0.5 };
/// assert_eq!([0.0, 0.25, 0.5, 0.9].map(|progress| warmup.factor(Some(progress))), [0.0, 0.25, 1.0, 1.0]);
/// assert_eq!(warmup.factor(None), 1.0);
/// ```
#[doc(alias = "SpladeRegularizerWeightSchedulerCallback")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegularizerWarmup {
    pub ramp: Ramp,
    /// The share of all steps after which weights are whole.
    pub ratio: f64,
}

/// How weights grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ramp {
    Linear,
    #[default]
    Quadratic,
}

impl Default for RegularizerWarmup {
    /// As sentence-transformers trains: quadratic, over a third.
    fn default() -> Self {
        Self { ramp: Ramp::Quadratic, ratio: 1.0 / 3.0 }
    }
}

impl RegularizerWarmup {
    /// What weights are multiplied by.
    pub fn factor(self, progress: Option<f64>) -> f64 {
        let share = progress.map_or(1.0, |progress| (progress / self.ratio).min(1.0));
        match self.ramp {
            Ramp::Linear => share,
            Ramp::Quadratic => share * share,
        }
    }
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
            regularizer_warmup: None,
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
        let factor = self.regularizer_warmup.map_or(1.0, |warmup| warmup.factor(batch.progress));
        terms.push(Term {
            name: "document regularizer".to_owned(),
            weight: factor * self.document_regularizer_weight,
            value: docs.of(&texts)?,
        });
        if let Some(weight) = self.query_regularizer_weight {
            let (name, weight) = ("query regularizer".to_owned(), factor * weight);
            terms.push(Term { name, weight, value: queries.of(batch.queries()?)? });
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
        if let Some(RegularizerWarmup { ratio, .. }) = self.regularizer_warmup {
            expect("ratio", ratio, "a share above 0, up to 1", ratio > 0.0 && ratio <= 1.0)?;
        }
        self.loss.check()
    }

    fn parameters(&self, dim: usize, seed: u64) -> Result<Vec<LossParameter>> {
        self.loss.parameters(dim, seed)
    }

    fn observe(&self, batch: &Batch) -> Result<Vec<(String, Tensor)>> {
        self.loss.observe(batch)
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
                "regularizer_warmup": self.regularizer_warmup,
            },
            "loss": self.loss.settings(),
        })
    }

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        let splade = "its regularizers make the weights of words sparse, which vectors of length 1 cannot become: SpladeLoss is for `Splade`";
        if unit { Some(splade.to_owned()) } else { self.loss.objection(dim, unit) }
    }
}
