//! RoBERTa (Liu et al. 2019) and XLM-R (Conneau et al. 2020): BERT with positions that follow the
//! padding's and no segments to speak of.

use serde::{Deserialize, Serialize};

use super::bert;
use crate::Result;
use crate::nn::config::{check_deviation, check_eps, check_heads, check_layers, check_rates, check_sizes, setting};
use crate::nn::head::spec::{ClassifierSpec, MaskedLmSpec, TransformSpec};
use crate::nn::spec::{Biases, LayerSpec, Names, Positions, Rates, Spec};
use crate::nn::{Activation, ClassifierPooling};

/// A RoBERTa or XLM-R encoder; the names are those of `config.json`.
///
/// ```
/// use kensaku::nn::{EncoderConfig, RobertaConfig};
///
/// // The first position is the one after the padding's.
/// let config = RobertaConfig { max_position_embeddings: 514, ..Default::default() };
/// assert_eq!(EncoderConfig::from(config).longest(), 512);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RobertaConfig {
    /// `roberta` or `xlm-roberta`
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
    /// Dropout of a classification head; `hidden_dropout_prob` where absent.
    pub classifier_dropout: Option<f32>,
    /// Rows of the position table: `pad_token_id + 1` more than the longest sequence has tokens.
    pub max_position_embeddings: usize,
    pub type_vocab_size: usize,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
    pub layer_norm_eps: f32,
    /// The id that is not counted as a position.
    pub pad_token_id: u32,
}

impl Default for RobertaConfig {
    fn default() -> Self {
        Self {
            model_type: "roberta".to_owned(),
            vocab_size: 8_000,
            hidden_size: 128,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 512,
            hidden_act: Activation::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            classifier_dropout: None,
            max_position_embeddings: 514,
            type_vocab_size: 1,
            initializer_range: 0.02,
            layer_norm_eps: 1e-5,
            pad_token_id: 1,
        }
    }
}

pub(super) use bert::SIZES;

const NAMES: Names = Names { prefix: "roberta.", ..bert::NAMES };

impl RobertaConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("type_vocab_size", self.type_vocab_size),
        ])?;
        check_layers(("num_hidden_layers", self.num_hidden_layers))?;
        check_eps(("layer_norm_eps", self.layer_norm_eps))?;
        check_deviation(self.initializer_range)?;
        check_heads(("hidden_size", self.hidden_size), ("num_attention_heads", self.num_attention_heads))?;
        if self.max_position_embeddings <= self.pad_token_id as usize + 1 {
            let expected = format!("more than pad_token_id + 1 = {}", self.pad_token_id as usize + 1);
            return Err(setting("max_position_embeddings", self.max_position_embeddings, expected));
        }
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
            positions: Positions::Counted { rows: self.max_position_embeddings, pad: self.pad_token_id },
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
}

/// MPNet's too.
pub(super) const MASKED_LM: MaskedLmSpec = MaskedLmSpec {
    transform: TransformSpec {
        dense: "lm_head.dense",
        dense_bias: true,
        activation: Activation::Gelu,
        norm: Some(("lm_head.layer_norm", true)),
    },
    bias: Some("lm_head.bias"),
    bias_alias: "lm_head.decoder.bias",
    decoder: "lm_head.decoder.weight",
};

/// MPNet's too, and ELECTRA's with another activation.
pub(super) fn classifier(dropout: f32, activation: Activation) -> ClassifierSpec {
    ClassifierSpec {
        pooling: ClassifierPooling::Cls,
        dropout_before: dropout,
        transform: TransformSpec { dense: "classifier.dense", dense_bias: true, activation, norm: None },
        dropout,
        out: "classifier.out_proj",
    }
}
