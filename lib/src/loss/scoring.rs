//! How the outputs of a model become scores.

use candle_core::{D, Tensor};

use super::{Batch, Interaction, Similarity, pairwise_max_sim};
use crate::{Error, Result};

/// What the outputs of a model are, and so how a query is scored with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// A vector per token of a text, compared by MaxSim.
    Tokens(Interaction),
    /// A vector per text.
    Vectors(Similarity),
    /// The scores of a pair, one per label: the model has read query and document together.
    Pairs,
}

impl Default for Scoring {
    fn default() -> Self {
        Self::Vectors(Similarity::default())
    }
}

impl Scoring {
    /// What a text becomes, in words.
    pub(crate) fn spoken(self) -> &'static str {
        match self {
            Self::Tokens(_) => "a vector per token, as a late-interaction model makes them",
            Self::Vectors(_) => "vectors",
            Self::Pairs => "scores of pairs, as a cross-encoder makes them",
        }
    }
}

impl Batch {
    /// How the model scores queries with documents: `(B, docs)`. [`Batch::own`] tells which of the documents is the
    /// positive of each query.
    ///
    /// For vectors, of texts or of tokens, these are all documents of the batch, one column after the other, as
    /// [`Batch::docs`] has them. A cross-encoder has read each query
    /// with its own documents alone: `(B, 1 + negatives)`.
    pub fn scores(&self) -> Result<Tensor> {
        match self.scoring {
            Scoring::Tokens(interaction) => self.token_scores(interaction),
            Scoring::Vectors(similarity) => similarity.of(self.queries()?, &self.docs()?),
            Scoring::Pairs => self.own_scores(),
        }
    }

    /// The same, with vectors compared in a loss's own way.
    pub(super) fn scores_by(&self, similarity: Similarity) -> Result<Tensor> {
        match self.scoring {
            Scoring::Vectors(_) => similarity.of(self.queries()?, &self.docs()?),
            _ => self.scores(),
        }
    }

    /// The number of each query's positive among its [`Batch::scores`].
    ///
    /// ```
    /// use kensaku::loss::{self, Batch};
    /// # use kensaku::candle_core::{Device, Tensor};
    /// # let rows = Tensor::new(&[[1.0f32, 0.0], [0.0, 1.0]], &Device::Cpu)?;
    /// # let batch = Batch::pairs(rows.clone(), rows);
    /// // The loss most retrievers are trained with, for any model.
    /// let loss = loss::cross_entropy(&(batch.scores()? * 20.0)?, &batch.own()?)?;
    /// # assert!(loss.to_scalar::<f32>()? < 1e-6);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn own(&self) -> Result<Vec<u32>> {
        let examples = self.examples()?;
        Ok(match self.scoring {
            Scoring::Tokens(_) | Scoring::Vectors(_) => (0..examples as u32).collect(),
            Scoring::Pairs => vec![0; examples],
        })
    }

    /// Each query with its own documents alone, the positive first: `(B, 1 + negatives)`.
    pub fn own_scores(&self) -> Result<Tensor> {
        match self.scoring {
            Scoring::Tokens(interaction) => self.own_token_scores(interaction),
            Scoring::Vectors(similarity) => self.own_similarities(similarity),
            Scoring::Pairs => Ok(Tensor::stack(&self.columns.iter().map(one_label).collect::<Result<Vec<_>>>()?, 1)?),
        }
    }

    /// The same, with vectors compared in a loss's own way.
    pub(super) fn own_scores_by(&self, similarity: Similarity) -> Result<Tensor> {
        match self.scoring {
            Scoring::Vectors(_) => self.own_similarities(similarity),
            _ => self.own_scores(),
        }
    }

    /// The score of each example's first pair `(B,)`, of a cross-encoder with one label.
    pub(super) fn pair_scores(&self) -> Result<Tensor> {
        self.examples()?;
        one_label(self.logits()?)
    }

    fn own_similarities(&self, similarity: Similarity) -> Result<Tensor> {
        let (queries, _) = (self.queries()?, self.positives()?);
        let scores: Vec<Tensor> =
            self.columns[1..].iter().map(|docs| similarity.pairwise(queries, docs)).collect::<Result<_>>()?;
        Ok(Tensor::stack(&scores, 1)?)
    }

    /// Every query with every document, by its tokens.
    fn token_scores(&self, interaction: Interaction) -> Result<Tensor> {
        self.examples()?;
        let mut bounds = vec![0];
        for own in self.doc_bounds()? {
            let start = bounds.last().copied().unwrap_or(0);
            bounds.extend(own.iter().skip(1).map(|bound| start + bound));
        }
        let docs = Tensor::cat(&self.columns[1..], 0)?;
        interaction.scores((&self.columns[0], &self.bounds[0]), (&docs, &bounds))
    }

    fn own_token_scores(&self, interaction: Interaction) -> Result<Tensor> {
        let examples = self.examples()?;
        if let Interaction::Xtr { .. } = interaction {
            // What a query retrieves is a matter of all documents.
            let columns = self.doc_bounds()?.len();
            let own =
                (0..examples).flat_map(|example| (0..columns).map(move |column| (column * examples + example) as u32));
            let own = Tensor::from_vec(own.collect::<Vec<_>>(), (examples, columns), self.columns[0].device())?;
            return Ok(self.token_scores(interaction)?.gather(&own, 1)?);
        }
        let docs = self.columns.iter().skip(1).zip(self.doc_bounds()?);
        let scores: Vec<Tensor> = docs
            .map(|(docs, bounds)| pairwise_max_sim(&self.columns[0], &self.bounds[0], docs, bounds))
            .collect::<Result<_>>()?;
        interaction.of_sums(Tensor::stack(&scores, 1)?, &self.bounds[0])
    }

    /// The bounds of the columns of documents, of which there is at least one.
    fn doc_bounds(&self) -> Result<&[Vec<usize>]> {
        match self.bounds.get(1..) {
            Some(bounds @ [_, ..]) => Ok(bounds),
            _ => Err(self.missing("positive")),
        }
    }
}

/// Of pairs that have one number each: `(B, 1)` -> `(B,)`.
fn one_label(logits: &Tensor) -> Result<Tensor> {
    match logits.dims() {
        [_, 1] => Ok(logits.squeeze(D::Minus1)?),
        dims => Err(Error::Shape {
            what: "scores of a cross-encoder".to_owned(),
            found: format!("{dims:?}"),
            expected: "one per pair: a model with one label".to_owned(),
        }),
    }
}
