//! The cross-encoder in training.

use super::{CrossEncoder, CrossEncoderConfig};
use crate::loss::Scoring;
use crate::model::interface::with_encoder;
use crate::model::{Front, Model, Outputs, Part, Tokens};
use crate::nn::{Activations, PackedBatch};
use crate::text::Tokenizer;
use crate::{Error, Result};

/// Pairs as sequences.
pub(super) struct PairTokens {
    pub(super) batch: PackedBatch,
    pub(super) truncated: usize,
}

/// What makes sequences of pairs.
pub(super) struct PairTokenizer {
    tokenizer: Tokenizer,
    max_length: usize,
    /// Whether the encoder tells the two texts apart.
    segments: bool,
}

impl Model for CrossEncoder {
    fn tokenize(&self, columns: &[Vec<&str>]) -> Result<Tokens> {
        self.pair_tokenizer().columns(columns)
    }

    fn front(&self) -> Option<Front> {
        let own = self.pair_tokenizer();
        let own = PairTokenizer { tokenizer: own.tokenizer.apart(), ..own };
        Some(Box::new(move |columns| own.columns(columns)))
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
    pub(super) fn pair_tokenizer(&self) -> PairTokenizer {
        let segments = self.encoder().spec().segments > 1;
        PairTokenizer { tokenizer: self.tokenizer.clone(), max_length: self.config.max_length, segments }
    }
}

impl PairTokenizer {
    /// A column of pairs for each column of documents: those of the first column with the second, with the third, ..
    fn columns(&self, columns: &[Vec<&str>]) -> Result<Tokens> {
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
            let encoded = self.pairs(&pairs)?;
            tokens.truncated += encoded.truncated;
            tokens.columns.push(encoded.batch);
        }
        Ok(tokens)
    }

    /// Pairs as sequences, with the segments that the encoder knows.
    pub(super) fn pairs<A, B>(&self, pairs: &[(A, B)]) -> Result<PairTokens>
    where
        A: AsRef<str> + Sync,
        B: AsRef<str> + Sync,
    {
        let encoded = self.tokenizer.encode_pairs(pairs, self.max_length)?;
        let mut batch = PackedBatch::new(&encoded.ids);
        if self.segments {
            batch.token_types = encoded.token_types.concat();
        }
        Ok(PairTokens { batch, truncated: encoded.truncated })
    }
}
