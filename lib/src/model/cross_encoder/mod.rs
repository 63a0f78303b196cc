//! The cross-encoder: reads a query and a document together, and scores the pair.

mod config;
mod directory;
mod passes;
mod predict;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use config::{Activation, CrossEncoderConfig};

use crate::hub::{PushConfig, push_saved};
use crate::model::ModelCard;
use crate::nn::{Classifier, Encoder, EncoderConfig};
use crate::text::Tokenizer;
use crate::{Error, Result};

/// A cross-encoder (Nogueira and Cho 2019): slower than comparing vectors, and better. It reranks what a retriever has
/// found.
///
/// ```no_run
/// use kensaku::model::CrossEncoder;
///
/// let model = CrossEncoder::load("ms-marco-MiniLM-L6-v2")?;
/// for hit in model.rank("how is a frame filtered?", &["by a mask", "a red house"])? {
///     println!("{:.3}  document {}", hit.score, hit.index);
/// }
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone)]
pub struct CrossEncoder {
    classifier: Classifier,
    tokenizer: Tokenizer,
    config: CrossEncoderConfig,
    /// Whether it was said that texts lost their end.
    told: Arc<AtomicBool>,
}

impl CrossEncoder {
    /// An untrained model that gives each pair `labels` numbers: 1 for relevance. The encoder's vocabulary and padding are
    /// made the tokenizer's.
    pub fn new(
        encoder: impl Into<EncoderConfig>,
        tokenizer: Tokenizer,
        labels: usize,
        config: CrossEncoderConfig,
        seed: u64,
    ) -> Result<Self> {
        let encoder = encoder.into().with_vocab_size(tokenizer.vocab_size()).with_pad_token_id(tokenizer.pad_id());
        Self::from_parts(Classifier::new(Encoder::new(encoder, seed)?, labels, seed)?, tokenizer, config)
    }

    /// Reads a sentence-transformers directory of a cross-encoder, of any version, or a Hugging Face directory of a model
    /// for sequence classification; or a model of the [hub](crate::hub) by its name.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        directory::read(dir.as_ref())
    }

    /// A new cross-encoder on the encoder of another model, such as a bi-encoder: its directory's weights, and a drawn
    /// head for `labels` numbers.
    ///
    /// ```no_run
    /// # use kensaku::model::CrossEncoder;
    /// let untrained = CrossEncoder::from_encoder("all-MiniLM-L6-v2", 1, 42)?;
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn from_encoder(dir: impl AsRef<Path>, labels: usize, seed: u64) -> Result<Self> {
        directory::read_encoder(dir.as_ref(), labels, seed)
    }

    /// The same on an encoder with its tokenizer, such as those of a [`BiEncoder`](super::BiEncoder).
    pub fn on(
        encoder: Encoder,
        tokenizer: Tokenizer,
        labels: usize,
        config: CrossEncoderConfig,
        seed: u64,
    ) -> Result<Self> {
        Self::from_parts(Classifier::new(encoder, labels, seed)?, tokenizer, config)
    }

    fn from_parts(classifier: Classifier, tokenizer: Tokenizer, config: CrossEncoderConfig) -> Result<Self> {
        let mut model = Self { classifier, tokenizer, config: CrossEncoderConfig::default(), told: Arc::default() };
        model.set_config(config)?;
        Ok(model)
    }

    /// The same model with other settings.
    pub fn with_config(mut self, config: CrossEncoderConfig) -> Result<Self> {
        self.set_config(config)?;
        Ok(self)
    }

    /// The same model with another maximum length.
    pub fn with_max_length(self, max_length: usize) -> Result<Self> {
        let config = CrossEncoderConfig { max_length, ..self.config };
        self.with_config(config)
    }

    /// The same model with another activation.
    pub fn with_activation(mut self, activation: Activation) -> Self {
        self.config.activation = activation;
        self
    }

    fn set_config(&mut self, config: CrossEncoderConfig) -> Result<()> {
        let longest = self.encoder().config().longest();
        let special = self.tokenizer.special_tokens_of_a_pair();
        if !(special + 1..=longest).contains(&config.max_length) {
            return Err(Error::Setting {
                field: "max_length",
                value: config.max_length.to_string(),
                expected: format!(
                    "{} to {longest}: more than the special tokens of a pair, at most the longest input of the encoder",
                    special + 1
                ),
            });
        }
        self.config = config;
        Ok(())
    }

    /// Writes a sentence-transformers directory that Python's `CrossEncoder` and text-embeddings-inference load unchanged.
    /// A model that is there is replaced as a whole, at once; what else is there is kept.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.save_with(dir, &ModelCard::default())
    }

    /// The same, with a model card that says more than the model knows of itself, see [`ModelCard`].
    pub fn save_with(&self, dir: impl AsRef<Path>, card: &ModelCard) -> Result<()> {
        directory::write(dir.as_ref(), self, card)
    }

    /// Saves the model to the hub as one commit, and gives the commit's address. See
    /// [`BiEncoder::push_to_hub`](super::BiEncoder::push_to_hub).
    pub fn push_to_hub(&self, name: &str, config: &PushConfig) -> Result<String> {
        push_saved(name, config, |dir| self.save_with(dir, &config.card))
    }

    pub fn config(&self) -> &CrossEncoderConfig {
        &self.config
    }

    /// The encoder, whose table of parameters holds the head's, too.
    pub fn encoder(&self) -> &Encoder {
        self.classifier.encoder()
    }

    /// The encoder, to change its weights.
    pub fn encoder_mut(&mut self) -> &mut Encoder {
        self.classifier.encoder_mut()
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The names of the labels, in the order of a pair's numbers.
    pub fn labels(&self) -> &[String] {
        self.classifier.labels()
    }
}

impl fmt::Debug for CrossEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { classifier, tokenizer, config, .. } = self;
        let labels = match classifier.labels().len() {
            1 => "1 label".to_owned(),
            labels => format!("{labels} labels"),
        };
        write!(f, "CrossEncoder ({}; {labels}; {tokenizer:?})\n{config:?}", classifier.encoder().shape())
    }
}
