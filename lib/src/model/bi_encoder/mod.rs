//! The bi-encoder: one vector per query, one per document, compared by cosine or dot product.

mod config;
mod encode;
mod passes;

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use candle_core::Tensor;

use super::card::ModelCard;
use super::directory;
use crate::Result;
use crate::hub::{PushConfig, push_saved};
use crate::loss::Similarity;
use crate::nn::{Encoder, EncoderConfig, Int8Weights};
use crate::text::Tokenizer;

pub use config::{BiEncoderConfig, Precision, Role};
pub(super) use config::{DOC, QUERY};

/// A bi-encoder (Reimers and Gurevych 2019, Karpukhin et al. 2020).
///
/// ```no_run
/// use kensaku::data::Queries;
/// use kensaku::model::BiEncoder;
///
/// let model = BiEncoder::load("all-MiniLM-L6-v2")?;
/// let queries = model.encode_queries(&Queries::from_texts(["how is a frame filtered?"])?)?;
/// assert_eq!(queries.vectors.dims(), [1, 384]);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone)]
pub struct BiEncoder {
    encoder: Encoder,
    tokenizer: Tokenizer,
    config: BiEncoderConfig,
    /// The tokens at the start of a text that a mean leaves out: of a query, a document, a plain text.
    prompt_tokens: [usize; 3],
    /// The encoder's weights as they are now, made when they are asked for.
    int8: Arc<OnceLock<Int8Weights>>,
    /// Whether it was said that texts lost their end.
    told: Arc<AtomicBool>,
}

impl BiEncoder {
    /// An untrained model; the encoder's vocabulary and padding are made the tokenizer's.
    pub fn new(
        encoder: impl Into<EncoderConfig>,
        tokenizer: Tokenizer,
        config: BiEncoderConfig,
        seed: u64,
    ) -> Result<Self> {
        let encoder = encoder.into().with_vocab_size(tokenizer.vocab_size()).with_pad_token_id(tokenizer.pad_id());
        Self::from_parts(Encoder::new(encoder, seed)?, tokenizer, config)
    }

