//! A loss on the first numbers of each vector, too.

use candle_core::{D, Tensor};
use serde_json::{Value, json};

use super::needs::Labelled;
use super::similarity::normalize;
use super::{Batch, Loss, LossParameter, Needs, Reads, Term, total};
use crate::error::expect;
use crate::{Error, Result};

/// `sum_d w_d loss(first d numbers of each vector, scaled to length 1)`: trains vectors that can be cut short.
///
/// Source: Kusupati et al. 2022. Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, Loss, Matryoshka, MultipleNegativesRanking};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let loss = Matryoshka::new(MultipleNegativesRanking::default(), [2, 1]);
/// // Alike in the first number, apart in the second.
/// let rows = Tensor::new(&[[0.6f32, 0.8], [0.6, -0.8]], &Device::Cpu)?;
/// let terms = loss.terms(&Batch::pairs(rows.clone(), rows))?;
/// assert_eq!(terms.iter().map(|term| term.name.as_str()).collect::<Vec<_>>(), ["dim 2", "dim 1"]);
/// assert!((terms[1].value.to_scalar::<f32>()? - 2.0f32.ln()).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "MatryoshkaLoss")]
#[derive(Debug, Clone)]
pub struct Matryoshka<L> {
    pub loss: L,
    /// The lengths that vectors are cut to.
    pub dims: Vec<usize>,
    /// The weight of each.
    pub weights: Vec<f64>,
}

impl<L: Loss> Matryoshka<L> {
    /// All lengths with the weight 1.
    pub fn new(loss: L, dims: impl Into<Vec<usize>>) -> Self {
        let dims = dims.into();
        Self { loss, weights: vec![1.0; dims.len()], dims }
    }

    fn cut(&self, batch: &Batch, dim: usize) -> Result<Batch> {
        let first = |x: &Tensor| -> Result<Tensor> {
            let width = x.dim(D::Minus1)?;
            if !(1..=width).contains(&dim) {
                let expected = format!("1 to {width}, the length of a vector");
                return Err(Error::Setting { field: "dims", value: dim.to_string(), expected });
            }
            Ok(x.narrow(D::Minus1, 0, dim)?.contiguous()?)
        };
        let columns = batch.columns.iter().map(|column| normalize(&first(column)?)).collect::<Result<_>>()?;
        let labels = match (&batch.labels, self.loss.needs().labels) {
            (Some(vectors), Labelled::Target | Labelled::Vector) => Some(first(vectors)?),
            (labels, _) => labels.clone(),
        };
        Ok(Batch { columns, labels, ..batch.clone() })
    }
}

impl<L: Loss> Loss for Matryoshka<L> {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        total(&self.terms(batch)?)
    }

    fn terms(&self, batch: &Batch) -> Result<Vec<Term>> {
        self.check()?;
        let terms = self.dims.iter().zip(&self.weights).map(|(dim, weight)| {
            Ok(Term { name: format!("dim {dim}"), weight: *weight, value: self.loss.loss(&self.cut(batch, *dim)?)? })
        });
        terms.collect()
    }

    fn check(&self) -> Result<()> {
        expect("dims", "[]", "at least one length", !self.dims.is_empty())?;
        if self.dims.len() != self.weights.len() {
            return Err(Error::Setting {
                field: "weights",
                value: format!("{:?}", self.weights),
                expected: format!("one for each of dims = {:?}", self.dims),
            });
        }
        self.loss.check()
    }

    fn parameters(&self, dim: usize, seed: u64) -> Result<Vec<LossParameter>> {
        self.loss.parameters(dim, seed)
    }

    /// As it sees the first length.
    fn observe(&self, batch: &Batch) -> Result<Vec<(String, Tensor)>> {
        match self.dims.first() {
            Some(dim) => self.loss.observe(&self.cut(batch, *dim)?),
            None => Ok(Vec::new()),
        }
    }

    fn needs(&self) -> Needs {
        Needs { reads: Reads::Vectors, ..self.loss.needs() }
    }

    fn settings(&self) -> Value {
        json!({ "matryoshka": { "dims": self.dims, "weights": self.weights }, "loss": self.loss.settings() })
    }

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        self.loss.objection(dim, unit)
    }
}
