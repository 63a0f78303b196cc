//! ColBERT: a vector per token, queries and documents compared by their best matches.

mod config;
mod encode;
mod passes;
mod token_pooling;
mod tokens;
mod ward;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use candle_core::Tensor;

use super::{TokenEmbeddings, directory};
use crate::hub::{PushConfig, push_saved};
use crate::loss::Interaction;
use crate::model::ModelCard;
use crate::nn::{Encoder, EncoderConfig, Projection};
use crate::text::Tokenizer;
use crate::{Error, Result};

pub use config::ColBertConfig;
pub use token_pooling::TokenPooling;
use tokens::Ids;

/// A late-interaction model (Khattab and Zaharia 2020, Santhanam et al. 2022): an encoder, and a linear map of its hidden
/// states to a vector of length 1 per token. The score of a query and a document is MaxSim, see
/// [`max_sim`](crate::loss::max_sim).
///
/// ```no_run
/// use kensaku::model::ColBert;
///
/// let model = ColBert::load("GTE-ModernColBERT-v1")?;
/// let docs = ["join adds columns", "filter keeps rows"];
/// let best = model.rank("how is a frame filtered?", &docs)?[0];
/// assert_eq!(docs[best.index], "filter keeps rows");
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// A loss for it is one of [`Batch::scores`](crate::loss::Batch::scores), such as
/// `MultipleNegativesRanking { scale: 1.0, .. }`: MaxSim sums over the tokens of a query, so that scores are large by
/// themselves.
#[doc(alias = "MultiVectorEncoder")]
#[derive(Clone)]
pub struct ColBert {
    /// Its table holds the projection, too.
    encoder: Encoder,
    projection: Projection,
    tokenizer: Tokenizer,
    config: ColBertConfig,
    ids: Ids,
    /// Whether it was said that texts lost their end.
    told: Arc<AtomicBool>,
}

/// What a forward pass makes.
struct Rows {
    /// `(rows, dim)`
    values: Vec<f32>,
    /// Where those of each sequence begin, and the end of the last.
    bounds: Vec<usize>,
    /// The token of each row.
    tokens: Vec<usize>,
    /// The lengths before they were scaled to 1.
    lengths: Vec<f32>,
}

impl ColBert {
    /// An untrained model; the tokenizer learns the markers, and the encoder's vocabulary and padding are made the
    /// tokenizer's.
    ///
    /// ```
    /// use kensaku::model::{ColBert, ColBertConfig, Role};
    /// use kensaku::nn::BertConfig;
    /// use kensaku::text::{Tokenizer, WordPieceConfig};
    ///
    /// let texts = ["filter keeps rows", "join adds columns"];
    /// let vocabulary = WordPieceConfig { vocab_size: 80, min_frequency: 1, ..Default::default() };
    /// let tokenizer = Tokenizer::train_wordpiece(&texts, &vocabulary)?;
    /// let encoder = BertConfig { hidden_size: 32, intermediate_size: 64, ..Default::default() };
    /// let config = ColBertConfig { dim: 16, query_length: 8, ..Default::default() };
    /// let model = ColBert::new(encoder, tokenizer, config, 42)?;
    /// // Every query is filled up to 8 tokens.
    /// let queries = model.encode(&["rows", "columns"], Role::Query)?;
    /// assert_eq!((queries.vectors.dims(), &queries.bounds[..]), (&[16, 16][..], &[0, 8, 16][..]));
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn new(
        encoder: impl Into<EncoderConfig>,
        tokenizer: Tokenizer,
        config: ColBertConfig,
        seed: u64,
    ) -> Result<Self> {
        let tokenizer = marked(tokenizer, &config)?;
        let encoder = encoder.into().with_vocab_size(tokenizer.vocab_size()).with_pad_token_id(tokenizer.pad_id());
        Self::of(Encoder::new(encoder, seed)?, tokenizer, config, seed)
    }

    /// A new model on the encoder of a Hugging Face or sentence-transformers directory, to be trained: its projection is
    /// drawn, and so are the vectors of markers that the tokenizer did not have.
    ///
    /// ```no_run
    /// use kensaku::model::{ColBert, ColBertConfig};
    ///
    /// let model = ColBert::from_encoder("ModernBERT-base", ColBertConfig::default(), 42)?;
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn from_encoder(dir: impl AsRef<Path>, config: ColBertConfig, seed: u64) -> Result<Self> {
        let (encoder, tokenizer) = directory::read_encoder(dir.as_ref())?;
        Self::on(encoder, tokenizer, config, seed)
    }

