//! ModernBERT (Warner et al. 2024): norms first, gated feed-forward blocks, rotated queries and keys,
//! and layers of which only some see the whole text.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::nn::Activation;
use crate::nn::config::{check_deviation, check_eps, check_heads, check_layers, check_rates, check_sizes, setting};
use crate::nn::head::spec::{ClassifierSpec, MaskedLmSpec, TransformSpec};
use crate::nn::spec::{Biases, LayerSpec, Names, Positions, Rates, Spec};

/// A ModernBERT encoder; the names are those of `config.json` as published checkpoints and as
/// transformers 5 have it: `rope_parameters` and `layer_types` go before the keys that they replace.
///
/// ```
/// use kensaku::nn::{EncoderConfig, ModernBertConfig};
///
/// let config = ModernBertConfig { local_attention: 64, ..Default::default() };
/// assert_eq!(EncoderConfig::from(config).longest(), 512);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModernBertConfig {
    /// `modernbert`
    pub model_type: String,
    pub vocab_size: usize,
    /// `H`
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub hidden_activation: Activation,
    /// The longest sequence, in tokens.
    pub max_position_embeddings: usize,
    pub norm_eps: f32,
    pub norm_bias: bool,
    pub attention_bias: bool,
    pub mlp_bias: bool,
    pub embedding_dropout: f32,
    pub attention_dropout: f32,
    pub mlp_dropout: f32,
    /// What each layer sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_types: Option<Vec<LayerType>>,
    /// Without `layer_types`: every n-th layer attends globally, starting with layer 0.
    pub global_attn_every_n_layers: usize,
    /// The window of a local layer in tokens, half on each side.
    pub local_attention: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<RopeParameters>,
    /// Without `rope_parameters`: the base of the rotation's frequencies in layers that see all.
    pub global_rope_theta: f32,
    /// The same in local layers; `global_rope_theta` where absent.
    pub local_rope_theta: Option<f32>,
    pub decoder_bias: bool,
    /// What a classification head reads.
    pub classifier_pooling: ClassifierPooling,
    pub classifier_dropout: f32,
    pub classifier_bias: bool,
    pub classifier_activation: Activation,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
    pub pad_token_id: u32,
}

/// The rotations by what a layer sees.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RopeParameters {
    pub full_attention: Option<Rope>,
    pub sliding_attention: Option<Rope>,
}

/// A rotation of queries and keys by their position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rope {
    /// `default`: no scaling.
    pub rope_type: String,
    /// The base of the frequencies.
    pub rope_theta: f32,
}

/// What the tokens of a layer see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerType {
    /// All tokens.
    FullAttention,
    /// Those nearby.
    SlidingAttention,
}

/// What a classification head reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassifierPooling {
    /// The first token.
    Cls,
    /// The mean of all tokens.
    Mean,
}

impl Default for ModernBertConfig {
    fn default() -> Self {
        Self {
            model_type: "modernbert".to_owned(),
            vocab_size: 8_000,
            hidden_size: 128,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 256,
            hidden_activation: Activation::Gelu,
            max_position_embeddings: 512,
            norm_eps: 1e-5,
            norm_bias: false,
            attention_bias: false,
            mlp_bias: false,
            embedding_dropout: 0.0,
            attention_dropout: 0.0,
            mlp_dropout: 0.0,
            layer_types: None,
            global_attn_every_n_layers: 3,
            local_attention: 128,
            rope_parameters: None,
            global_rope_theta: 160_000.0,
            local_rope_theta: Some(10_000.0),
            decoder_bias: true,
            classifier_pooling: ClassifierPooling::Cls,
            classifier_dropout: 0.0,
            classifier_bias: false,
            classifier_activation: Activation::Gelu,
            initializer_range: 0.02,
            pad_token_id: 0,
        }
    }
}

pub(super) use super::bert::SIZES;

const NAMES: Names = Names {
    prefix: "model.",
    words: "embeddings.tok_embeddings",
    positions: "",
    segments: "",
    embedding_norm: "embeddings.norm",
    projection: "",
    relative: "",
    layer: "layers",
    qkv: &["attn.Wqkv"],
    out: "attn.Wo",
    attention_norm: "attn_norm",
    up: "mlp.Wi",
    down: "mlp.Wo",
    output_norm: "mlp_norm",
    final_norm: "final_norm",
};

