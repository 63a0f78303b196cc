//! The late-interaction model in training.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::rows::normalize_backward;
use super::{ColBert, ColBertConfig, Rows};
use crate::loss::Scoring;
use crate::model::{Model, Outputs, Part, Tokens};
use crate::nn::{Activations, EncoderConfig, Parameters};
use crate::text::Tokenizer;
use crate::{Error, Result};

/// What the backward pass needs.
struct Kept {
    /// The tokens that have a row.
    tokens: Vec<usize>,
    /// The lengths of the rows before they were scaled to 1.
    lengths: Vec<f32>,
}

impl Model for ColBert {
    fn tokenize(&self, columns: &[Vec<&str>]) -> Result<Tokens> {
        let mut tokens = Tokens::default();
        for (column, texts) in columns.iter().enumerate() {
            let sequences = self.sequences(texts, is_query(column))?;
            tokens.truncated += sequences.truncated;
            tokens.columns.push(sequences.batch(0..texts.len()));
        }
        Ok(tokens)
    }

    fn forward(&self, part: &Part, activations: &mut Activations) -> Result<Outputs> {
        check_length("columns of the sequences", part.columns.len(), part.batch.sequences())?;
        let queries = |sequence: usize| is_query(part.columns[sequence]);
        let Rows { values, bounds, tokens, lengths } = self.rows(&part.batch, queries, activations)?;
        Ok(Outputs { bounds, ..Outputs::rows(values, Kept { tokens, lengths }) })
    }

    fn backward(
        &mut self,
        part: &Part,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &[f32],
    ) -> Result<()> {
        let (Kept { tokens, lengths }, dim) = (outputs.kept::<Kept>()?, self.dim());
        check_length("numbers of the vectors", outputs.values.len(), tokens.len() * dim)?;
        check_length("numbers of their gradient", gradient.len(), tokens.len() * dim)?;
        if part.batch.tokens() == 0 {
            return Ok(());
        }
        let gradient = normalize_backward(&outputs.values, lengths, gradient, dim);
        let mut d_hidden = std::mem::take(activations.d_hidden());
        let parameters = self.encoder.parameters_mut();
        self.projection.backward(parameters, tokens, &gradient, activations, &mut d_hidden);
        let done = self.encoder.backward(&part.batch, activations, &d_hidden);
        *activations.d_hidden() = d_hidden;
        done
    }

    fn width(&self) -> usize {
        self.dim()
    }

    fn scoring(&self) -> Scoring {
        Scoring::Tokens(self.config.interaction)
    }

    fn unit(&self) -> bool {
        true
    }

    fn max_length(&self) -> usize {
        self.config.query_length.max(self.config.doc_length)
    }

    fn limits(&self) -> String {
        let ColBertConfig { query_length, doc_length, .. } = &self.config;
        format!("query_length = {query_length} or doc_length = {doc_length} tokens")
    }

    fn pass_tokens(&self) -> usize {
        self.config.encode_tokens
    }

    fn parameters(&self) -> &Parameters {
        self.encoder.parameters()
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        self.encoder.parameters_mut()
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
        // How `encode` does its work changes nothing.
        let config = ColBertConfig { encode_tokens: 0, ..ColBertConfig::deserialize(settings)? };
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

/// The first column holds queries, all others documents.
fn is_query(column: usize) -> bool {
    column == 0
}

fn check_length(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Shape { what: what.to_owned(), found: found.to_string(), expected: expected.to_string() })
}
