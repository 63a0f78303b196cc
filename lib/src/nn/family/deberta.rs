//! DeBERTa v2 and v3 (He et al. 2021): BERT without positions in its embeddings; attention compares the content of a token
//! with the distance of another.

use serde::{Deserialize, Deserializer, Serialize};

use super::bert;
use crate::Result;
use crate::nn::config::{check_deviation, check_eps, check_heads, check_layers, check_rates, check_sizes, setting};
use crate::nn::head::spec::{ClassifierSpec, MaskedLmSpec, TransformSpec};
use crate::nn::spec::{Biases, LayerSpec, Names, Positions, Rates, Span, Spec};
use crate::nn::{Activation, ClassifierPooling};

/// A DeBERTa encoder; the names are those of `config.json`. Of what versions have, those settings are supported that the
/// models of version 3 have (and mDeBERTa): positions share the maps of queries and keys, and there is no convolution.
///
/// ```
/// use kensaku::nn::{DebertaConfig, EncoderConfig};
///
/// let config = DebertaConfig { num_hidden_layers: 3, ..Default::default() };
/// assert_eq!(EncoderConfig::from(config).layers(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DebertaConfig {
    /// `deberta-v2`, of version 3, too
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
    /// The longest sequence, in tokens.
    pub max_position_embeddings: usize,
    pub type_vocab_size: usize,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
    pub layer_norm_eps: f32,
    pub pad_token_id: u32,
    /// Half the rows of the table of relative positions, in which far ones share a row; below 1 each has its own.
    pub position_buckets: i64,
    /// The largest distance; `max_position_embeddings` where it is below 1.
    pub max_relative_positions: i64,
    /// Dropout before the pooler of a classification head; after it `cls_dropout`, or `hidden_dropout_prob` where that is absent.
    pub pooler_dropout: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cls_dropout: Option<f32>,
    pub pooler_hidden_act: Activation,
    /// Width of that pooler; only `H`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooler_hidden_size: Option<usize>,
    /// Only `true`.
    pub relative_attention: bool,
    /// Only both, `c2p` and `p2c`.
    #[serde(deserialize_with = "listed")]
    pub pos_att_type: Vec<String>,
    /// Only `true`.
    pub share_att_key: bool,
    /// Only `layer_norm`.
    pub norm_rel_ebd: String,
    /// Only `false`.
    pub position_biased_input: bool,
    /// Only 0.
    pub conv_kernel_size: usize,
}

impl Default for DebertaConfig {
    fn default() -> Self {
        Self {
            model_type: "deberta-v2".to_owned(),
            vocab_size: 8_000,
            hidden_size: 128,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 512,
            hidden_act: Activation::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            max_position_embeddings: 512,
            type_vocab_size: 0,
            initializer_range: 0.02,
            layer_norm_eps: 1e-7,
            pad_token_id: 0,
            position_buckets: 256,
            max_relative_positions: -1,
            pooler_dropout: 0.0,
            cls_dropout: None,
            pooler_hidden_act: Activation::Gelu,
            pooler_hidden_size: None,
            relative_attention: true,
            pos_att_type: vec!["p2c".to_owned(), "c2p".to_owned()],
            share_att_key: true,
            norm_rel_ebd: "layer_norm".to_owned(),
            position_biased_input: false,
            conv_kernel_size: 0,
        }
    }
}

/// The sizes that weights have to fit.
pub(super) const SIZES: [&str; 6] = [
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
];

/// Keys whose defaults in Python are other ones than here: a file has to hold them.
pub(super) const STATED: [&str; 3] = ["relative_attention", "position_biased_input", "pos_att_type"];

const NAMES: Names = Names {
    prefix: "deberta.",
    positions: "",
    projection: "",
    relative: "encoder.rel_embeddings",
    qkv: &["attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj"],
    ..bert::NAMES
};

/// The rows below which far distances would have no bucket of their own.
const FEWEST_BUCKETS: i64 = 4;

