//! BERT (Devlin et al. 2019) and its kin: MiniLM, and ELECTRA (Clark et al. 2020), whose embeddings may
//! be narrower than its hidden states.

use serde::{Deserialize, Serialize};

use super::roberta;
use crate::Result;
use crate::nn::config::{check_deviation, check_eps, check_heads, check_layers, check_rates, check_sizes};
use crate::nn::head::spec::{ClassifierSpec, MaskedLmSpec, TransformSpec};
use crate::nn::spec::{Biases, LayerSpec, Names, Positions, Rates, Spec};
use crate::nn::{Activation, ClassifierPooling};

/// A BERT encoder. The default is small enough to train on a laptop's processor in minutes; the names
/// are those of `config.json`, keys it does not know are ignored.
///
/// ```
/// let config = kensaku::nn::BertConfig { num_hidden_layers: 2, ..Default::default() };
/// assert_eq!(config.hidden_size % config.num_attention_heads, 0);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BertConfig {
    /// `bert` or `electra`
    pub model_type: String,
    pub vocab_size: usize,
    /// `H`
    pub hidden_size: usize,
    /// Width of ELECTRA's embeddings; `H` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_size: Option<usize>,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub hidden_act: Activation,
    pub hidden_dropout_prob: f32,
    pub attention_probs_dropout_prob: f32,
    /// Dropout of a classification head; `hidden_dropout_prob` where absent.
    pub classifier_dropout: Option<f32>,
    /// The longest sequence, in tokens.
    pub max_position_embeddings: usize,
    pub type_vocab_size: usize,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
    pub layer_norm_eps: f32,
    pub pad_token_id: u32,
}

impl Default for BertConfig {
    fn default() -> Self {
        Self {
            model_type: "bert".to_owned(),
            vocab_size: 8_000,
            hidden_size: 128,
            embedding_size: None,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 512,
            hidden_act: Activation::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            classifier_dropout: None,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            initializer_range: 0.02,
            layer_norm_eps: 1e-12,
            pad_token_id: 0,
        }
    }
}

/// The sizes that weights have to fit.
pub(super) const SIZES: [&str; 5] =
    ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"];

/// ELECTRA's own.
pub(super) const ELECTRA_SIZES: [&str; 6] =
    ["vocab_size", "hidden_size", "embedding_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"];

pub(super) const NAMES: Names = Names {
    prefix: "bert.",
    words: "embeddings.word_embeddings",
    positions: "embeddings.position_embeddings",
    segments: "embeddings.token_type_embeddings",
    embedding_norm: "embeddings.LayerNorm",
    projection: "embeddings_project",
    relative: "",
    layer: "encoder.layer",
    qkv: &["attention.self.query", "attention.self.key", "attention.self.value"],
    out: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    output_norm: "output.LayerNorm",
    final_norm: "",
};

impl BertConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("embedding_size", self.embedding_size.unwrap_or(self.hidden_size)),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ])?;
        check_layers(("num_hidden_layers", self.num_hidden_layers))?;
        check_eps(("layer_norm_eps", self.layer_norm_eps))?;
        check_deviation(self.initializer_range)?;
        check_heads(("hidden_size", self.hidden_size), ("num_attention_heads", self.num_attention_heads))?;
        check_rates(&[
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
            ("classifier_dropout", self.classifier_dropout.unwrap_or(0.0)),
        ])
    }

    pub(super) fn spec(&self) -> Spec {
        let layer = LayerSpec { attention_norm: true, reach: None, theta: None };
        let hidden = self.hidden_dropout_prob;
        Spec {
            names: Names { prefix: if self.is_electra() { "electra." } else { NAMES.prefix }, ..NAMES },
            vocab: self.vocab_size,
            embedding: self.embedding_size.unwrap_or(self.hidden_size),
            width: self.hidden_size,
            heads: self.num_attention_heads,
            inner: self.intermediate_size,
            activation: self.hidden_act,
            gated: false,
            norm_first: false,
            eps: self.layer_norm_eps,
            biases: Biases { attention: true, feed_forward: true, norm: true },
            positions: Positions::Table { rows: self.max_position_embeddings, sinusoidal: false },
            segments: self.type_vocab_size,
            buckets: 0,
            span: None,
            layers: vec![layer; self.num_hidden_layers],
            rates: Rates {
                embedding: hidden,
                weights: self.attention_probs_dropout_prob,
                attention: hidden,
                inner: 0.0,
                output: hidden,
            },
            deviation: self.initializer_range,
        }
    }

    pub(super) fn masked_lm(&self) -> MaskedLmSpec {
        if self.is_electra() {
            return MaskedLmSpec {
                transform: TransformSpec {
                    dense: "generator_predictions.dense",
                    dense_bias: true,
                    activation: Activation::Gelu,
                    norm: Some(("generator_predictions.LayerNorm", true)),
                },
                bias: Some("generator_lm_head.bias"),
                bias_alias: "",
                decoder: "generator_lm_head.weight",
            };
        }
        MaskedLmSpec {
            transform: TransformSpec {
                dense: "cls.predictions.transform.dense",
                dense_bias: true,
                activation: self.hidden_act,
                norm: Some(("cls.predictions.transform.LayerNorm", true)),
            },
            bias: Some("cls.predictions.bias"),
            bias_alias: "cls.predictions.decoder.bias",
            decoder: "cls.predictions.decoder.weight",
        }
    }

    pub(super) fn classifier(&self) -> ClassifierSpec {
        let dropout = self.classifier_dropout.unwrap_or(self.hidden_dropout_prob);
        if self.is_electra() {
            return roberta::classifier(dropout, Activation::Gelu);
        }
        ClassifierSpec {
            pooling: ClassifierPooling::Cls,
            dropout_before: 0.0,
            transform: TransformSpec {
                dense: "pooler.dense",
                dense_bias: true,
                activation: Activation::Tanh,
                norm: None,
            },
            dropout,
            out: "classifier",
        }
    }

    pub(super) fn is_electra(&self) -> bool {
        self.model_type == "electra"
    }
}
