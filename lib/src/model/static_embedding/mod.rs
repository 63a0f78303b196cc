//! Static embeddings: a vector per token, and no encoder.

mod config;
mod distil;
mod eigen;
mod encode;
mod passes;
mod pca;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use candle_core::Tensor;

use super::card::ModelCard;
use super::directory;
use crate::error::expect;
use crate::hub::{PushConfig, push_saved};
use crate::loss::Similarity;
use crate::nn::Parameters;
use crate::random::Philox;
use crate::text::Tokenizer;
use crate::{Error, Result};

pub use config::StaticEmbeddingConfig;
pub use distil::{DistilConfig, TokenWeights};

/// The name of the table, as in sentence-transformers.
pub(super) const TABLE: &str = "embedding.weight";

/// A bag of tokens: the vector of a text is the mean of the rows that its tokens have in a table `(vocab, dim)`,
/// special tokens left out.
///
/// Hundreds of times as fast as a small transformer, at lower quality. Equals sentence-transformers' `StaticEmbedding`,
/// whose directories and those of model2vec it reads and writes. A text without tokens has the vector 0.
///
/// ```
/// use kensaku::model::{Role, StaticEmbedding, StaticEmbeddingConfig};
/// use kensaku::text::{Tokenizer, WordPieceConfig};
///
/// let words = WordPieceConfig { min_frequency: 1, ..Default::default() };
/// let tokenizer = Tokenizer::train_wordpiece(&["red green", "a house"], &words)?;
/// let model = StaticEmbedding::new(16, tokenizer, StaticEmbeddingConfig::default(), 42)?;
/// let vectors = model.encode_texts(&["red", "green", "red green"])?;
/// let similarity = model.similarity(&vectors, &vectors)?.to_vec2::<f32>()?;
/// assert_eq!(vectors.dims(), [3, 16]);
/// assert!(similarity[2][0] > similarity[1][0]);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone)]
pub struct StaticEmbedding {
    table: Parameters,
    dim: usize,
    tokenizer: Tokenizer,
    config: StaticEmbeddingConfig,
    /// The token that stands for unknown words, if it is left out.
    unknown: Option<u32>,
    /// Whether it was said that texts lost their end.
    told: Arc<AtomicBool>,
}

impl StaticEmbedding {
    /// An untrained model with vectors of `dim` numbers, drawn from N(0, 1) as PyTorch's `EmbeddingBag` draws them.
    pub fn new(dim: usize, tokenizer: Tokenizer, config: StaticEmbeddingConfig, seed: u64) -> Result<Self> {
        let mut table = new_table(tokenizer.vocab_size(), dim)?;
        let mut rng = Philox::new(seed);
        table.values.fill_with(|| rng.normal() as f32);
        Self::from_parts(table, dim, tokenizer, config)
    }

    /// A model with a vector per token, a row for each id of the tokenizer: `(vocab, dim)`.
    ///
    /// # Errors
    /// For fewer rows than the tokenizer has ids.
    pub fn from_vectors(vectors: &Tensor, tokenizer: Tokenizer, config: StaticEmbeddingConfig) -> Result<Self> {
        let (rows, dim) = vectors.dims2()?;
        let mut table = new_table(rows, dim)?;
        let values = vectors.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        table.values.copy_from_slice(&values);
        Self::from_parts(table, dim, tokenizer, config)
    }

