//! The families of encoders: one file each, with its `config.json` and the names of its parameters.

mod bert;
mod deberta;
mod distilbert;
pub(crate) mod foreign;
mod modernbert;
mod mpnet;
mod roberta;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Activation;
use super::head::spec::{ClassifierSpec, MaskedLmSpec};
use super::spec::Spec;
use crate::{Error, Result};

pub use bert::BertConfig;
pub use deberta::DebertaConfig;
pub use distilbert::DistilBertConfig;
pub use modernbert::{ClassifierPooling, LayerType, ModernBertConfig, Rope, RopeParameters};
pub use mpnet::MpnetConfig;
pub use roberta::RobertaConfig;

/// The settings of an encoder of any family, as its `config.json` has them. `model_type` there tells the family.
///
/// | family | `model_type` |
/// |---|---|
/// | [`BertConfig`] | `bert`, `electra` |
/// | [`DebertaConfig`] | `deberta-v2`, of version 3, too |
/// | [`DistilBertConfig`] | `distilbert` |
/// | [`RobertaConfig`] | `roberta`, `xlm-roberta` |
/// | [`MpnetConfig`] | `mpnet` |
/// | [`ModernBertConfig`] | `modernbert` |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Value")]
pub enum EncoderConfig {
    Bert(BertConfig),
    Deberta(DebertaConfig),
    DistilBert(DistilBertConfig),
    Roberta(RobertaConfig),
    Mpnet(MpnetConfig),
    ModernBert(ModernBertConfig),
}

impl EncoderConfig {
    /// `H`, the width of the hidden states.
    pub fn hidden_size(&self) -> usize {
        match self {
            Self::Bert(config) => config.hidden_size,
            Self::DistilBert(config) => config.dim,
            Self::Roberta(config) => config.hidden_size,
            Self::Deberta(config) => config.hidden_size,
            Self::Mpnet(config) => config.hidden_size,
            Self::ModernBert(config) => config.hidden_size,
        }
    }

    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Bert(config) => config.vocab_size,
            Self::DistilBert(config) => config.vocab_size,
            Self::Roberta(config) => config.vocab_size,
            Self::Deberta(config) => config.vocab_size,
            Self::Mpnet(config) => config.vocab_size,
            Self::ModernBert(config) => config.vocab_size,
        }
    }

    /// The longest input in tokens, special ones included.
    pub fn longest(&self) -> usize {
        self.spec().longest()
    }

    /// The number of layers.
    pub fn layers(&self) -> usize {
        match self {
            Self::Bert(config) => config.num_hidden_layers,
            Self::DistilBert(config) => config.n_layers,
            Self::Roberta(config) => config.num_hidden_layers,
            Self::Deberta(config) => config.num_hidden_layers,
            Self::Mpnet(config) => config.num_hidden_layers,
            Self::ModernBert(config) => config.num_hidden_layers,
        }
    }

    /// The same encoder for a vocabulary of another size.
    pub fn with_vocab_size(mut self, size: usize) -> Self {
        match &mut self {
            Self::Bert(config) => config.vocab_size = size,
            Self::DistilBert(config) => config.vocab_size = size,
            Self::Roberta(config) => config.vocab_size = size,
            Self::Deberta(config) => config.vocab_size = size,
            Self::Mpnet(config) => config.vocab_size = size,
            Self::ModernBert(config) => config.vocab_size = size,
        }
        self
    }

    /// The same encoder for another id of the padding token: RoBERTa and XLM-R count positions from it on.
    pub fn with_pad_token_id(mut self, id: u32) -> Self {
        match &mut self {
            Self::Bert(config) => config.pad_token_id = id,
            Self::DistilBert(config) => config.pad_token_id = id,
            Self::Roberta(config) => config.pad_token_id = id,
            Self::Deberta(config) => config.pad_token_id = id,
            Self::Mpnet(config) => config.pad_token_id = id,
            Self::ModernBert(config) => config.pad_token_id = id,
        }
        self
    }

    /// As in `config.json`.
    pub fn model_type(&self) -> &str {
        match self {
            Self::Bert(config) => &config.model_type,
            Self::DistilBert(config) => &config.model_type,
            Self::Roberta(config) => &config.model_type,
            Self::Deberta(config) => &config.model_type,
            Self::Mpnet(config) => &config.model_type,
            Self::ModernBert(config) => &config.model_type,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let types = self.model_types();
        if !types.contains(&self.model_type()) {
            let expected = listed(types.iter().copied());
            return Err(Error::Setting { field: "model_type", value: self.model_type().to_owned(), expected });
        }
        match self {
            Self::Bert(config) => config.check(),
            Self::DistilBert(config) => config.check(),
            Self::Roberta(config) => config.check(),
            Self::Deberta(config) => config.check(),
            Self::Mpnet(config) => config.check(),
            Self::ModernBert(config) => config.check(),
        }
    }

    pub(crate) fn spec(&self) -> Spec {
        match self {
            Self::Bert(config) => config.spec(),
            Self::DistilBert(config) => config.spec(),
            Self::Roberta(config) => config.spec(),
            Self::Deberta(config) => config.spec(),
            Self::Mpnet(config) => config.spec(),
            Self::ModernBert(config) => config.spec(),
        }
    }

    pub(crate) fn masked_lm(&self) -> MaskedLmSpec {
        match self {
            Self::Bert(config) => config.masked_lm(),
            Self::DistilBert(config) => config.masked_lm(),
            Self::Deberta(config) => config.masked_lm(),
            Self::Roberta(_) => roberta::MASKED_LM,
            Self::Mpnet(_) => roberta::MASKED_LM,
            Self::ModernBert(config) => config.masked_lm(),
        }
    }

    pub(crate) fn classifier(&self) -> ClassifierSpec {
        match self {
            Self::Bert(config) => config.classifier(),
            Self::DistilBert(config) => config.classifier(),
            Self::Roberta(config) => {
                roberta::classifier(config.classifier_dropout.unwrap_or(config.hidden_dropout_prob), Activation::Tanh)
            }
            Self::Deberta(config) => config.classifier(),
            Self::Mpnet(config) => roberta::classifier(config.hidden_dropout_prob, Activation::Tanh),
            Self::ModernBert(config) => config.classifier(),
        }
    }

    /// What Python's classes of this family start with.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Bert(config) if config.is_electra() => "Electra",
            Self::Bert(_) => "Bert",
            Self::DistilBert(_) => "DistilBert",
            Self::Roberta(config) if config.model_type == "xlm-roberta" => "XLMRoberta",
            Self::Roberta(_) => "Roberta",
            Self::Deberta(_) => "DebertaV2",
            Self::Mpnet(_) => "MPNet",
            Self::ModernBert(_) => "ModernBert",
        }
    }

    /// The keys of `config.json` and the settings of a model around the encoder in one table.
    pub(crate) fn table(&self, own: &impl Serialize) -> serde_json::Result<Value> {
        let (mut all, own) = (self.to_json()?, serde_json::from_str(&serde_json::to_string(own)?)?);
        if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
            all.extend(own);
        }
        Ok(all)
    }

    /// The `config.json`, with every key that a version of transformers reads.
    pub(crate) fn to_json(&self) -> serde_json::Result<Value> {
        let text = match self {
            Self::ModernBert(config) => serde_json::to_string(&config.resolved()),
            other => serde_json::to_string(other),
        };
        // By way of text, in which an f32 of 0.1 stays 0.1.
        let mut value: Value = serde_json::from_str(&text?)?;
        if matches!(self, Self::Bert(_) | Self::Roberta(_)) {
            value["position_embedding_type"] = "absolute".into();
        }
        Ok(value)
    }

    /// The `model_type`s of the family.
    fn model_types(&self) -> &'static [&'static str] {
        match self {
            Self::Bert(_) => &["bert", "electra"],
            Self::DistilBert(_) => &["distilbert"],
            Self::Roberta(_) => &["roberta", "xlm-roberta"],
            Self::Deberta(_) => &["deberta-v2"],
            Self::Mpnet(_) => &["mpnet"],
            Self::ModernBert(_) => &["modernbert"],
        }
    }
}

