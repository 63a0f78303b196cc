//! The loss most retrievers are trained with: the own positive among everybody's documents.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::similarity::{Similarity, log_sum_exp};
use super::{Batch, Loss, Needs, settings};
use crate::{Error, Result};

/// InfoNCE with in-batch negatives: each query must find its positive among the documents of all
/// queries of the batch, hard negatives included.
///
/// `loss = -mean_i (z_ii - log Z_i)` with logits `z = scale * similarity`. `Z_i` sums over the
/// candidates of every [`Direction`]. By default that is query to document alone: van den Oord et al.
/// 2018, Henderson et al. 2017. All four directions together are GTE's loss (Li et al. 2023), query to
/// document and back with one partition each the symmetric loss of CLIP (Radford et al. 2021).
///
/// Needs queries and positives; takes any number of negatives. Values and gradients equal
/// sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, Direction, Loss, MultipleNegativesRanking, Partition};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let symmetric = MultipleNegativesRanking {
///     scale: 1.0,
///     directions: vec![Direction::QueryToDoc, Direction::DocToQuery],
///     partition: Partition::PerDirection,
///     ..Default::default()
/// };
/// // Each query has the cosine 1 with its own document, and 0 with the other one.
/// let rows = Tensor::new(&[[1.0f32, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// let loss = symmetric.loss(&Batch::pairs(rows.clone(), rows))?.to_scalar::<f32>()?;
/// assert!((loss - (1.0f32.exp() + 1.0).ln() + 1.0).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "MultipleNegativesRankingLoss")]
#[doc(alias = "InfoNCE")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MultipleNegativesRanking {
    /// One over the temperature.
    pub scale: f64,
    pub similarity: Similarity,
    /// Which similarities are candidates. Must hold [`Direction::QueryToDoc`].
    pub directions: Vec<Direction>,
    pub partition: Partition,
    /// Which negatives weigh more the harder they are.
    pub hardness: Option<Hardness>,
    /// `alpha` of the hardness: the logit of a negative grows by `alpha * similarity`, without gradient
    /// (Lan et al. 2025).
    pub hardness_strength: f64,
}

/// One kind of candidates of example `i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Its query against all documents.
    QueryToDoc,
    /// Its query against the other queries.
    QueryToQuery,
    /// Its positive against all queries.
    DocToQuery,
    /// Its positive against the documents of the other examples.
    DocToDoc,
}

/// Whether the directions share one `Z` or the mean of their `log Z` is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partition {
    #[default]
    Joint,
    PerDirection,
}

/// The negatives that hardness applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hardness {
    /// Documents of other examples.
    InBatchNegatives,
    /// The example's own negatives.
    HardNegatives,
    AllNegatives,
}

impl Default for MultipleNegativesRanking {
    fn default() -> Self {
        Self {
            scale: 20.0,
            similarity: Similarity::Cosine,
            directions: vec![Direction::QueryToDoc],
            partition: Partition::Joint,
            hardness: None,
            hardness_strength: 0.0,
        }
    }
}

impl Loss for MultipleNegativesRanking {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.check()?;
        let (examples, like) = (batch.examples()?, &batch.queries);
        let docs = batch.docs()?;
        let columns = docs.dim(0)? / examples;
        let similarities = self.similarity.of(&batch.queries, &docs)?;
        let logits = (&similarities * self.scale)?;
        let own = own_docs(examples, columns, like)?;
        let candidates = |direction: &Direction| -> Result<Tensor> {
            Ok(match direction {
                Direction::QueryToDoc => match self.hardness {
                    Some(hardness) => {
                        let negatives = negatives(hardness, examples, columns, like)?;
                        let penalty = (similarities.detach() * self.hardness_strength)?.mul(&negatives)?;
                        (&logits + penalty)?
                    }
                    None => logits.clone(),
                },
                Direction::QueryToQuery => {
                    let scores = (self.similarity.of(&batch.queries, &batch.queries)? * self.scale)?;
                    without(&scores, &own_docs(examples, 1, like)?)?
                }
                Direction::DocToQuery => (self.similarity.of(&batch.positives, &batch.queries)? * self.scale)?,
                Direction::DocToDoc => without(&(self.similarity.of(&batch.positives, &docs)? * self.scale)?, &own)?,
            })
        };
        // A single example has no others: of these directions, nothing would be left.
        let has_any = |direction: &&Direction| match direction {
            Direction::QueryToDoc | Direction::DocToQuery => true,
            Direction::QueryToQuery | Direction::DocToDoc => examples > 1,
        };
        let candidates = self.directions.iter().filter(has_any).map(candidates).collect::<Result<Vec<_>>>()?;
        let log_partition = match self.partition {
            Partition::Joint => log_sum_exp(&Tensor::cat(&candidates, 1)?)?,
            Partition::PerDirection => {
                let logs = candidates.iter().map(log_sum_exp).collect::<Result<Vec<_>>>()?;
                Tensor::stack(&logs, 0)?.mean(0)?
            }
        };
        let positive = logits.mul(&identity(examples, columns, like)?)?.sum(1)?;
        Ok((log_partition - positive)?.mean(0)?)
    }

    fn needs(&self) -> Needs {
        Needs { name: "MultipleNegativesRanking", in_batch: true, ..Needs::default() }
    }

    fn settings(&self) -> serde_json::Value {
        settings(self)
    }
}

impl MultipleNegativesRanking {
    fn check(&self) -> Result<()> {
        if !self.directions.contains(&Direction::QueryToDoc) {
            return Err(Error::Setting {
                field: "directions",
                value: format!("{:?}", self.directions),
                expected: "QueryToDoc among them".to_owned(),
            });
        }
        if self.scale <= 0.0 || !self.scale.is_finite() {
            let expected = "a number above 0".to_owned();
            return Err(Error::Setting { field: "scale", value: self.scale.to_string(), expected });
        }
        Ok(())
    }
}

/// 1 where column `j` of row `i` is the positive or a negative of example `i`.
fn own_docs(examples: usize, columns: usize, like: &Tensor) -> Result<Tensor> {
    mask(examples, columns, like, |row, example, _| row == example)
}

/// 1 where column `j` is the positive of row `i`.
fn identity(examples: usize, columns: usize, like: &Tensor) -> Result<Tensor> {
    mask(examples, columns, like, |row, example, column| row == example && column == 0)
}

fn negatives(hardness: Hardness, examples: usize, columns: usize, like: &Tensor) -> Result<Tensor> {
    mask(examples, columns, like, |row, example, column| match hardness {
        Hardness::InBatchNegatives => row != example,
        Hardness::HardNegatives => row == example && column > 0,
        Hardness::AllNegatives => row != example || column > 0,
    })
}

/// `(examples, columns * examples)` in the type of `like`: document `column * examples + example` belongs to
/// `example`.
fn mask(examples: usize, columns: usize, like: &Tensor, holds: impl Fn(usize, usize, usize) -> bool) -> Result<Tensor> {
    let mut values = Vec::with_capacity(examples * columns * examples);
    for row in 0..examples {
        for column in 0..columns {
            values.extend((0..examples).map(|example| if holds(row, example, column) { 1.0_f32 } else { 0.0 }));
        }
    }
    Ok(Tensor::from_vec(values, (examples, columns * examples), like.device())?.to_dtype(like.dtype())?)
}

/// Minus infinity where the mask is 1.
fn without(scores: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let nothing = Tensor::full(f32::NEG_INFINITY, scores.shape(), scores.device())?.to_dtype(scores.dtype())?;
    Ok(mask.to_dtype(DType::U8)?.where_cond(&nothing, scores)?)
}
