//! SPLADE: a weight for every word of the vocabulary, most of them 0, per query and per document.

mod config;
mod encode;
mod passes;
mod queries;
mod vectors;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use candle_core::Tensor;

use super::directory;
use crate::Result;
use crate::hub::{PushConfig, push_saved};
use crate::model::ModelCard;
use crate::model::texts::Prompts;
use crate::nn::{Encoder, EncoderConfig, MaskedLm, Saturation, WordTable};
use crate::text::Tokenizer;

pub use config::{QueryWeights, SpladeConfig};
use queries::QueryTable;
pub use vectors::{SparseEmbeddings, SparseVectors};

/// A SPLADE model (Formal et al. 2021): an encoder with a masked-language-model head. The weight of word `j` in a text is
/// `w_j = max_i log(1 + relu(s_ij))` over the scores of `j` at the text's tokens `i`, or the sum of these. Vectors are
/// compared by dot product, as an inverted index does it.
///
/// ```
/// use kensaku::model::{Splade, SpladeConfig};
/// use kensaku::nn::BertConfig;
/// use kensaku::text::{Tokenizer, WordPieceConfig};
///
/// let tokenizer = Tokenizer::train_wordpiece(&["a red house", "a green tree"], &WordPieceConfig::default())?;
/// let model = Splade::new(BertConfig::default(), tokenizer, SpladeConfig::default(), 42)?;
/// let vectors = model.encode_texts(&["a red house", "a tree"])?;
/// assert_eq!((vectors.len(), vectors.dim()), (2, model.dim()));
/// assert_eq!(model.decode(&vectors, 3)[0].len(), 3);
/// assert_eq!(model.similarity(&vectors, &vectors)?.dims(), [2, 2]);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "SparseEncoder")]
#[derive(Clone)]
pub struct Splade {
    /// Its table holds the weights of query words, too.
    head: MaskedLm,
    queries: Option<QueryTable>,
    tokenizer: Tokenizer,
    config: SpladeConfig,
    /// Whether it was said that texts lost their end.
    told: Arc<AtomicBool>,
}

impl Splade {
    /// An untrained model; the encoder's vocabulary and padding are made the tokenizer's. An untrained head is active
    /// for half of all words: models are trained from a masked language model, which [`Splade::load`] reads.
    pub fn new(
        encoder: impl Into<EncoderConfig>,
        tokenizer: Tokenizer,
        config: SpladeConfig,
        seed: u64,
    ) -> Result<Self> {
        let encoder = encoder.into().with_vocab_size(tokenizer.vocab_size()).with_pad_token_id(tokenizer.pad_id());
        Self::from_parts(MaskedLm::new(Encoder::new(encoder, seed)?, seed)?, tokenizer, config)
    }

    /// A new model on an encoder with its tokenizer, such as those of a [`BiEncoder`](super::BiEncoder), to be trained. The
    /// head's map is the identity, not drawn, and its bias keeps out all words but those that score two deviations above
    /// others: one in 40 at a token, and the words of a text, whose embeddings its hidden states are made of. Over the tokens
    /// of a document these are most of the vocabulary: train with [`SpladeLoss`](crate::loss::SpladeLoss), which makes them few.
    pub fn on(encoder: Encoder, tokenizer: Tokenizer, config: SpladeConfig, seed: u64) -> Result<Self> {
        Self::from_parts(MaskedLm::plain(encoder, seed)?, tokenizer, config)
    }

    /// The same on the encoder of a Hugging Face or sentence-transformers directory.
    ///
    /// ```no_run
    /// use kensaku::model::{Splade, SpladeConfig};
    ///
    /// let model = Splade::from_encoder("all-MiniLM-L6-v2", SpladeConfig::default(), 42)?;
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn from_encoder(dir: impl AsRef<Path>, config: SpladeConfig, seed: u64) -> Result<Self> {
        let (encoder, tokenizer) = directory::read_encoder(dir.as_ref())?;
        Self::on(encoder, tokenizer, config, seed)
    }