    /// Reads a sentence-transformers directory, of any version since 2. Settings that change vectors are honoured, or
    /// an error names them. Where there is no such folder it may be the name of a model of the [hub](crate::hub), as in
    /// `org/name` or `org/name@revision`.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        directory::read(dir.as_ref())
    }

    pub(in crate::model) fn from_parts(
        encoder: Encoder,
        tokenizer: Tokenizer,
        config: BiEncoderConfig,
    ) -> Result<Self> {
        let mut model = Self {
            encoder,
            tokenizer,
            config: BiEncoderConfig::default(),
            prompt_tokens: [0; 3],
            int8: Arc::default(),
            told: Arc::default(),
        };
        model.set_config(config)?;
        Ok(model)
    }

    /// The same model with other settings.
    ///
    /// ```no_run
    /// use kensaku::model::{BiEncoder, BiEncoderConfig};
    ///
    /// let model = BiEncoder::load("all-MiniLM-L6-v2")?;
    /// let config = BiEncoderConfig { normalize: false, ..model.config().clone() };
    /// let model = model.with_config(config)?;
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn with_config(mut self, config: BiEncoderConfig) -> Result<Self> {
        self.set_config(config)?;
        Ok(self)
    }

    /// The same model with another maximum length.
    pub fn with_max_length(self, max_length: usize) -> Result<Self> {
        let config = BiEncoderConfig { max_length, ..self.config.clone() };
        self.with_config(config)
    }

    /// The same model with other prompts before queries and documents.
    ///
    /// ```no_run
    /// # use kensaku::model::BiEncoder;
    /// let model = BiEncoder::load("e5-small")?.with_prompts("query: ", "passage: ")?;
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn with_prompts(self, query: impl Into<String>, doc: impl Into<String>) -> Result<Self> {
        let config = BiEncoderConfig { query_prompt: query.into(), doc_prompt: doc.into(), ..self.config.clone() };
        self.with_config(config)
    }

    /// The same model, comparing in another way.
    pub fn with_similarity(mut self, similarity: Similarity) -> Self {
        self.config.similarity = similarity;
        self
    }

    /// The same model, encoding in another precision.
    ///
    /// ```no_run
    /// use kensaku::model::{BiEncoder, Precision};
    ///
    /// let model = BiEncoder::load("all-MiniLM-L6-v2")?.with_precision(Precision::Int8);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.config.precision = precision;
        self
    }

    fn set_config(&mut self, config: BiEncoderConfig) -> Result<()> {
        let prompts = config.named_prompts();
        prompts.check()?;
        prompts.check_room(&self.tokenizer, config.max_length, self.encoder.config().longest())?;
        config.pooling.check()?;
        self.config = config;
        let mut prompt_tokens = [0; 3];
        for (role, tokens) in [Role::Query, Role::Doc, Role::Plain].into_iter().zip(&mut prompt_tokens) {
            *tokens = self.count_prompt_tokens(role)?;
        }
        self.prompt_tokens = prompt_tokens;
        Ok(())
    }

    /// The similarity of every query and every document: `(n, dim)`, `(m, dim)` -> `(n, m)`.
    #[doc(alias = "score")]
    pub fn similarity(&self, queries: &Tensor, docs: &Tensor) -> Result<Tensor> {
        self.config.similarity.of(queries, docs)
    }

    /// Writes a sentence-transformers directory that Python, text-embeddings-inference and their like
    /// load unchanged. A model that is there is replaced as a whole, at once; a README, and what else is not of the
    /// model, is kept.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.save_with(dir, &ModelCard::default())
    }

    /// The same, with a model card that says more than the model knows of itself, see [`ModelCard`].
    pub fn save_with(&self, dir: impl AsRef<Path>, card: &ModelCard) -> Result<()> {
        directory::write(dir.as_ref(), self, card)
    }

    /// Saves the model to the hub as one commit, and gives the commit's address. It needs a token with the permission to
    /// write: `HF_TOKEN`, or what `hf auth login` has stored. See [`PushConfig`].
    ///
    /// ```no_run
    /// use kensaku::hub::PushConfig;
    /// use kensaku::model::BiEncoder;
    ///
    /// let model = BiEncoder::load("my-model")?;
    /// let config = PushConfig { private: true, message: "After one epoch".to_owned(), ..Default::default() };
    /// println!("{}", model.push_to_hub("me/my-model", &config)?);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn push_to_hub(&self, name: &str, config: &PushConfig) -> Result<String> {
        push_saved(name, config, |dir| self.save_with(dir, &config.card))
    }

    pub fn config(&self) -> &BiEncoderConfig {
        &self.config
    }

    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The encoder, to change its weights.
    pub fn encoder_mut(&mut self) -> &mut Encoder {
        // Those in int8 are of the weights before.
        if self.int8.get().is_some() {
            self.int8 = Arc::default();
        }
        &mut self.encoder
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The width of a vector.
    pub fn dim(&self) -> usize {
        self.encoder.config().hidden_size() * self.config.pooling.width()
    }

    /// How many tokens at the start of a text a mean leaves out.
    pub fn prompt_tokens(&self, role: Role) -> usize {
        self.prompt_tokens[role as usize]
    }

    fn count_prompt_tokens(&self, role: Role) -> Result<usize> {
        let prompt = self.config.prompt(role);
        if self.config.include_prompt || prompt.is_empty() {
            return Ok(0);
        }
        let tokens = self.tokenizer.encode_batch(&[prompt], self.config.max_length)?;
        let tokens = tokens.first().map_or(&[][..], Vec::as_slice);
        // The closing token of the prompt alone is not in the prompted text. Not every tokenizer has one.
        let closed = tokens.last().is_some_and(|last| self.tokenizer.is_special(*last));
        Ok(tokens.len() - usize::from(closed))
    }

    /// The weights in int8, quantised once.
    pub(super) fn int8(&self) -> &Int8Weights {
        self.int8.get_or_init(|| self.encoder.quantize())
    }
}

impl fmt::Debug for BiEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encoder, tokenizer, config, .. } = self;
        write!(f, "BiEncoder ({}; {tokenizer:?})\n{config:?}", encoder.shape())
    }
}
