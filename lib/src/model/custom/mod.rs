//! An encoder with a custom head.

mod config;
mod encode;
mod head;
mod passes;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use candle_core::Tensor;

use super::{TokenEmbeddings, directory};
use crate::nn::{Encoder, EncoderConfig};
use crate::text::Tokenizer;
use crate::{Error, Result};

pub use config::CustomConfig;
pub use head::{CustomHead, Hidden};

/// A model whose head is a closure, such as one written in the cell above: it trains, with the closure's parameters, as
/// any other.
///
/// ```
/// use kensaku::candle_core::{DType, Device, Tensor};
/// use kensaku::model::{CustomConfig, CustomHead, CustomModel};
/// use kensaku::nn::BertConfig;
/// use kensaku::text::{Tokenizer, WordPieceConfig};
///
/// let tokenizer = Tokenizer::train_wordpiece(&["a red house", "a green tree"], &WordPieceConfig::default())?;
/// let head = CustomHead::new(|hidden| hidden.each(|states| Ok(states.max(0)?)));
/// let model = CustomModel::new(BertConfig::default(), tokenizer, head, CustomConfig::default(), 42)?;
/// assert_eq!(model.encode_texts(&["a red house", "a tree"])?.vectors.dims(), [2, 128]);
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// [`grad_check`](crate::train::grad_check) compares the gradient of the closure with its slope: candle gives none to some
/// of its fused operations.
#[derive(Clone)]
pub struct CustomModel {
    /// Its table holds the parameters of the head, too.
    encoder: Encoder,
    head: CustomHead,
    /// The width of a row, and whether each token has one.
    shape: (usize, bool),
    tokenizer: Tokenizer,
    config: CustomConfig,
    /// Whether it was said that texts lost their end.
    told: Arc<AtomicBool>,
}

/// The folder of the head's parameters, and what their names begin with.
const HEAD: &str = "head";

impl CustomModel {
    /// An untrained model; the encoder's vocabulary and padding are made the tokenizer's.
    pub fn new(
        encoder: impl Into<EncoderConfig>,
        tokenizer: Tokenizer,
        head: CustomHead,
        config: CustomConfig,
        seed: u64,
    ) -> Result<Self> {
        let encoder = encoder.into().with_vocab_size(tokenizer.vocab_size()).with_pad_token_id(tokenizer.pad_id());
        Self::on(Encoder::new(encoder, seed)?, tokenizer, head, config)
    }

    /// A head on the encoder of a Hugging Face or sentence-transformers directory.
    pub fn from_encoder(dir: impl AsRef<Path>, head: CustomHead, config: CustomConfig) -> Result<Self> {
        let (encoder, tokenizer) = directory::read_encoder(dir.as_ref())?;
        Self::on(encoder, tokenizer, head, config)
    }

    /// Reads what [`CustomModel::save`] has written, for the same head.
    pub fn load(dir: impl AsRef<Path>, head: CustomHead) -> Result<Self> {
        directory::read_custom(dir.as_ref(), head)
    }

    /// A head on an encoder, such as that of a [`BiEncoder`](super::BiEncoder).
    pub fn on(mut encoder: Encoder, tokenizer: Tokenizer, head: CustomHead, config: CustomConfig) -> Result<Self> {
        let shape = head.shape(encoder.config().hidden_size())?;
        encoder.remove_head();
        for (name, value) in head.parameters() {
            let name = format!("{HEAD}.{name}");
            encoder.parameters_mut().push(&name, value.dims(), value.rank() > 1)?;
            let numbers = value.flatten_all()?.to_vec1::<f32>()?;
            encoder.parameters_mut().values_mut(&name)?.copy_from_slice(&numbers);
        }
        let model = Self { encoder, head, shape, tokenizer, config: CustomConfig::default(), told: Arc::default() };
        model.with_config(config)
    }

    /// The same model with other settings.
    pub fn with_config(mut self, config: CustomConfig) -> Result<Self> {
        let longest = self.encoder.config().longest();
        config.named_prompts().check_room(&self.tokenizer, config.max_length, longest)?;
        self.config = config;
        Ok(self)
    }

    /// The score of every query with every document, `(n, m)`.
    #[doc(alias = "score")]
    pub fn similarity(&self, queries: &TokenEmbeddings, docs: &TokenEmbeddings) -> Result<Tensor> {
        match self.shape.1 {
            true => self.config.interaction.scores((&queries.vectors, &queries.bounds), (&docs.vectors, &docs.bounds)),
            false => self.config.similarity.of(&queries.vectors, &docs.vectors),
        }
    }

    /// Writes the encoder as transformers has it, the tokenizer, and the head's parameters into a folder of their own. The
    /// closure itself is not saved. A model that is there is replaced as a whole, at once.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        directory::write_custom(dir.as_ref(), self)
    }

    pub fn config(&self) -> &CustomConfig {
        &self.config
    }

    /// The encoder, whose table holds the head's parameters as `head.name` too.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The encoder, to change its weights.
    pub fn encoder_mut(&mut self) -> &mut Encoder {
        &mut self.encoder
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The width of a vector.
    pub fn dim(&self) -> usize {
        self.shape.0
    }

    /// The head's parameters as they are now.
    pub(super) fn head_parameters(&self) -> Result<Vec<(String, Tensor)>> {
        let table = self.encoder.parameters();
        let own = |(name, _): &(String, Tensor)| Ok((name.clone(), table.tensor(&format!("{HEAD}.{name}"))?));
        self.head.parameters().iter().map(own).collect()
    }

    /// The number of rows of texts with these bounds.
    fn rows(&self, bounds: &[usize]) -> usize {
        if self.shape.1 { bounds.last().copied().unwrap_or(0) } else { bounds.len().saturating_sub(1) }
    }

    /// What the head makes of hidden states, after a look at its shape.
    fn head_outputs(&self, states: &Tensor, bounds: &[usize], parameters: &[(String, Tensor)]) -> Result<Tensor> {
        let outputs = self.head.apply(states, bounds, parameters)?.to_dtype(states.dtype())?;
        let expected = [self.rows(bounds), self.dim()];
        match outputs.dims() == expected {
            true => Ok(outputs),
            false => Err(Error::Shape {
                what: "what the head makes".to_owned(),
                found: format!("{:?}", outputs.dims()),
                expected: format!("{expected:?}"),
            }),
        }
    }
}

impl fmt::Debug for CustomModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encoder, head, tokenizer, config, .. } = self;
        write!(f, "CustomModel ({}; {tokenizer:?})\n{head:?}\n{config:?}", encoder.shape())
    }
}
