//! The SPLADE model in training.

use super::{QueryWeights, Splade, SpladeConfig};
use crate::Result;
use crate::loss::{Scoring, Similarity};
use crate::model::interface::{check_length, with_encoder};
use crate::model::sides::sides;
use crate::model::{Front, Model, Outputs, Part, Role, Tokens};
use crate::nn::{Activations, Winners, WordTable};
use crate::text::Tokenizer;

impl Model for Splade {
    fn tokenize(&self, columns: &[Vec<&str>]) -> Result<Tokens> {
        Tokens::of_texts(columns, |texts, role| self.encodings(texts, role))
    }

    fn front(&self) -> Option<Front> {
        let (config, tokenizer) = (self.config.clone(), self.tokenizer.apart());
        let looked_up = self.queries.as_ref().map(|queries| queries.tokenizer.apart());
        let encode = move |texts: &[&str], role: Role| {
            let looked_up = looked_up.as_ref().filter(|_| role == Role::Query);
            config.encodings(&tokenizer, looked_up, texts, role)
        };
        Some(Box::new(move |columns| Tokens::of_texts(columns, &encode)))
    }

    fn forward(&self, part: &Part, activations: &mut Activations) -> Result<Outputs> {
        let way = (self.config.pooling, self.saturation());
        let Some(queries) = &self.queries else {
            let (weights, winners) = self.head.forward_words(way.0, way.1, &part.batch, activations)?;
            return Ok(Outputs::rows(weights, winners));
        };
        let [looked_up, docs] = sides(part)?;
        let mut weights = vec![0.0; part.batch.sequences() * self.dim()];
        queries.forward(self.encoder().parameters(), &looked_up, &mut weights)?;
        let mut winners = Winners::default();
        if !docs.places.is_empty() {
            let rows;
            (rows, winners) = docs.shifted(activations, |activations| {
                self.head.forward_words(way.0, way.1, &docs.part.batch, activations)
            })?;
            docs.put(&rows, self.dim(), &mut weights);
        }
        Ok(Outputs::rows(weights, winners))
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
        let [looked_up, docs] = sides(part)?;
        if self.config.query_weights == QueryWeights::Trained {
            queries.backward(self.head.encoder_mut().parameters_mut(), &looked_up, gradient);
        }
        if docs.places.is_empty() {
            return Ok(());
        }
        let (values, gradient) = (docs.take(&outputs.values, dim), docs.take(gradient, dim));
        docs.shifted(activations, |activations| {
            self.head.backward_words(way, &docs.part.batch, activations, (&values, winners), &gradient)
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

    fn query_tokenizer(&self) -> &Tokenizer {
        self.query_tokenizer()
    }

    with_encoder!(SpladeConfig { encode_tokens: 0, max_active_dims: None });
}