/// Every `model_type` that can be read.
const SUPPORTED: [&str; 8] =
    ["bert", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta", "xlm-roberta"];

macro_rules! family {
    ($variant:ident, $config:ident) => {
        impl From<$config> for EncoderConfig {
            fn from(config: $config) -> Self {
                Self::$variant(config)
            }
        }
    };
}

family!(Bert, BertConfig);
family!(Deberta, DebertaConfig);
family!(DistilBert, DistilBertConfig);
family!(Roberta, RobertaConfig);
family!(Mpnet, MpnetConfig);
family!(ModernBert, ModernBertConfig);

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
        foreign::check(&value)?;
        let model_type = value["model_type"].as_str().unwrap_or("bert").to_owned();
        match model_type.as_str() {
            "bert" => Ok(Self::Bert(sized(value, &bert::SIZES)?)),
            "electra" => Ok(Self::Bert(sized(value, &bert::ELECTRA_SIZES)?)),
            "deberta-v2" => {
                // Python's defaults are others than those of a new model here.
                if let Some(key) = deberta::STATED.into_iter().find(|key| value[*key].is_null()) {
                    let problem = format!("`{key}` is null");
                    return Err(UnusableConfig { problem, expected: "the settings of DeBERTa v3".to_owned() });
                }
                Ok(Self::Deberta(sized(value, &deberta::SIZES)?))
            }
            "distilbert" => Ok(Self::DistilBert(sized(value, &distilbert::SIZES)?)),
            "roberta" | "xlm-roberta" => Ok(Self::Roberta(sized(value, &roberta::SIZES)?)),
            "mpnet" => Ok(Self::Mpnet(sized(value, &mpnet::SIZES)?)),
            "modernbert" => Ok(Self::ModernBert(sized(value, &modernbert::SIZES)?)),
            _ => Err(UnusableConfig { problem: format!("model_type is `{model_type}`"), expected: listed(SUPPORTED) }),
        }
    }
}

/// A family's settings, which have to name the sizes: with defaults they would describe another model
/// than the weights.
fn sized<T: DeserializeOwned>(value: Value, sizes: &[&str]) -> Result<T, UnusableConfig> {
    if let Some(key) = sizes.iter().find(|key| !value[**key].is_u64()) {
        let problem = format!("`{key}` is {}", value[*key]);
        return Err(UnusableConfig { problem, expected: "a whole number".to_owned() });
    }
    serde_json::from_value(value).map_err(|source| UnusableConfig {
        problem: source.to_string(),
        expected: "the keys and values that transformers writes".to_owned(),
    })
}

fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    format!("one of {}", quoted.join(", "))
}
