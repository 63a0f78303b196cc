//! The SPLADE model in training.

use super::queries::Sides;
use super::{QueryWeights, Splade, SpladeConfig};
use crate::Result;
use crate::loss::{Scoring, Similarity};
use crate::model::interface::{check_length, with_encoder};
use crate::model::{Model, Outputs, Part, Role, Tokens};
use crate::nn::{Activations, PackedBatch, Winners, WordTable};

impl Model for Splade {
    fn tokenize(&self, columns: &[Vec<&str>]) -> Result<Tokens> {
        let mut tokens = Tokens::default();
        for (column, texts) in columns.iter().enumerate() {
            let encodings = self.encodings(texts, Role::of_column(column))?;
            tokens.truncated += encodings.truncated;
            tokens.columns.push(PackedBatch::new(encodings.ids));
        }
        Ok(tokens)
    }

    fn forward(&self, part: &Part, activations: &mut Activations) -> Result<Outputs> {
        let way = (self.config.pooling, self.saturation());
        let Some(queries) = &self.queries else {
            let (weights, winners) = self.head.forward_words(way.0, way.1, &part.batch, activations)?;
            return Ok(Outputs::rows(weights, winners));
        };
        let sides = Sides::of(part)?;
        let mut weights = vec![0.0; part.batch.sequences() * self.dim()];
        queries.forward(self.encoder().parameters(), part, &sides, &mut weights)?;
        let mut kept = (Vec::new(), Winners::default());
        if !sides.docs.is_empty() {
            kept = sides
                .shifted(activations, |activations| self.head.forward_words(way.0, way.1, &sides.batch, activations))?;
            for (text, row) in sides.docs.iter().zip(kept.0.chunks_exact(self.dim())) {
                weights[text * self.dim()..(text + 1) * self.dim()].copy_from_slice(row);
            }
        }
        Ok(Outputs::rows(weights, kept.1))
    }

    fn backward(
        &mut self,
        part: &Part,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &[f32],
    ) -> Result<()> {
        let (way, dim) = ((self.config.pooling, self.saturation()), self.dim());
        let winners = outputs.kept::<Winners>()?;
        let Some(queries) = &self.queries else {
            let kept = (outputs.values.as_slice(), winners);
            return self.head.backward_words(way, &part.batch, activations, kept, gradient);
        };
        let size = part.batch.sequences() * dim;
        check_length("numbers of the vectors", outputs.values.len(), size)?;
        check_length("numbers of their gradient", gradient.len(), size)?;
        let sides = Sides::of(part)?;
        if self.config.query_weights == QueryWeights::Trained {
            queries.backward(self.head.encoder_mut().parameters_mut(), part, &sides, gradient);
        }
        if sides.docs.is_empty() {
            return Ok(());
        }
        let own = |all: &[f32]| -> Vec<f32> {
            sides.docs.iter().flat_map(|text| &all[text * dim..(text + 1) * dim]).copied().collect()
        };
        let (values, gradient) = (own(&outputs.values), own(gradient));
        sides.shifted(activations, |activations| {
            self.head.backward_words(way, &sides.batch, activations, (&values, winners), &gradient)
        })
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

    fn limits(&self) -> String {
        let SpladeConfig { max_length, query_length, .. } = &self.config;
        let queries = query_length.map(|most| format!("query_length = {most} or ")).unwrap_or_default();
        format!("{queries}max_length = {max_length} tokens")
    }

    fn cancels(&self, parameter: &str) -> bool {
        let fixed = parameter == WordTable::NAME && self.config.query_weights == QueryWeights::Fixed;
        fixed || self.encoder().cancels(parameter)
    }

    with_encoder!(SpladeConfig { encode_tokens: 0, max_active_dims: None });
}
