//! Embeddings spread over the whole sphere.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::contrastive::Reduction;
use super::functions::mask;
use super::{Batch, Loss, Similarity, Term, not_negative};
use crate::Result;
use crate::error::expect;

/// `w_1 m_1² + w_2 max(m_2 - 1 / dim, 0)`, with the means `m_1` of the similarities and `m_2` of their squares over all
/// pairs of different texts of a column: both are 0 for vectors spread evenly over the sphere.
///
/// A regulariser: add it to a ranking loss, as in `ranking + GlobalOrthogonalRegularization::default()`. Source: Zhang et
/// al. 2017. Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, GlobalOrthogonalRegularization, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// // Two texts of one cosine, 0.6, in two dimensions: 0.36 and max(0.36 - 0.5, 0).
/// let column = Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8]], &Device::Cpu)?;
/// let loss = GlobalOrthogonalRegularization::default().loss(&Batch::pairs(column.clone(), column))?;
/// assert!((loss.to_scalar::<f32>()? - 0.36).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "GlobalOrthogonalRegularizationLoss")]
#[doc(alias = "GOR")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GlobalOrthogonalRegularization {
    pub similarity: Similarity,
    /// `w_1`; 0 leaves the term out.
    pub mean_weight: f64,
    /// `w_2`; 0 leaves the term out.
    pub second_moment_weight: f64,
    /// Over the columns.
    pub reduction: Reduction,
}

impl Default for GlobalOrthogonalRegularization {
    fn default() -> Self {
        let similarity = Similarity::Cosine;
        Self { similarity, mean_weight: 1.0, second_moment_weight: 1.0, reduction: Reduction::Mean }
    }
}

impl Loss for GlobalOrthogonalRegularization {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        super::total(&self.terms(batch)?)
    }

    fn terms(&self, batch: &Batch) -> Result<Vec<Term>> {
        let examples = batch.examples()?;
        let others = mask(examples, examples, batch.queries()?, |row, column| row != column)?;
        let pairs = (examples * (examples - 1)).max(1) as f64;
        let (mut means, mut moments) = (Vec::new(), Vec::new());
        for column in &batch.columns {
            let similarities = (self.similarity.of(column, column)? * &others)?;
            let mean = |x: Tensor| x.sum_all()? / pairs;
            means.push(mean(similarities.clone())?.sqr()?);
            moments.push(mean(similarities.sqr()?)?.affine(1.0, -1.0 / column.dim(1)? as f64)?.relu()?);
        }
        let over_columns = |values: &[Tensor]| -> Result<Tensor> {
            let values = Tensor::stack(values, 0)?;
            Ok(match self.reduction {
                Reduction::Mean => values.mean(0)?,
                Reduction::Sum => values.sum(0)?,
            })
        };
        let terms = [("mean", self.mean_weight, means), ("second moment", self.second_moment_weight, moments)];
        let terms = terms.into_iter().filter(|(_, weight, _)| *weight != 0.0);
        terms
            .map(|(name, weight, values)| Ok(Term { name: name.to_owned(), weight, value: over_columns(&values)? }))
            .collect()
    }

    fn check(&self) -> Result<()> {
        not_negative("mean_weight", self.mean_weight)?;
        not_negative("second_moment_weight", self.second_moment_weight)?;
        let trains = self.mean_weight + self.second_moment_weight > 0.0;
        expect("mean_weight", self.mean_weight, "a weight above 0 for one of the terms", trains)
    }

    described!("GlobalOrthogonalRegularization");
}
