//! DistilBERT (Sanh et al. 2019): BERT without segments, with half the layers and other names.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::nn::config::{check_deviation, check_heads, check_layers, check_rates, check_sizes};
use crate::nn::head::spec::{ClassifierSpec, MaskedLmSpec, TransformSpec};
use crate::nn::spec::{Biases, LayerSpec, Names, Positions, Rates, Spec};
use crate::nn::{Activation, ClassifierPooling};

/// A DistilBERT encoder; the names are those of `config.json`.
///
/// ```
/// use kensaku::nn::{DistilBertConfig, EncoderConfig};
///
/// let config = DistilBertConfig { dim: 64, ..Default::default() };
/// assert_eq!(EncoderConfig::from(config).hidden_size(), 64);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DistilBertConfig {
    /// `distilbert`
    pub model_type: String,
    pub vocab_size: usize,
    /// `H`
    pub dim: usize,
    pub n_layers: usize,
    pub n_heads: usize,
    pub hidden_dim: usize,
    pub activation: Activation,
    pub dropout: f32,
    pub attention_dropout: f32,
    /// Dropout of a classification head.
    pub seq_classif_dropout: f32,
    /// The longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Whether a new model's position table holds sines and cosines. It is a parameter like any other.
    pub sinusoidal_pos_embds: bool,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
    pub pad_token_id: u32,
}

impl Default for DistilBertConfig {
    fn default() -> Self {
        Self {
            model_type: "distilbert".to_owned(),
            vocab_size: 8_000,
            dim: 128,
            n_layers: 2,
            n_heads: 4,
            hidden_dim: 512,
            activation: Activation::Gelu,
            dropout: 0.1,
            attention_dropout: 0.1,
            seq_classif_dropout: 0.2,
            max_position_embeddings: 512,
            sinusoidal_pos_embds: false,
            initializer_range: 0.02,
            pad_token_id: 0,
        }
    }
}

/// The sizes that weights have to fit.
pub(super) const SIZES: [&str; 5] = ["vocab_size", "dim", "n_layers", "n_heads", "hidden_dim"];

const NAMES: Names = Names {
    prefix: "distilbert.",
    words: "embeddings.word_embeddings",
    positions: "embeddings.position_embeddings",
    segments: "",
    embedding_norm: "embeddings.LayerNorm",
    projection: "",
    relative: "",
    layer: "transformer.layer",
    qkv: &["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    out: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    output_norm: "output_layer_norm",
    final_norm: "",
};

impl DistilBertConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("dim", self.dim),
            ("n_heads", self.n_heads),
            ("hidden_dim", self.hidden_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        check_layers(("n_layers", self.n_layers))?;
        check_deviation(self.initializer_range)?;
        check_heads(("dim", self.dim), ("n_heads", self.n_heads))?;
        check_rates(&[
            ("dropout", self.dropout),
            ("attention_dropout", self.attention_dropout),
            ("seq_classif_dropout", self.seq_classif_dropout),
        ])
    }

    pub(super) fn spec(&self) -> Spec {
        let layer = LayerSpec { attention_norm: true, reach: None, theta: None };
        Spec {
            names: NAMES,
            vocab: self.vocab_size,
            embedding: self.dim,
            width: self.dim,
            heads: self.n_heads,
            inner: self.hidden_dim,
            activation: self.activation,
            gated: false,
            norm_first: false,
            eps: 1e-12,
            biases: Biases { attention: true, feed_forward: true, norm: true },
            positions: Positions::Table { rows: self.max_position_embeddings, sinusoidal: self.sinusoidal_pos_embds },
            segments: 0,
            buckets: 0,
            span: None,
            layers: vec![layer; self.n_layers],
            // Unlike BERT it drops nothing of the attention block's output.
            rates: Rates {
                embedding: self.dropout,
                weights: self.attention_dropout,
                attention: 0.0,
                inner: 0.0,
                output: self.dropout,
            },
            deviation: self.initializer_range,
        }
    }

    pub(super) fn masked_lm(&self) -> MaskedLmSpec {
        MaskedLmSpec {
            transform: TransformSpec {
                dense: "vocab_transform",
                dense_bias: true,
                activation: self.activation,
                norm: Some(("vocab_layer_norm", true)),
            },
            bias: Some("vocab_projector.bias"),
            bias_alias: "",
            decoder: "vocab_projector.weight",
        }
    }

    pub(super) fn classifier(&self) -> ClassifierSpec {
        ClassifierSpec {
            pooling: ClassifierPooling::Cls,
            dropout_before: 0.0,
            transform: TransformSpec {
                dense: "pre_classifier",
                dense_bias: true,
                activation: Activation::Relu,
                norm: None,
            },
            dropout: self.seq_classif_dropout,
            out: "classifier",
        }
    }
}