impl DebertaConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        check_layers(("num_hidden_layers", self.num_hidden_layers))?;
        check_eps(("layer_norm_eps", self.layer_norm_eps))?;
        check_deviation(self.initializer_range)?;
        check_heads(("hidden_size", self.hidden_size), ("num_attention_heads", self.num_attention_heads))?;
        check_rates(&[
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
            ("pooler_dropout", self.pooler_dropout),
            ("cls_dropout", self.cls_dropout.unwrap_or(0.0)),
        ])?;
        let both = ["c2p", "p2c"].iter().all(|kind| self.pos_att_type.iter().any(|own| own == kind));
        let pooler = self.pooler_hidden_size.unwrap_or(self.hidden_size);
        let supported: [(&'static str, String, String, bool); 7] = [
            ("relative_attention", self.relative_attention.to_string(), "true".into(), self.relative_attention),
            (
                "pos_att_type",
                self.pos_att_type.join("|"),
                "`c2p` and `p2c`".into(),
                both && self.pos_att_type.len() == 2,
            ),
            ("share_att_key", self.share_att_key.to_string(), "true".into(), self.share_att_key),
            (
                "norm_rel_ebd",
                self.norm_rel_ebd.clone(),
                "`layer_norm`".into(),
                self.norm_rel_ebd.trim() == "layer_norm",
            ),
            (
                "position_biased_input",
                self.position_biased_input.to_string(),
                "false".into(),
                !self.position_biased_input,
            ),
            (
                "conv_kernel_size",
                self.conv_kernel_size.to_string(),
                "0: no convolution".into(),
                self.conv_kernel_size == 0,
            ),
            (
                "pooler_hidden_size",
                pooler.to_string(),
                format!("hidden_size = {}", self.hidden_size),
                pooler == self.hidden_size,
            ),
        ];
        if let Some((field, value, expected, _)) = supported.into_iter().find(|(.., holds)| !holds) {
            return Err(setting(field, value, expected));
        }
        let most = self.farthest() as i64;
        if self.position_buckets < 1 || (FEWEST_BUCKETS..=most).contains(&self.position_buckets) {
            return Ok(());
        }
        let expected = format!("{FEWEST_BUCKETS} to {most}, the largest distance; or below 1 for none");
        Err(setting("position_buckets", self.position_buckets, expected))
    }

    /// The largest distance that has a row.
    fn farthest(&self) -> usize {
        usize::try_from(self.max_relative_positions)
            .ok()
            .filter(|most| *most > 0)
            .unwrap_or(self.max_position_embeddings)
    }

    pub(super) fn spec(&self) -> Spec {
        let layer = LayerSpec { attention_norm: true, reach: None, theta: None };
        let hidden = self.hidden_dropout_prob;
        let buckets = usize::try_from(self.position_buckets).ok().filter(|buckets| *buckets > 0);
        let span = Span {
            rows: buckets.unwrap_or(self.farthest()),
            farthest: buckets.map(|_| self.farthest()),
            norm: "encoder.LayerNorm",
        };
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
            positions: Positions::Relative { limit: self.max_position_embeddings },
            segments: self.type_vocab_size,
            buckets: 0,
            span: Some(span),
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

    /// As transformers' class of this name has it with `legacy`.
    pub(super) fn masked_lm(&self) -> MaskedLmSpec {
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
        ClassifierSpec {
            pooling: ClassifierPooling::Cls,
            dropout_before: self.pooler_dropout,
            transform: TransformSpec {
                dense: "pooler.dense",
                dense_bias: true,
                activation: self.pooler_hidden_act,
                norm: None,
            },
            dropout: self.cls_dropout.unwrap_or(self.hidden_dropout_prob),
            out: "classifier",
        }
    }
}

/// A list, or names with `|` between them, as older files have it.
fn listed<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        List(Vec<String>),
        Text(String),
        None,
    }
    Ok(match Stored::deserialize(from)? {
        Stored::List(list) => list,
        Stored::Text(text) => text.split('|').map(|name| name.trim().to_owned()).collect(),
        Stored::None => Vec::new(),
    })
}