    /// Reads a directory of sentence-transformers' `SparseEncoder`, of any version, or of a masked language model of
    /// transformers, which is pooled by its maxima. Settings that change vectors are honoured, or an error names them.
    /// It may be a model of the [hub](crate::hub) by its name, too.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        directory::read_splade(dir.as_ref())
    }

    pub(in crate::model) fn from_parts(head: MaskedLm, tokenizer: Tokenizer, config: SpladeConfig) -> Result<Self> {
        let model = Self { head, queries: None, tokenizer, config: SpladeConfig::default(), told: Arc::default() };
        model.with_config(config)
    }

    /// The same model with other settings.
    ///
    /// ```no_run
    /// use kensaku::model::{Splade, SpladeConfig};
    ///
    /// let model = Splade::load("splade-cocondenser")?;
    /// let config = SpladeConfig { max_active_dims: Some(128), ..model.config().clone() };
    /// let model = model.with_config(config)?;
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn with_config(mut self, config: SpladeConfig) -> Result<Self> {
        config.check()?;
        self.check_query_weights(config.query_weights)?;
        let longest = self.head.encoder().config().longest();
        let prompts = config.named_prompts();
        // That before a query which is looked up takes no room in the encoder.
        let prompts = if self.queries.is_some() { Prompts { query: "", ..prompts } } else { prompts };
        prompts.check_room(&self.tokenizer, config.max_length, longest)?;
        // Decay would change what training is not to change.
        let trained = config.query_weights == QueryWeights::Trained;
        self.head.encoder_mut().parameters_mut().set_decay(WordTable::NAME, trained);
        self.config = config;
        Ok(self)
    }

    /// The same model with another maximum length.
    pub fn with_max_length(self, max_length: usize) -> Result<Self> {
        let config = SpladeConfig { max_length, ..self.config.clone() };
        self.with_config(config)
    }

    /// The same model with other prompts before queries and documents.
    pub fn with_prompts(self, query: impl Into<String>, doc: impl Into<String>) -> Result<Self> {
        let config = SpladeConfig { query_prompt: query.into(), doc_prompt: doc.into(), ..self.config.clone() };
        self.with_config(config)
    }

    /// The same model, encoding texts to at most this many words each; `None` for all.
    pub fn with_max_active_dims(self, max_active_dims: Option<usize>) -> Result<Self> {
        let config = SpladeConfig { max_active_dims, ..self.config.clone() };
        self.with_config(config)
    }

    /// The dot product of every query and every document: `(n, m)`.
    #[doc(alias = "score")]
    pub fn similarity(&self, queries: &SparseVectors, docs: &SparseVectors) -> Result<Tensor> {
        queries.dot(docs)
    }

    /// Writes a sentence-transformers directory that Python's `SparseEncoder` loads unchanged, of versions 5 and 6. A model
    /// that is there is replaced as a whole, at once; a README, and what else is not of the model, is kept.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.save_with(dir, &ModelCard::default())
    }

    /// The same, with a model card that says more than the model knows of itself, see [`ModelCard`].
    pub fn save_with(&self, dir: impl AsRef<Path>, card: &ModelCard) -> Result<()> {
        directory::write_splade(dir.as_ref(), self, card)
    }

    /// Saves the model to the hub as one commit, and gives the commit's address. See
    /// [`BiEncoder::push_to_hub`](super::BiEncoder::push_to_hub).
    pub fn push_to_hub(&self, name: &str, config: &PushConfig) -> Result<String> {
        push_saved(name, config, |dir| self.save_with(dir, &config.card))
    }

    pub fn config(&self) -> &SpladeConfig {
        &self.config
    }

    /// The encoder, whose table of parameters holds the head's, too.
    pub fn encoder(&self) -> &Encoder {
        self.head.encoder()
    }

    /// The encoder, to change its weights.
    pub fn encoder_mut(&mut self) -> &mut Encoder {
        self.head.encoder_mut()
    }

    /// The encoder with its head.
    pub fn masked_lm(&self) -> &MaskedLm {
        &self.head
    }

    /// The same, to change its weights.
    pub fn masked_lm_mut(&mut self) -> &mut MaskedLm {
        &mut self.head
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The length of a vector: the size of the vocabulary.
    pub fn dim(&self) -> usize {
        self.encoder().spec().vocab
    }

    fn saturation(&self) -> Saturation {
        Saturation { twice: self.config.log1p_twice }
    }
}

impl fmt::Debug for Splade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { head, tokenizer, config, .. } = self;
        write!(f, "Splade ({}; {tokenizer:?})\n{config:?}", head.encoder().shape())
    }
}