    /// Reads a directory of sentence-transformers, of any version since 3, or of model2vec. Settings that change vectors
    /// are honoured, or an error names them.
    ///
    /// ```no_run
    /// use kensaku::model::StaticEmbedding;
    ///
    /// let model = StaticEmbedding::load("potion-base-8M")?;
    /// let vectors = model.encode_texts(&["a red house"])?;
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        directory::read_static(dir.as_ref())
    }

    pub(in crate::model) fn from_parts(
        table: Parameters,
        dim: usize,
        tokenizer: Tokenizer,
        config: StaticEmbeddingConfig,
    ) -> Result<Self> {
        let (rows, ids) = (table.len() / dim, tokenizer.vocab_size());
        if rows < ids {
            return Err(Error::Shape {
                what: "vectors of tokens".to_owned(),
                found: format!("[{rows}, {dim}]"),
                expected: format!("a row for each of the {ids} ids of the tokenizer"),
            });
        }
        let mut model = Self {
            table,
            dim,
            tokenizer,
            config: StaticEmbeddingConfig::default(),
            unknown: None,
            told: Arc::default(),
        };
        model.set_config(config)?;
        Ok(model)
    }

    /// The same model with other settings.
    pub fn with_config(mut self, config: StaticEmbeddingConfig) -> Result<Self> {
        self.set_config(config)?;
        Ok(self)
    }

    /// The same model with another maximum length, or none.
    pub fn with_max_length(self, max_length: Option<usize>) -> Result<Self> {
        let config = StaticEmbeddingConfig { max_length, ..self.config.clone() };
        self.with_config(config)
    }

    /// The same model with other prompts before queries and documents.
    pub fn with_prompts(self, query: impl Into<String>, doc: impl Into<String>) -> Result<Self> {
        let (query_prompt, doc_prompt) = (query.into(), doc.into());
        let config = StaticEmbeddingConfig { query_prompt, doc_prompt, ..self.config.clone() };
        self.with_config(config)
    }

    /// The same model, comparing in another way.
    pub fn with_similarity(mut self, similarity: Similarity) -> Self {
        self.config.similarity = similarity;
        self
    }

    fn set_config(&mut self, config: StaticEmbeddingConfig) -> Result<()> {
        config.check()?;
        self.unknown = if config.skip_unknown { self.tokenizer.unknown_id() } else { None };
        if let Some(unknown) = self.unknown {
            // Never read here. sentence-transformers reads it: a zero leaves the direction of a mean as it is.
            let start = unknown as usize * self.dim;
            self.table.values[start..start + self.dim].fill(0.0);
        }
        self.config = config;
        Ok(())
    }

    /// The similarity of every query and every document: `(n, dim)`, `(m, dim)` -> `(n, m)`.
    #[doc(alias = "score")]
    pub fn similarity(&self, queries: &Tensor, docs: &Tensor) -> Result<Tensor> {
        self.config.similarity.of(queries, docs)
    }

    /// Writes a directory that sentence-transformers loads unchanged; with `skip_unknown` it is one of model2vec, which
    /// sentence-transformers loads, too, but counts unknown tokens. A model that is there is replaced as a whole, at once;
    /// a README, and what else is not of the model, is kept.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.save_with(dir, &ModelCard::default())
    }

    /// The same, with a model card that says more than the model knows of itself, see [`ModelCard`].
    pub fn save_with(&self, dir: impl AsRef<Path>, card: &ModelCard) -> Result<()> {
        directory::write_static(dir.as_ref(), self, card)
    }

    /// Saves the model to the hub as one commit, and gives the commit's address. See
    /// [`BiEncoder::push_to_hub`](super::BiEncoder::push_to_hub).
    pub fn push_to_hub(&self, name: &str, config: &PushConfig) -> Result<String> {
        push_saved(name, config, |dir| self.save_with(dir, &config.card))
    }

    pub fn config(&self) -> &StaticEmbeddingConfig {
        &self.config
    }

    /// The vectors of all tokens, as the parameter `embedding.weight` `(vocab, dim)`.
    pub fn parameters(&self) -> &Parameters {
        &self.table
    }

    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.table
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The width of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }
}

/// A table of zeros.
pub(in crate::model) fn new_table(rows: usize, dim: usize) -> Result<Parameters> {
    expect("dim", dim, "at least 1", dim > 0)?;
    let mut table = Parameters::default();
    table.push(TABLE, &[rows, dim], true)?;
    Ok(table)
}

impl fmt::Debug for StaticEmbedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dim, tokenizer, config, .. } = self;
        write!(f, "StaticEmbedding ({} x {dim}; {tokenizer:?})\n{config:?}", self.table.len() / dim)
    }
}
