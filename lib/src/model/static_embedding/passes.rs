//! The static embedding in training.

use std::path::Path;

use rayon::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::{StaticEmbedding, StaticEmbeddingConfig};
use crate::loss::Scoring;
use crate::model::interface::check_length;
use crate::model::{Front, Model, Outputs, Part, Role, Tokens};
use crate::nn::{Activations, PackedBatch, Parameters, bag};
use crate::text::Tokenizer;
use crate::{Error, Result};

/// The lengths of the means, each at least [`SHORTEST`]; none without normalisation.
struct Lengths(Vec<f32>);

/// Below this length a vector is not scaled up any more, as in PyTorch's `normalize`.
const SHORTEST: f32 = 1e-12;

impl Model for StaticEmbedding {
    fn tokenize(&self, columns: &[Vec<&str>]) -> Result<Tokens> {
        Tokens::of_texts(columns, |texts, role| self.encodings(texts, role))
    }

    fn front(&self) -> Option<Front> {
        let (config, tokenizer, unknown) = (self.config.clone(), self.tokenizer.apart(), self.unknown);
        let encode = move |texts: &[&str], role: Role| config.encodings(&tokenizer, unknown, texts, role);
        Some(Box::new(move |columns| Tokens::of_texts(columns, &encode)))
    }

    fn forward(&self, part: &Part, _: &mut Activations) -> Result<Outputs> {
        let mut vectors = vec![0.0; part.batch.sequences() * self.dim];
        let lengths = self.vectors(&part.batch, &mut vectors)?;
        Ok(Outputs::rows(vectors, Lengths(lengths)))
    }

    fn backward(
        &mut self,
        part: &Part,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &[f32],
    ) -> Result<()> {
        let (batch, dim) = (&part.batch, self.dim);
        let size = batch.sequences() * dim;
        check_length("numbers of the vectors", outputs.values.len(), size)?;
        check_length("numbers of their gradient", gradient.len(), size)?;
        self.check_ids(batch)?;
        if !activations.trained.any(0..self.table.len()) {
            return Ok(());
        }
        let mut d = gradient.to_vec();
        let Lengths(lengths) = outputs.kept()?;
        let rows = d.par_chunks_exact_mut(dim).zip(outputs.values.par_chunks_exact(dim)).zip(lengths);
        rows.for_each(|((d, unit), length)| through_length(d, unit, *length));
        bag::backward(self.table.values_and_grads().1, &mut d, dim, batch);
        Ok(())
    }

    fn width(&self) -> usize {
        self.dim
    }

    fn scoring(&self) -> Scoring {
        Scoring::Vectors(self.config.similarity)
    }

    fn unit(&self) -> bool {
        self.config.normalize
    }

    fn max_length(&self) -> usize {
        self.config.max_length.unwrap_or(usize::MAX)
    }

    fn limits(&self) -> String {
        self.config.max_length.map_or_else(|| "any limit".to_owned(), |length| format!("max_length = {length} tokens"))
    }

    fn parameters(&self) -> &Parameters {
        &self.table
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.table
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn settings(&self) -> serde_json::Result<Value> {
        serde_json::to_value(&self.config)
    }

    fn complete(&self, settings: &Value) -> serde_json::Result<Value> {
        serde_json::to_value(StaticEmbeddingConfig::deserialize(settings)?)
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

impl StaticEmbedding {
    /// The vectors of a batch, and the lengths of the means before normalisation.
    pub(super) fn vectors(&self, batch: &PackedBatch, vectors: &mut [f32]) -> Result<Vec<f32>> {
        self.check_ids(batch)?;
        bag::forward(vectors, self.dim, &self.table.values, batch);
        if !self.config.normalize {
            return Ok(Vec::new());
        }
        Ok(vectors.par_chunks_exact_mut(self.dim).map(to_length_1).collect())
    }

    /// An error for a batch that is none, or one for another vocabulary.
    fn check_ids(&self, batch: &PackedBatch) -> Result<()> {
        batch.check()?;
        let rows = self.table.len() / self.dim;
        match batch.ids.iter().find(|id| **id as usize >= rows) {
            None => Ok(()),
            Some(id) => Err(Error::Shape {
                what: "token id in a batch".to_owned(),
                found: id.to_string(),
                expected: format!("below {rows}, the rows of the table (does the tokenizer belong to the model?)"),
            }),
        }
    }
}

/// Scales a vector, and returns the length that it had.
fn to_length_1(vector: &mut [f32]) -> f32 {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(SHORTEST);
    vector.iter_mut().for_each(|value| *value /= length);
    length
}

/// The gradient before normalisation: what is across the vector, over its length. A vector of length 0 points nowhere and
/// has none.
fn through_length(d: &mut [f32], unit: &[f32], length: f32) {
    if length <= SHORTEST {
        d.fill(0.0);
        return;
    }
    let along: f32 = unit.iter().zip(&*d).map(|(unit, d)| unit * d).sum();
    d.iter_mut().zip(unit).for_each(|(d, unit)| *d = (*d - unit * along) / length);
}
