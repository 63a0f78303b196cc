//! The SPLADE model in training.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{Splade, SpladeConfig};
use crate::loss::{Scoring, Similarity};
use crate::model::{Model, Outputs, Part, Role, Tokens};
use crate::nn::{Activations, EncoderConfig, PackedBatch, Parameters, Winners};
use crate::text::Tokenizer;
use crate::{Error, Result};

impl Model for Splade {
    fn tokenize(&self, columns: &[Vec<&str>]) -> Result<Tokens> {
        let mut tokens = Tokens::default();
        for (column, texts) in columns.iter().enumerate() {
            // The first column holds queries, all others documents.
            let encodings = self.encodings(texts, if column == 0 { Role::Query } else { Role::Doc })?;
            tokens.truncated += encodings.truncated;
            tokens.columns.push(PackedBatch::new(encodings.ids));
        }
        Ok(tokens)
    }

    fn forward(&self, part: &Part, activations: &mut Activations) -> Result<Outputs> {
        let (weights, winners) =
            self.head.forward_words(self.config.pooling, self.saturation(), &part.batch, activations)?;
        Ok(Outputs::rows(weights, winners))
    }

    fn backward(
        &mut self,
        part: &Part,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &[f32],
    ) -> Result<()> {
        let kept = (outputs.values.as_slice(), outputs.kept::<Winners>()?);
        let way = (self.config.pooling, self.saturation());
        self.head.backward_words(way, &part.batch, activations, kept, gradient)
    }

    fn width(&self) -> usize {
        self.dim()
    }

    fn scoring(&self) -> Scoring {
        Scoring::Vectors(Similarity::Dot)
    }

    fn max_length(&self) -> usize {
        self.config.max_length
    }

    fn pass_tokens(&self) -> usize {
        self.config.encode_tokens
    }

    fn parameters(&self) -> &Parameters {
        self.head.encoder().parameters()
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        self.head.encoder_mut().parameters_mut()
    }

    fn cancels(&self, parameter: &str) -> bool {
        self.head.encoder().cancels(parameter)
    }

    fn unreached(&self, parameter: &str) -> Error {
        self.head.encoder().unreached(parameter)
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn settings(&self) -> serde_json::Result<Value> {
        self.head.encoder().config().table(&self.config)
    }

    fn complete(&self, settings: &Value) -> serde_json::Result<Value> {
        // How `encode` does its work changes nothing of a training.
        let config = SpladeConfig { encode_tokens: 0, max_active_dims: None, ..SpladeConfig::deserialize(settings)? };
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
