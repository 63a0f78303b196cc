//! The loss most retrievers are trained with: the own positive among everybody's documents.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::functions::{log_sum_exp, mask, scaled_cross_entropy, without};
use super::{Batch, Loss, Similarity, not_negative, positive};
use crate::{Error, Result};

/// InfoNCE with in-batch negatives: each query must find its positive among the documents of all
/// queries of the batch, hard negatives included.
///
/// `loss = -mean_i (z_ii - log Z_i)` with logits `z = scale * similarity`. `Z_i` sums over the
/// candidates of every [`Direction`]. By default that is query to document alone: van den Oord et al.
/// 2018, Henderson et al. 2017. All four directions together are GTE's loss (Li et al. 2023), query to
/// document and back with one partition each the symmetric loss of CLIP (Radford et al. 2021).
///
/// Needs queries and positives; takes any number of negatives. A cross-encoder, which has no vectors to compare, needs
/// negatives, and knows no other direction than query to document. Values and gradients equal
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
    /// One over the temperature. Scores of late interaction are sums over tokens: 1 suits them.
    pub scale: f64,
    /// How vectors are compared; what has none is scored by its model.
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
        if self.directions == [Direction::QueryToDoc] && self.hardness.is_none() {
            let own = batch.own()?;
            return scaled_cross_entropy(&batch.scores_by(self.similarity)?, self.scale, &own);
        }
        let examples = batch.examples()?;
        let (queries, positives, docs) = (batch.queries()?, batch.positives()?, batch.docs()?);
        let count = docs.dim(0)?;
        let similarities = self.similarity.of(queries, &docs)?;
        let logits = (&similarities * self.scale)?;
        // Document `column * examples + example` belongs to `example`.
        let own_docs = |count| mask(examples, count, queries, |row, doc| doc % examples == row);
        let candidates = |direction: &Direction| -> Result<Tensor> {
            Ok(match direction {
                Direction::QueryToDoc => match self.hardness {
                    Some(hardness) => {
                        let negatives = mask(examples, count, queries, |row, doc| hardness.holds(row, doc, examples))?;
                        let penalty = (similarities.detach() * self.hardness_strength)?.mul(&negatives)?;
                        (&logits + penalty)?
                    }
                    None => logits.clone(),
                },
                Direction::QueryToQuery => {
                    without(&(self.similarity.of(queries, queries)? * self.scale)?, &own_docs(examples)?)?
                }
                Direction::DocToQuery => (self.similarity.of(positives, queries)? * self.scale)?,
                Direction::DocToDoc => {
                    without(&(self.similarity.of(positives, &docs)? * self.scale)?, &own_docs(count)?)?
                }
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
        let positive = logits.mul(&mask(examples, count, queries, |row, doc| doc == row)?)?.sum(1)?;
        Ok((log_partition - positive)?.mean(0)?)
    }

    fn check(&self) -> Result<()> {
        if !self.directions.contains(&Direction::QueryToDoc) {
            return Err(Error::Setting {
                field: "directions",
                value: format!("{:?}", self.directions),
                expected: "QueryToDoc among them".to_owned(),
            });
        }
        not_negative("hardness_strength", self.hardness_strength)?;
        positive("scale", self.scale)
    }

    described!("MultipleNegativesRanking");
}

impl Hardness {
    /// Whether it applies to a document in the row of an example.
    fn holds(self, row: usize, doc: usize, examples: usize) -> bool {
        let (own, positive) = (doc % examples == row, doc < examples);
        match self {
            Self::InBatchNegatives => !own,
            Self::HardNegatives => own && !positive,
            Self::AllNegatives => !own || !positive,
        }
    }
}
