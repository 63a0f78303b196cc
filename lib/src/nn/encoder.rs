//! The encoder of every family: making it, reading and writing it. Its passes are in `passes.rs`.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;

use super::blocks::rotary::Rotations;
use super::checkpoint::Tensors;
use super::layout::{Layout, lay_out};
use super::lora::Adapters;
use super::spec::{Positions, Spec};
use super::{EncoderConfig, LoadReport, Lora, Parameter, Parameters, UnusableConfig, WordTable, checkpoint, init};
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
#[derive(Clone)]
pub struct Encoder {
    pub(super) config: EncoderConfig,
    pub(super) spec: Spec,
    pub(super) parameters: Parameters,
    /// How many of them are the encoder's; a head's follow.
    pub(super) own: usize,
    pub(super) layout: Layout,
    pub(super) rotations: Rotations,
    pub(super) loaded: LoadReport,
    /// What is trained in the place of its own parameters, if that is so.
    pub(super) lora: Option<Adapters>,
}

impl Encoder {
    /// An untrained encoder: matrices from N(0, `initializer_range`²), biases 0, norms 1.
    pub fn new(config: impl Into<EncoderConfig>, seed: u64) -> Result<Self> {
        let mut encoder = Self::outline(config.into())?;
        encoder.parameters.allocate()?;
        encoder.draw(0, seed, |_| true);
        if let (Positions::Table { sinusoidal: true, .. }, Some(table)) =
            (encoder.spec.positions, &encoder.layout.positions)
        {
            init::sinusoids(&mut encoder.parameters.values[table.clone()], encoder.spec.embedding);
        }
        Ok(encoder)
    }