    /// Reads a directory of PyLate, or of sentence-transformers' `MultiVectorEncoder`. Settings that change vectors are
    /// honoured, or an error names them. It may be a model of the [hub](crate::hub) by its name, too.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        directory::read_colbert(dir.as_ref())
    }

    /// The same on an encoder with its tokenizer, such as those of a [`BiEncoder`](super::BiEncoder).
    pub fn on(encoder: Encoder, tokenizer: Tokenizer, config: ColBertConfig, seed: u64) -> Result<Self> {
        let tokenizer = marked(tokenizer, &config)?;
        let encoder = encoder.with_vocab_size(tokenizer.vocab_size(), seed)?;
        Self::of(encoder, tokenizer, config, seed)
    }

    fn of(mut encoder: Encoder, tokenizer: Tokenizer, config: ColBertConfig, seed: u64) -> Result<Self> {
        let projection = Projection::new(&mut encoder, config.dim, seed)?;
        Self::from_parts(encoder, projection, tokenizer, config)
    }

    pub(in crate::model) fn from_parts(
        encoder: Encoder,
        projection: Projection,
        tokenizer: Tokenizer,
        config: ColBertConfig,
    ) -> Result<Self> {
        let own = ColBertConfig { dim: projection.dim(), ..ColBertConfig::default() };
        let model = Self { encoder, projection, tokenizer, config: own, ids: Ids::default(), told: Arc::default() };
        model.with_config(config)
    }

    /// The same model with other settings. Markers have to be tokens that its tokenizer has.
    ///
    /// ```no_run
    /// use kensaku::model::{ColBert, ColBertConfig};
    ///
    /// let model = ColBert::load("GTE-ModernColBERT-v1")?;
    /// let config = ColBertConfig { skip_words: Vec::new(), ..model.config().clone() };
    /// let model = model.with_config(config)?;
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn with_config(mut self, config: ColBertConfig) -> Result<Self> {
        config.token_pooling.check()?;
        if config.dim != self.dim() {
            let expected = format!("{}, the width of its projection", self.dim());
            return Err(Error::Setting { field: "dim", value: config.dim.to_string(), expected });
        }
        if let Interaction::Xtr { .. } = config.interaction {
            return Err(Error::Setting {
                field: "interaction",
                value: format!("{:?}", config.interaction),
                expected: "Sum or Mean: `loss::XTR` trains with what tokens retrieve".to_owned(),
            });
        }
        self.ids = Ids::new(&config, &self.tokenizer, self.encoder.config().longest())?;
        self.config = config;
        Ok(self)
    }

    /// The same model with other maximum lengths of queries and documents.
    ///
    /// ```no_run
    /// # use kensaku::model::ColBert;
    /// let model = ColBert::load("GTE-ModernColBERT-v1")?.with_lengths(48, 512)?;
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn with_lengths(self, query_length: usize, doc_length: usize) -> Result<Self> {
        let config = ColBertConfig { query_length, doc_length, ..self.config.clone() };
        self.with_config(config)
    }

    /// The same model, scoring in another way.
    pub fn with_interaction(self, interaction: Interaction) -> Result<Self> {
        let config = ColBertConfig { interaction, ..self.config.clone() };
        self.with_config(config)
    }

    /// The score of every query with every document, `(n, m)`.
    #[doc(alias = "score")]
    pub fn similarity(&self, queries: &TokenEmbeddings, docs: &TokenEmbeddings) -> Result<Tensor> {
        self.config.interaction.scores((&queries.vectors, &queries.bounds), (&docs.vectors, &docs.bounds))
    }

    /// Writes PyLate's directory, which sentence-transformers' `MultiVectorEncoder` and pylate-rs load, too. A model that
    /// is there is replaced as a whole, at once; a README, and what else is not of the model, is kept.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.save_with(dir, &ModelCard::default())
    }

    /// The same, with a model card that says more than the model knows of itself, see [`ModelCard`].
    pub fn save_with(&self, dir: impl AsRef<Path>, card: &ModelCard) -> Result<()> {
        directory::write_colbert(dir.as_ref(), self, card)
    }

    /// Saves the model to the hub as one commit, and gives the commit's address. See
    /// [`BiEncoder::push_to_hub`](super::BiEncoder::push_to_hub).
    pub fn push_to_hub(&self, name: &str, config: &PushConfig) -> Result<String> {
        push_saved(name, config, |dir| self.save_with(dir, &config.card))
    }

    pub fn config(&self) -> &ColBertConfig {
        &self.config
    }

    /// The encoder, whose table holds the projection as `linear.weight` too.
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

    pub(in crate::model) fn projection(&self) -> &Projection {
        &self.projection
    }

    /// The width of a vector.
    pub fn dim(&self) -> usize {
        self.projection.dim()
    }
}

/// The tokenizer with the markers.
fn marked(tokenizer: Tokenizer, config: &ColBertConfig) -> Result<Tokenizer> {
    let markers = [&config.query_marker, &config.doc_marker].into_iter().filter(|marker| !marker.is_empty());
    tokenizer.with_tokens(markers.map(String::as_str))
}

impl fmt::Debug for ColBert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encoder, tokenizer, config, .. } = self;
        write!(f, "ColBert ({}; {tokenizer:?})\n{config:?}", encoder.shape())
    }
}
