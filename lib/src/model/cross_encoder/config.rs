//! The settings of a cross-encoder.

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use crate::Result;

/// How pairs become scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CrossEncoderConfig {
    /// Longer pairs are cut to this many tokens, special ones included: the longer text loses its end. Default 256.
    pub max_length: usize,
    /// From the model's numbers to what `predict` returns. Losses see the numbers as they are. Default
    /// [`Activation::Sigmoid`], as in sentence-transformers for one label.
    pub activation: Activation,
    /// Tokens in one forward pass of `predict`.
    pub encode_tokens: usize,
}

impl Default for CrossEncoderConfig {
    fn default() -> Self {
        Self { max_length: 256, activation: Activation::Sigmoid, encode_tokens: 4_096 }
    }
}

/// What is computed of the last layer's numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Nothing: scores are any numbers.
    #[default]
    Identity,
    /// `1 / (1 + exp -x)`: scores from 0 to 1.
    Sigmoid,
    /// Over the labels of a pair: they sum to 1.
    Softmax,
}

impl Activation {
    /// Of each number, or of each row: `(n, labels)` -> `(n, labels)`.
    pub fn of(self, logits: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Identity => logits.clone(),
            Self::Sigmoid => candle_nn::ops::sigmoid(logits)?,
            Self::Softmax => candle_nn::ops::softmax(logits, D::Minus1)?,
        })
    }
}