    /// Reads a Hugging Face directory of any supported family: `config.json` and `model.safetensors`, in
    /// one file or several, with the prefixes and the older names that checkpoints have, in f32, f16, bf16
    /// or f64. [`Encoder::loaded`] tells what of it was not used.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let mut encoder = Self::outline(checkpoint::read_config(dir)?.0)?;
        let loaded = checkpoint::fill(&mut encoder.parameters, &Tensors::open(dir)?, &[], |_| false)?;
        encoder.set_loaded(dir, loaded);
        Ok(encoder)
    }

    /// From the content of a `config.json` and of a `model.safetensors` in f16 that lie in memory.
    pub(crate) fn embedded(config: &[u8], weights: &[u8]) -> Result<Self> {
        let unusable = |problem: String| Error::Shape {
            what: "an embedded config.json".to_owned(),
            found: problem,
            expected: "that of a supported encoder".to_owned(),
        };
        let value: Value = serde_json::from_slice(config).map_err(|source| unusable(source.to_string()))?;
        let config = EncoderConfig::try_from(value).map_err(|UnusableConfig { problem, .. }| unusable(problem))?;
        let mut encoder = Self::outline(config)?;
        checkpoint::fill_embedded(&mut encoder.parameters, weights)?;
        Ok(encoder)
    }

    /// Writes `config.json` and `model.safetensors`, for `AutoModel.from_pretrained` and [`Encoder::load`].
    /// The parameters of a head are left out; adapters are merged.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        checkpoint::write_config(dir.as_ref(), &self.config, "Model", Value::Null)?;
        let Self { parameters, own, .. } = &*self.merged();
        checkpoint::write(dir.as_ref(), parameters, &parameters.entries()[..*own], str::to_owned)
    }

    /// What the checkpoint held beyond this model; nothing for a new one.
    pub fn loaded(&self) -> &LoadReport {
        &self.loaded
    }

    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// The parameter table: all that is trained.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Saves all parameters, a head's included, for Python's class of this head.
    pub(super) fn save_with_head(&self, dir: &Path, class: &str, head: Value) -> Result<()> {
        checkpoint::write_config(dir, &self.config, class, head)?;
        let Self { parameters, .. } = &*self.merged();
        let own = |name: &str| parameters.entries()[..self.own].iter().any(|entry| entry.name == name);
        // A table of words is a module of its own.
        let entries: Vec<Parameter> =
            parameters.entries().iter().filter(|entry| entry.name != WordTable::NAME).cloned().collect();
        checkpoint::write(dir, parameters, &entries, |name| {
            // BERT's pooler belongs to the encoder there.
            let prefix = if own(name) || self.owns(name) { self.spec.names.prefix } else { "" };
            format!("{prefix}{name}")
        })
    }

    /// Whether a parameter of a head belongs to the encoder in Python's class.
    pub(super) fn owns(&self, name: &str) -> bool {
        name.starts_with("pooler.") && self.spec.names.prefix != "deberta."
    }

    /// The same encoder with room for this many tokens: the embeddings of those that it did not have are drawn. It never
    /// loses one.
    pub(crate) fn with_vocab_size(self, size: usize, seed: u64) -> Result<Self> {
        if size <= self.spec.vocab {
            return Ok(self);
        }
        let mut grown = Self::new(self.config.clone().with_vocab_size(size), seed)?;
        for (own, new) in self.parameters.entries()[..self.own].iter().zip(grown.parameters.entries().to_vec()) {
            // The rows of a longer table come after those that were there.
            let (from, to) = (own.range.clone(), new.range.start..new.range.start + own.range.len());
            grown.parameters.values[to].copy_from_slice(&self.parameters.values[from]);
        }
        Ok(Self { loaded: self.loaded, ..grown })
    }

    /// Takes away what a head has added to the table; adapters are merged.
    pub(crate) fn remove_head(&mut self) {
        self.merge_lora();
        self.parameters.truncate(self.own);
    }

    /// Draws those parameters from number `first` on that `wanted` names.
    pub(super) fn draw(&mut self, first: usize, seed: u64, wanted: impl Fn(&Parameter) -> bool) {
        init::draw(&mut self.parameters, first, seed, self.spec.deviation, wanted);
    }

    pub(super) fn set_loaded(&mut self, dir: &Path, loaded: LoadReport) {
        checkpoint::report(dir, &loaded);
        self.loaded = loaded;
    }

    /// Where the word embeddings lie in the table.
    pub(super) fn words(&self) -> Range<usize> {
        self.layout.words.clone()
    }

    /// In words: `bert, 6 layers of width 384, 22713216 parameters`.
    pub(crate) fn shape(&self) -> String {
        let (family, layers) = (self.config.model_type(), self.spec.layers.len());
        let (width, trained) = (self.spec.width, self.parameters.len());
        match self.lora() {
            None => format!("{family}, {layers} layers of width {width}, {trained} parameters"),
            Some(Lora { rank, .. }) => {
                let all = self.parameters.frozen() + trained;
                format!(
                    "{family}, {layers} layers of width {width}, {all} parameters, {trained} trained: LoRA of rank {rank}"
                )
            }
        }
    }

    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Whether the gradient of a parameter is zero by nature: a constant added to all keys of a row
    /// cancels in the softmax, and of a product with 0 the other factor has none.
    pub(crate) fn cancels(&self, name: &str) -> bool {
        self.cancels_in(&self.parameters.values, name)
    }

    /// The same of the numbers `table` in the place of its own.
    pub(crate) fn cancels_in(&self, table: &[f32], name: &str) -> bool {
        if self.is_before_zero(table, name) {
            return true;
        }
        match self.spec.names.qkv {
            // There it is compared with positions, too.
            _ if self.spec.span.is_some() => false,
            [_, key, _] => name.ends_with(&format!("{key}.bias")),
            _ => false,
        }
    }

    /// The error for a parameter that no gradient reaches.
    pub(crate) fn unreached(&self, name: &str) -> Error {
        if self.spec.layers.is_empty() && name.starts_with("encoder.") {
            return Error::Setting {
                field: "num_hidden_layers",
                value: "0".to_owned(),
                expected: format!("at least 1: `{name}` belongs to the layers; or freeze it"),
            };
        }
        Error::MissingGradient { parameter: name.to_owned() }
    }

    /// All parameters in their order, without memory.
    pub(super) fn outline(config: EncoderConfig) -> Result<Self> {
        config.check()?;
        let spec = config.spec();
        let (parameters, layout) = lay_out(&spec);
        let (rotations, own) = (Rotations::new(&spec), parameters.entries().len());
        Ok(Self { config, spec, own, parameters, layout, rotations, loaded: LoadReport::default(), lora: None })
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder ({})", self.shape())
    }
}
