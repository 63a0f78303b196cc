//! The cross-encoder in training.

use super::{CrossEncoder, CrossEncoderConfig};
use crate::loss::Scoring;
use crate::model::interface::with_encoder;
use crate::model::{Model, Outputs, Part, Tokens};
use crate::nn::{Activations, PackedBatch};
use crate::{Error, Result};

/// Pairs as sequences.
pub(super) struct PairTokens {
    pub(super) batch: PackedBatch,
    pub(super) truncated: usize,
}

impl Model for CrossEncoder {
    /// A column of pairs for each column of documents: those of the first column with the second, with the third, ..
    fn tokenize(&self, columns: &[Vec<&str>]) -> Result<Tokens> {
        let [queries, docs @ ..] = columns else { return Ok(Tokens::default()) };
        if docs.is_empty() {
            return Err(Error::MissingColumn {
                place: "training set".to_owned(),
                column: "positive".to_owned(),
                found: "query".to_owned(),
                expected: "documents: a cross-encoder reads pairs".to_owned(),
            });
        }
        let mut tokens = Tokens::default();
        for docs in docs {
            let pairs: Vec<(&str, &str)> = queries.iter().copied().zip(docs.iter().copied()).collect();
            let encoded = self.tokenize_pairs(&pairs)?;
            tokens.truncated += encoded.truncated;
            tokens.columns.push(encoded.batch);
        }
        Ok(tokens)
    }

    fn forward(&self, part: &Part, activations: &mut Activations) -> Result<Outputs> {
        self.classifier.forward(&part.batch, activations)?;
        Ok(Outputs::rows(activations.logits().to_vec(), ()))
    }

    fn backward(
        &mut self,
        part: &Part,
        activations: &mut Activations,
        _outputs: &Outputs,
        gradient: &[f32],
    ) -> Result<()> {
        self.classifier.backward(&part.batch, activations, gradient)
    }

    fn width(&self) -> usize {
        self.labels().len()
    }

    fn scoring(&self) -> Scoring {
        Scoring::Pairs
    }

    fn max_length(&self) -> usize {
        self.config.max_length
    }

    fn cancels(&self, parameter: &str) -> bool {
        self.encoder().cancels(parameter) || self.classifier.is_out_bias(parameter)
    }

    with_encoder!(CrossEncoderConfig { encode_tokens: 0 });
}

impl CrossEncoder {
    /// Pairs as sequences, with the segments that the encoder knows.
    pub(super) fn tokenize_pairs<A, B>(&self, pairs: &[(A, B)]) -> Result<PairTokens>
    where
        A: AsRef<str> + Sync,
        B: AsRef<str> + Sync,
    {
        let encoded = self.tokenizer.encode_pairs(pairs, self.config.max_length)?;
        let mut batch = PackedBatch::new(&encoded.ids);
        if self.encoder().spec().segments > 1 {
            batch.token_types = encoded.token_types.concat();
        }
        Ok(PairTokens { batch, truncated: encoded.truncated })
    }
}