impl ModernBertConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("global_attn_every_n_layers", self.global_attn_every_n_layers),
        ])?;
        // Sines and cosines of every position are kept.
        if self.max_position_embeddings > 1 << 17 {
            return Err(setting("max_position_embeddings", self.max_position_embeddings, "at most 131072"));
        }
        check_layers(("num_hidden_layers", self.num_hidden_layers))?;
        check_eps(("norm_eps", self.norm_eps))?;
        check_deviation(self.initializer_range)?;
        check_heads(("hidden_size", self.hidden_size), ("num_attention_heads", self.num_attention_heads))?;
        if !(self.hidden_size / self.num_attention_heads).is_multiple_of(2) {
            let expected = "heads of even width: a rotation turns pairs";
            return Err(setting("hidden_size", self.hidden_size, expected));
        }
        let types = self.layer_types.as_ref().map_or(self.num_hidden_layers, Vec::len);
        if types != self.num_hidden_layers {
            let expected = format!("one per layer, {}", self.num_hidden_layers);
            return Err(setting("layer_types", format!("{types} entries"), expected));
        }
        for kind in [LayerType::FullAttention, LayerType::SlidingAttention] {
            let Rope { rope_type, rope_theta } = self.rope(kind);
            if rope_type != "default" {
                return Err(setting("rope_type", rope_type, "`default`"));
            }
            if !(rope_theta.is_finite() && rope_theta > 0.0) {
                return Err(setting("rope_theta", rope_theta, "above 0"));
            }
        }
        check_rates(&[
            ("embedding_dropout", self.embedding_dropout),
            ("attention_dropout", self.attention_dropout),
            ("mlp_dropout", self.mlp_dropout),
            ("classifier_dropout", self.classifier_dropout),
        ])
    }

    pub(super) fn spec(&self) -> Spec {
        let layer = |(index, kind): (usize, LayerType)| {
            let (reach, theta) = match kind {
                LayerType::FullAttention => (None, self.rope(kind).rope_theta),
                LayerType::SlidingAttention => (Some(self.local_attention / 2), self.rope(kind).rope_theta),
            };
            // The embeddings are normalised already where the first layer reads them.
            LayerSpec { attention_norm: index > 0, reach, theta: Some(theta) }
        };
        Spec {
            names: NAMES,
            vocab: self.vocab_size,
            embedding: self.hidden_size,
            width: self.hidden_size,
            heads: self.num_attention_heads,
            inner: self.intermediate_size,
            activation: self.hidden_activation,
            gated: true,
            norm_first: true,
            eps: self.norm_eps,
            biases: Biases { attention: self.attention_bias, feed_forward: self.mlp_bias, norm: self.norm_bias },
            positions: Positions::Rotary { limit: self.max_position_embeddings },
            segments: 0,
            buckets: 0,
            span: None,
            layers: self.types().into_iter().enumerate().map(layer).collect(),
            rates: Rates {
                embedding: self.embedding_dropout,
                weights: self.attention_dropout,
                attention: self.attention_dropout,
                inner: self.mlp_dropout,
                output: 0.0,
            },
            deviation: self.initializer_range,
        }
    }

    pub(super) fn masked_lm(&self) -> MaskedLmSpec {
        MaskedLmSpec {
            transform: self.head(),
            bias: self.decoder_bias.then_some("decoder.bias"),
            bias_alias: "",
            decoder: "decoder.weight",
        }
    }

    pub(super) fn classifier(&self) -> ClassifierSpec {
        ClassifierSpec {
            pooling: self.classifier_pooling,
            dropout_before: 0.0,
            transform: self.head(),
            dropout: self.classifier_dropout,
            out: "classifier",
        }
    }

    fn head(&self) -> TransformSpec {
        TransformSpec {
            dense: "head.dense",
            dense_bias: self.classifier_bias,
            activation: self.classifier_activation,
            norm: Some(("head.norm", self.norm_bias)),
        }
    }

    /// The same settings with the keys of transformers 5.
    pub(super) fn resolved(&self) -> Self {
        let [full_attention, sliding_attention] =
            [LayerType::FullAttention, LayerType::SlidingAttention].map(|kind| Some(self.rope(kind)));
        let rope_parameters = Some(RopeParameters { full_attention, sliding_attention });
        Self { layer_types: Some(self.types()), rope_parameters, ..self.clone() }
    }

    fn rope(&self, kind: LayerType) -> Rope {
        let stored = self.rope_parameters.as_ref();
        let (stored, theta) = match kind {
            LayerType::FullAttention => (stored.and_then(|rope| rope.full_attention.as_ref()), self.global_rope_theta),
            LayerType::SlidingAttention => {
                let theta = self.local_rope_theta.unwrap_or(self.global_rope_theta);
                (stored.and_then(|rope| rope.sliding_attention.as_ref()), theta)
            }
        };
        stored.cloned().unwrap_or_else(|| Rope { rope_type: "default".to_owned(), rope_theta: theta })
    }

    /// What each layer sees.
    fn types(&self) -> Vec<LayerType> {
        if let Some(types) = &self.layer_types {
            return types.clone();
        }
        let kind = |index: usize| match index % self.global_attn_every_n_layers {
            0 => LayerType::FullAttention,
            _ => LayerType::SlidingAttention,
        };
        (0..self.num_hidden_layers).map(kind).collect()
    }
}
