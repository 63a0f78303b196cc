//! The encoder of every family: forward and backward written by hand.

use std::path::Path;

use super::layer::{Pass, embedding, post_norm};
use super::layout::{Layout, lay_out};
use super::spec::{Positions, Spec};
use super::{Activations, EncoderConfig, PackedBatch, Parameters, weights};
use crate::random::Philox;
use crate::{Error, Result};

/// A transformer encoder of any family of [`EncoderConfig`], without the pooler that some have: search
/// models pool the hidden states themselves.
///
/// ```
/// use kensaku::nn::{Activations, BertConfig, Encoder, PackedBatch};
///
/// let encoder = Encoder::new(BertConfig { vocab_size: 100, ..Default::default() }, 42)?;
/// let mut activations = Activations::inference();
/// encoder.forward(&PackedBatch::new([vec![2, 7, 3], vec![2, 3]]), &mut activations)?;
/// assert_eq!(activations.hidden().len(), 5 * encoder.config().hidden_size());
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Encoder {
    config: EncoderConfig,
    spec: Spec,
    parameters: Parameters,
    layout: Layout,
}

impl Encoder {
    /// An untrained encoder: matrices from N(0, `initializer_range`²), biases 0, norms 1.
    pub fn new(config: impl Into<EncoderConfig>, seed: u64) -> Result<Self> {
        let mut encoder = Self::outline(config.into())?;
        encoder.parameters.allocate()?;
        let mut rng = Philox::new(seed);
        for entry in encoder.parameters.entries().to_vec() {
            let values = &mut encoder.parameters.values[entry.range];
            if entry.shape.len() == 2 {
                values.fill_with(|| (rng.normal() * encoder.spec.deviation) as f32);
            } else if entry.name.ends_with("weight") {
                values.fill(1.0);
            }
        }
        Ok(encoder)
    }

    /// Reads `config.json` and `model.safetensors` of a Hugging Face directory.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let mut encoder = Self::outline(weights::read_config(&dir.join("config.json"))?)?;
        encoder.parameters.allocate()?;
        weights::read(&dir.join("model.safetensors"), &mut encoder.parameters)?;
        Ok(encoder)
    }

    /// Writes `config.json` and `model.safetensors`.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        weights::write_config(&dir.as_ref().join("config.json"), &self.config)?;
        weights::write(&dir.as_ref().join("model.safetensors"), &self.parameters)
    }

    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// The parameter table.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Computes the hidden states `(T, H)` of a batch into `activations`.
    pub fn forward(&self, batch: &PackedBatch, activations: &mut Activations) -> Result<()> {
        activations.fit(&self.spec, batch);
        embedding::number(&self.spec, batch, &mut activations.positions);
        self.check(batch, &activations.positions)?;
        let pass = Pass { spec: &self.spec, batch, dropout: activations.dropout };
        let size = batch.tokens() * self.spec.width;
        let Activations { hidden, embeddings, positions, layers, scratch, .. } = activations;
        let (hidden, values) = (&mut hidden[..size], self.parameters.values.as_slice());
        embedding::forward(pass, &self.layout, values, positions, hidden, embeddings, scratch);
        for (index, layer) in self.layout.layers.iter().enumerate() {
            let cache = index.min(layers.len() - 1);
            post_norm::forward(pass, index, layer, values, hidden, &mut scratch.rows[..size], &mut layers[cache]);
        }
        Ok(())
    }

    /// From the gradient of the hidden states `(T, H)` of the last forward pass with these
    /// [`Activations::training`]: adds the gradient of every parameter to the table.
    pub fn backward(&mut self, batch: &PackedBatch, activations: &mut Activations, d_hidden: &[f32]) -> Result<()> {
        let size = batch.tokens() * self.spec.width;
        if d_hidden.len() != size || activations.hidden().len() != size {
            return Err(Error::Shape {
                what: "gradient of the hidden states".to_owned(),
                found: format!("{} numbers after {} hidden ones", d_hidden.len(), activations.hidden().len()),
                expected: format!("{size} numbers after a forward pass of the same batch"),
            });
        }
        if self.parameters.grads.is_empty() {
            self.parameters.zero_grads();
        }
        let pass = Pass { spec: &self.spec, batch, dropout: activations.dropout };
        let Activations { hidden, embeddings, positions, layers, scratch, .. } = activations;
        let Parameters { values, grads, .. } = &mut self.parameters;
        // The output is not needed any more: its memory holds the gradient that wanders down.
        let d = &mut hidden[..size];
        d.copy_from_slice(d_hidden);
        for (index, layer) in self.layout.layers.iter().enumerate().rev() {
            post_norm::backward(pass, index, layer, values, grads, d, &layers[index], scratch);
        }
        embedding::backward(pass, &self.layout, values, grads, positions, d, embeddings, scratch);
        Ok(())
    }

    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Whether the gradient of a parameter is zero by nature: a constant added to all keys of a row
    /// cancels in the softmax.
    pub(crate) fn cancels(&self, name: &str) -> bool {
        match self.spec.names.qkv {
            [_, key, _] => name.ends_with(&format!("{key}.bias")),
            _ => false,
        }
    }

    /// All parameters in their order, without memory.
    fn outline(config: EncoderConfig) -> Result<Self> {
        config.check()?;
        let spec = config.spec();
        let (parameters, layout) = lay_out(&spec);
        Ok(Self { config, spec, parameters, layout })
    }

    /// An error for what the tables cannot look up.
    fn check(&self, batch: &PackedBatch, positions: &[u32]) -> Result<()> {
        let rows = match self.spec.positions {
            Positions::Table { rows, .. } | Positions::Counted { rows, .. } => rows,
            Positions::Rotary { limit } => limit,
        };
        // A family without segments takes any.
        let segments = if self.spec.segments == 0 { usize::MAX } else { self.spec.segments };
        let limits = [
            ("token id", batch.ids.as_slice(), self.spec.vocab, "vocab_size"),
            ("position", positions, rows, "max_position_embeddings"),
            ("token type", &batch.token_types, segments, "type_vocab_size"),
        ];
        for (what, ids, limit, field) in limits {
            if ids.len() != batch.tokens() {
                return Err(Error::Shape {
                    what: format!("{what}s of a batch"),
                    found: ids.len().to_string(),
                    expected: format!("one a token, {}", batch.tokens()),
                });
            }
            if let Some(id) = ids.iter().find(|id| **id as usize >= limit) {
                return Err(Error::Shape {
                    what: format!("{what} in a batch"),
                    found: id.to_string(),
                    expected: format!("below {field} = {limit} (does the tokenizer belong to the model?)"),
                });
            }
        }
        Ok(())
    }
}
