//! The settings of adapters.

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::error::expect;
use crate::{Error, Result};

/// Low-rank adapters (LoRA, Hu et al. 2021): the weight `W (out, in)` of a linear map stays as it is, and beside it a
/// product of two small matrices is trained,
///
/// ```text
/// y = W x + b + alpha / rank * B A drop(x)      A (rank, in), B (out, rank)
/// ```
///
/// `with_lora` of a model makes them. `A` is drawn from U(-1/sqrt in, 1/sqrt in) and `B` is 0, as in PEFT: at first the
/// model is what it was. From then on its table of parameters holds `A` and `B` alone, with a head that is trained with
/// them (a cross-encoder's, a ColBERT's projection): the weights have neither gradients nor moments of an optimiser, and
/// copies of the model share them.
///
/// `save` writes the model with its adapters merged, which everything loads; `save_lora` writes and `load_lora` reads
/// the adapters alone, as PEFT's `adapter_config.json` and `adapter_model.safetensors`; `merge_lora` makes a plain model.
///
/// ```
/// use kensaku::model::{BiEncoder, BiEncoderConfig};
/// use kensaku::nn::{BertConfig, Lora};
/// use kensaku::text::{Tokenizer, WordPieceConfig};
///
/// let tokenizer = Tokenizer::train_wordpiece(&["a red house", "a green tree"], &WordPieceConfig::default())?;
/// let model = BiEncoder::new(BertConfig::default(), tokenizer, BiEncoderConfig::default(), 42)?;
/// let whole = model.encoder().parameters().len();
///
/// let model = model.with_lora(Lora { rank: 4, targets: "query|value".into(), ..Default::default() })?;
/// // Two layers, a query and a value in each: A (4, 128) and B (128, 4).
/// assert_eq!(model.encoder().parameters().len(), 2 * 2 * 2 * 4 * 128);
/// assert_eq!(model.merge_lora().encoder().parameters().len(), whole);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "LoraConfig")]
#[doc(alias = "PEFT")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lora {
    /// `r`, the columns of `B`. Default 8.
    pub rank: usize,
    /// The product is multiplied by `alpha / rank`. Default 16.
    pub alpha: f32,
    /// Of the input of `A`, in training. Default 0.
    pub dropout: f32,
    /// A regular expression; the weights of the layers' linear maps whose names match it have an adapter. The default
    /// matches all: those of attention (query, key, value, output) and of the feed-forward block (up, down).
    pub targets: String,
    /// Of the first values of `A`.
    pub seed: u64,
}

impl Default for Lora {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, dropout: 0.0, targets: ".".to_owned(), seed: 42 }
    }
}

impl Lora {
    pub(super) fn check(&self) -> Result<()> {
        expect("rank", self.rank, "at least 1", self.rank > 0)?;
        expect("alpha", self.alpha, "above 0", self.alpha.is_finite() && self.alpha > 0.0)?;
        expect("dropout", self.dropout, "0 or more and below 1", (0.0..1.0).contains(&self.dropout))?;
        self.regex().map(drop)
    }

    pub(super) fn regex(&self) -> Result<Regex> {
        let expected = |problem| format!("a regular expression ({problem})");
        Regex::new(&self.targets)
            .map_err(|problem| refused("targets", format!("`{}`", self.targets), expected(problem)))
    }

    /// `s`
    pub(super) fn scale(&self) -> f32 {
        self.alpha / self.rank as f32
    }
}

pub(super) fn refused(field: &'static str, value: impl ToString, expected: impl Into<String>) -> Error {
    Error::Setting { field, value: value.to_string(), expected: expected.into() }
}
