//! MPNet (Song et al. 2020): BERT with RoBERTa's positions, no segments, and a bias by relative position
//! that all layers share.

use serde::{Deserialize, Serialize};

use super::bert;
use crate::Result;
use crate::nn::Activation;
use crate::nn::config::{check_deviation, check_eps, check_heads, check_layers, check_rates, check_sizes, setting};
use crate::nn::spec::{Biases, LayerSpec, Names, Positions, Rates, Spec};

/// An MPNet encoder; the names are those of `config.json`.
///
/// ```
/// use kensaku::nn::{EncoderConfig, MpnetConfig};
///
/// let config = MpnetConfig { num_hidden_layers: 3, ..Default::default() };
/// assert_eq!(EncoderConfig::from(config).layers(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MpnetConfig {
    /// `mpnet`
    pub model_type: String,
    pub vocab_size: usize,
    /// `H`
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub hidden_act: Activation,
    pub hidden_dropout_prob: f32,
    pub attention_probs_dropout_prob: f32,
    /// Rows of the position table: two more than the longest sequence has tokens.
    pub max_position_embeddings: usize,
    /// Rows of the table of relative positions. A multiple of 4: half for each direction, half of that
    /// for single offsets.
    pub relative_attention_num_buckets: usize,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
    pub layer_norm_eps: f32,
    pub pad_token_id: u32,
}

impl Default for MpnetConfig {
    fn default() -> Self {
        Self {
            model_type: "mpnet".to_owned(),
            vocab_size: 8_000,
            hidden_size: 128,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 512,
            hidden_act: Activation::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            max_position_embeddings: 514,
            relative_attention_num_buckets: 32,
            initializer_range: 0.02,
            layer_norm_eps: 1e-12,
            pad_token_id: 1,
        }
    }
}

pub(super) use bert::SIZES;

const NAMES: Names = Names {
    prefix: "mpnet.",
    segments: "",
    projection: "",
    relative: "encoder.relative_attention_bias",
    qkv: &["attention.attn.q", "attention.attn.k", "attention.attn.v"],
    out: "attention.attn.o",
    attention_norm: "attention.LayerNorm",
    ..bert::NAMES
};

/// The row of the position table that padding has, whatever `pad_token_id` says.
const PAD: u32 = 1;

impl MpnetConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("relative_attention_num_buckets", self.relative_attention_num_buckets),
        ])?;
        check_layers(("num_hidden_layers", self.num_hidden_layers))?;
        check_eps(("layer_norm_eps", self.layer_norm_eps))?;
        check_deviation(self.initializer_range)?;
        check_heads(("hidden_size", self.hidden_size), ("num_attention_heads", self.num_attention_heads))?;
        if self.max_position_embeddings <= PAD as usize + 1 {
            return Err(setting("max_position_embeddings", self.max_position_embeddings, "more than 2"));
        }
        if !self.relative_attention_num_buckets.is_multiple_of(4) {
            let field = "relative_attention_num_buckets";
            return Err(setting(field, self.relative_attention_num_buckets, "a multiple of 4"));
        }
        check_rates(&[
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
        ])
    }

    pub(super) fn spec(&self) -> Spec {
        let layer = LayerSpec { attention_norm: true, reach: None, theta: None };
        let hidden = self.hidden_dropout_prob;
        Spec {
            names: NAMES,
            vocab: self.vocab_size,
            embedding: self.hidden_size,
            width: self.hidden_size,
            heads: self.num_attention_heads,
            inner: self.intermediate_size,
            activation: self.hidden_act,
            gated: false,
            norm_first: false,
            eps: self.layer_norm_eps,
            biases: Biases { attention: true, feed_forward: true, norm: true },
            positions: Positions::Counted { rows: self.max_position_embeddings, pad: PAD },
            segments: 0,
            buckets: self.relative_attention_num_buckets,
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
}
