//! The bi-encoder: one vector per query, one per document, compared by cosine or dot product.

mod config;
mod encode;
mod passes;
mod tiny;
mod tower;

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use candle_core::Tensor;

use super::card::ModelCard;
use super::directory;
use crate::error::expect;
use crate::hub::{PushConfig, push_saved};
use crate::loss::Similarity;
use crate::nn::{Encoder, EncoderConfig, Int8Weights, VectorModule, VectorModules};
use crate::text::Tokenizer;
use crate::{Error, Result};

pub use config::{BiEncoderConfig, Precision, Role};
pub(super) use config::{DOC, QUERY};
pub(super) use tower::Tower;

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
    /// Its table holds the parameters of the modules, too.
    encoder: Encoder,
    modules: VectorModules,
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
        let mut encoder = Encoder::new(encoder, seed)?;
        let width = encoder.config().hidden_size() * config.pooling.width();
        let modules = VectorModules::new(&mut encoder, &config.modules, width, seed)?;
        Self::from_parts(encoder, modules, tokenizer, config)
    }

    /// Reads a sentence-transformers directory, of any version since 2. Settings that change vectors are honoured, or
    /// an error names them. Where there is no such folder it may be the name of a model of the [hub](crate::hub), as in
    /// `org/name` or `org/name@revision`.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        directory::read(dir.as_ref())
    }

    pub(in crate::model) fn from_parts(
        encoder: Encoder,
        modules: VectorModules,
        tokenizer: Tokenizer,
        config: BiEncoderConfig,
    ) -> Result<Self> {
        let mut model = Self {
            encoder,
            modules,
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

    /// The same model, encoding texts to the first numbers of their vectors; `None` for all of them.
    ///
    /// ```no_run
    /// # use kensaku::model::BiEncoder;
    /// let model = BiEncoder::load("mxbai-embed-large-v1")?.with_truncate_dim(Some(512))?;
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn with_truncate_dim(self, truncate_dim: Option<usize>) -> Result<Self> {
        let config = BiEncoderConfig { truncate_dim, ..self.config.clone() };
        self.with_config(config)
    }

    /// The same encoder with new modules after pooling, which are to be trained: matrices are drawn as the encoder's, norms
    /// are 1 and biases 0.
    ///
    /// ```
    /// use kensaku::model::{BiEncoder, BiEncoderConfig, Role};
    /// use kensaku::nn::{BertConfig, DenseActivation, VectorModule};
    /// use kensaku::text::{Tokenizer, WordPieceConfig};
    ///
    /// let tokenizer = Tokenizer::train_wordpiece(&["a red house", "a green tree"], &WordPieceConfig::default())?;
    /// let model = BiEncoder::new(BertConfig::default(), tokenizer, BiEncoderConfig::default(), 42)?;
    /// let dense = VectorModule::Dense { dim: 32, bias: true, activation: DenseActivation::Tanh, residual: false };
    /// let model = model.with_modules(vec![dense], 42)?;
    /// assert_eq!(model.encode_texts(&["a red tree"])?.dims(), [1, 32]);
    /// assert!(model.encoder().parameters().values("2_Dense.linear.weight").is_ok());
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn with_modules(mut self, modules: Vec<VectorModule>, seed: u64) -> Result<Self> {
        let width = self.pooled_width();
        self.modules = VectorModules::new(&mut self.encoder, &modules, width, seed)?;
        let config = BiEncoderConfig { modules, ..self.config.clone() };
        self.with_config(config)
    }

    fn set_config(&mut self, config: BiEncoderConfig) -> Result<()> {
        let prompts = config.named_prompts();
        prompts.check()?;
        prompts.check_room(&self.tokenizer, config.max_length, self.encoder.config().longest())?;
        config.pooling.check()?;
        self.check_modules(&config)?;
        self.config = config;
        let mut prompt_tokens = [0; 3];
        for (role, tokens) in [Role::Query, Role::Doc, Role::Plain].into_iter().zip(&mut prompt_tokens) {
            *tokens = self.count_prompt_tokens(self.config.prompt(role))?;
        }
        self.prompt_tokens = prompt_tokens;
        Ok(())
    }

    /// An error for modules that are not there, and for vectors of widths that they do not have.
    fn check_modules(&self, config: &BiEncoderConfig) -> Result<()> {
        let own: Vec<VectorModule> = self.modules.iter().map(|(module, ..)| module).collect();
        if own != config.modules {
            let expected = format!("{own:?}, which it has weights of; `with_modules` draws others");
            return Err(Error::Setting { field: "modules", value: format!("{:?}", config.modules), expected });
        }
        let width = self.encoder.config().hidden_size() * config.pooling.width();
        if let Some(read) = self.modules.input().filter(|read| *read != width) {
            let expected = format!("one that makes {read} numbers, not {width}, for the modules after it");
            return Err(Error::Setting { field: "pooling", value: config.pooling.to_string(), expected });
        }
        let (most, dim) = (self.modules.output(width), config.truncate_dim);
        let expected = format!("1 to {most}, the width of its vectors, or None");
        expect("truncate_dim", dim.unwrap_or(0), &expected, dim.is_none_or(|dim| (1..=most).contains(&dim)))
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
        self.forget_int8();
        &mut self.encoder
    }

    /// The weights are about to change: those in int8 are of what they were.
    pub(in crate::model) fn forget_int8(&mut self) {
        if self.int8.get().is_some() {
            self.int8 = Arc::default();
        }
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The width of a vector that `encode` makes.
    pub fn dim(&self) -> usize {
        self.config.truncate_dim.unwrap_or(self.whole_dim())
    }

    /// The width of a vector in training.
    pub(in crate::model) fn whole_dim(&self) -> usize {
        self.modules.output(self.pooled_width())
    }

    fn pooled_width(&self) -> usize {
        self.encoder.config().hidden_size() * self.config.pooling.width()
    }

    pub(in crate::model) fn modules(&self) -> &VectorModules {
        &self.modules
    }

    /// How many tokens at the start of a text a mean leaves out.
    pub fn prompt_tokens(&self, role: Role) -> usize {
        self.prompt_tokens[role as usize]
    }

    fn count_prompt_tokens(&self, prompt: &str) -> Result<usize> {
        if self.config.include_prompt || prompt.is_empty() {
            return Ok(0);
        }
        let tokens = self.tokenizer.encode_batch(&[prompt], self.config.max_length)?;
        let tokens = tokens.first().map_or(&[][..], Vec::as_slice);
        // The closing token of the prompt alone is not in the prompted text. Not every tokenizer has one.
        let closed = tokens.last().is_some_and(|last| self.tokenizer.is_special(*last));
        Ok(tokens.len() - usize::from(closed))
    }
}

impl fmt::Debug for BiEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encoder, tokenizer, config, .. } = self;
        write!(f, "BiEncoder ({}; {tokenizer:?})\n{config:?}", encoder.shape())
    }
}
