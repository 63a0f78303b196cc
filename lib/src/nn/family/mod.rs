//! The families of encoders: one file each, with its `config.json` and the names of its parameters.

mod bert;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::spec::Spec;
use crate::{Error, Result};

pub use bert::BertConfig;

/// The settings of an encoder of any family, as its `config.json` has them. `model_type` there tells the family.
///
/// | family | `model_type` |
/// |---|---|
/// | [`BertConfig`] | `bert`, `electra` |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Value")]
pub enum EncoderConfig {
    Bert(BertConfig),
}

/// Every `model_type` that can be read.
const SUPPORTED: [&str; 2] = ["bert", "electra"];

impl EncoderConfig {
    /// `H`, the width of the hidden states.
    pub fn hidden_size(&self) -> usize {
        self.spec().width
    }

    pub fn vocab_size(&self) -> usize {
        self.spec().vocab
    }

    /// The longest input in tokens, special ones included.
    pub fn longest(&self) -> usize {
        self.spec().longest()
    }

    /// The number of layers.
    pub fn layers(&self) -> usize {
        self.spec().layers.len()
    }

    /// The same encoder for a vocabulary of another size.
    pub fn with_vocab_size(mut self, size: usize) -> Self {
        match &mut self {
            Self::Bert(config) => config.vocab_size = size,
        }
        self
    }

    /// As in `config.json`.
    pub fn model_type(&self) -> &str {
        match self {
            Self::Bert(config) => &config.model_type,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if !SUPPORTED.contains(&self.model_type()) {
            let expected = format!("one of {}", listed(&SUPPORTED));
            return Err(Error::Setting { field: "model_type", value: self.model_type().to_owned(), expected });
        }
        match self {
            Self::Bert(config) => config.check(),
        }
    }

    pub(crate) fn spec(&self) -> Spec {
        match self {
            Self::Bert(config) => config.spec(),
        }
    }

    /// What Python's classes of this family start with.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Bert(config) if config.is_electra() => "Electra",
            Self::Bert(_) => "Bert",
        }
    }
}

impl From<BertConfig> for EncoderConfig {
    fn from(config: BertConfig) -> Self {
        Self::Bert(config)
    }
}

/// Why a `config.json` describes no encoder.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{problem}; expected {expected}")]
pub struct UnusableConfig {
    pub problem: String,
    pub expected: String,
}

impl TryFrom<Value> for EncoderConfig {
    type Error = UnusableConfig;

    /// Reads a `config.json`. A missing `model_type` is BERT's, as in its first checkpoints.
    fn try_from(value: Value) -> Result<Self, UnusableConfig> {
        let model_type = value["model_type"].as_str().unwrap_or("bert").to_owned();
        match model_type.as_str() {
            "bert" | "electra" => Ok(Self::Bert(sized(value, &bert::SIZES)?)),
            _ => Err(UnusableConfig {
                problem: format!("model_type is `{model_type}`"),
                expected: format!("one of {}", listed(&SUPPORTED)),
            }),
        }
    }
}

/// A family's settings, which have to name the sizes: with defaults they would describe another model
/// than the weights.
fn sized<T: serde::de::DeserializeOwned>(value: Value, sizes: &[&str]) -> Result<T, UnusableConfig> {
    if let Some(key) = sizes.iter().find(|key| !value[**key].is_u64()) {
        let problem = format!("`{key}` is {}", value[*key]);
        return Err(UnusableConfig { problem, expected: "a whole number".to_owned() });
    }
    serde_json::from_value(value).map_err(|source| UnusableConfig {
        problem: source.to_string(),
        expected: "the keys and values that transformers writes".to_owned(),
    })
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
