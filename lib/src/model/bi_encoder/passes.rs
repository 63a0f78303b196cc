//! The bi-encoder in training.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{BiEncoder, BiEncoderConfig, Precision, Role};
use crate::loss::Scoring;
use crate::model::pooling::Pooled;
use crate::model::{Model, Outputs, Part, Tokens};
use crate::nn::{Activations, EncoderConfig, PackedBatch, Parameters};
use crate::text::Tokenizer;
use crate::{Error, Result};

/// The first column holds queries, all others documents.
fn role(column: usize) -> Role {
    if column == 0 { Role::Query } else { Role::Doc }
}

impl Model for BiEncoder {
    fn tokenize(&self, columns: &[Vec<&str>]) -> Result<Tokens> {
        let mut tokens = Tokens::default();
        for (column, texts) in columns.iter().enumerate() {
            let encodings = self.encodings(texts, role(column))?;
            tokens.truncated += encodings.truncated;
            tokens.columns.push(PackedBatch::new(encodings.ids));
        }
        Ok(tokens)
    }

    fn forward(&self, part: &Part, activations: &mut Activations) -> Result<Outputs> {
        let skip = self.skipped(part)?;
        self.encoder.forward_for(self.config.pooling.read(), &part.batch, activations, None)?;
        let (vectors, pooled) = self.pool(&part.batch, &skip, activations);
        Ok(Outputs::rows(vectors, pooled))
    }

    fn backward(
        &mut self,
        part: &Part,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &[f32],
    ) -> Result<()> {
        let (skip, size) = (self.skipped(part)?, part.batch.sequences() * self.dim());
        check_length("numbers of the vectors", outputs.values.len(), size)?;
        check_length("numbers of their gradient", gradient.len(), size)?;
        if part.batch.tokens() == 0 {
            return Ok(());
        }
        let pooled = (outputs.values.as_slice(), outputs.kept::<Pooled>()?);
        let mut d_hidden = std::mem::take(activations.d_hidden());
        self.config.pooling.backward(pooled, gradient, &part.batch, &skip, &mut d_hidden);
        let done = self.encoder.backward(&part.batch, activations, &d_hidden);
        *activations.d_hidden() = d_hidden;
        done
    }

    fn width(&self) -> usize {
        self.dim()
    }

    fn scoring(&self) -> Scoring {
        Scoring::Vectors(self.config.similarity)
    }

    fn unit(&self) -> bool {
        self.config.normalize
    }

    fn max_length(&self) -> usize {
        self.config.max_length
    }

    fn pass_tokens(&self) -> usize {
        self.config.encode_tokens
    }

    fn parameters(&self) -> &Parameters {
        self.encoder.parameters()
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        self.encoder_mut().parameters_mut()
    }

    fn cancels(&self, parameter: &str) -> bool {
        self.encoder.cancels(parameter)
    }

    fn unreached(&self, parameter: &str) -> Error {
        self.encoder.unreached(parameter)
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn settings(&self) -> serde_json::Result<Value> {
        self.encoder.config().table(&self.config)
    }

    fn complete(&self, settings: &Value) -> serde_json::Result<Value> {
        let config = BiEncoderConfig::deserialize(settings)?;
        // How `encode` does its work changes nothing.
        let config = BiEncoderConfig { encode_tokens: 0, precision: Precision::default(), ..config };
        EncoderConfig::deserialize(settings)?.table(&config)
    }

    fn save_to(&self, dir: &Path) -> Result<()> {
        self.save(dir)
    }

    fn load_from(&self, dir: &Path) -> Result<Box<dyn Model>> {
        Ok(Box::new(Self::load(dir)?))
    }

    fn boxed(&self) -> Box<dyn Model> {
        Box::new(self.clone())
    }
}

impl BiEncoder {
    /// How many tokens at the start of each sequence a mean leaves out.
    fn skipped(&self, part: &Part) -> Result<Vec<usize>> {
        check_length("columns of the sequences", part.columns.len(), part.batch.sequences())?;
        Ok(part.columns.iter().map(|column| self.prompt_tokens(role(*column))).collect())
    }

    /// The vectors of a batch, from the hidden states of its forward pass.
    pub(super) fn pool(&self, batch: &PackedBatch, skip: &[usize], activations: &Activations) -> (Vec<f32>, Pooled) {
        let width = self.encoder.config().hidden_size();
        self.config.pooling.forward(activations.hidden(), width, batch, skip, self.config.normalize)
    }
}

fn check_length(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Shape { what: what.to_owned(), found: found.to_string(), expected: expected.to_string() })
}
