//! The bi-encoder: one vector a query, one a document, compared by cosine or dot product.

use std::fmt;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Embeddings, Pooled, Pooling, directory};
use crate::data::{Corpus, Queries};
use crate::loss::Similarity;
use crate::nn::{Activations, Encoder, EncoderConfig, PackedBatch};
use crate::text::{Encodings, Tokenizer};
use crate::{Error, Result, interrupt, show};

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
}

/// How texts become vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BiEncoderConfig {
    pub pooling: Pooling,
    /// Scale every vector to length 1.
    pub normalize: bool,
    /// Longer texts are cut to this many tokens, special ones included.
    pub max_length: usize,
    /// Put before every query and every document.
    pub query_prompt: String,
    pub doc_prompt: String,
    /// Whether a mean takes in the tokens of the prompt.
    pub include_prompt: bool,
    pub similarity: Similarity,
    /// Tokens in one forward pass of `encode`.
    pub encode_tokens: usize,
    /// What `encode` computes in; training computes in f32.
    pub precision: Precision,
}

/// What the matrix products of `encode` compute in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    /// Weights as bytes with a scale each output, inputs as bytes with a scale and a zero each token, found as
    /// they come (dynamic quantisation); attention stays f32, or bf16 where the processor multiplies it. Vectors
    /// differ a little: their cosine with those of f32 is above 0.99.
    /// The weights are quantised anew by each call of `encode`, so encode many texts by one call.
    Int8,
}

impl Default for BiEncoderConfig {
    fn default() -> Self {
        Self {
            pooling: Pooling::Mean,
            normalize: true,
            max_length: 256,
            query_prompt: String::new(),
            doc_prompt: String::new(),
            include_prompt: true,
            similarity: Similarity::Cosine,
            encode_tokens: 4_096,
            precision: Precision::F32,
        }
    }
}

/// What a text is to the model: it decides the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Query,
    Doc,
    /// No prompt.
    Plain,
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

    /// Reads a sentence-transformers directory, of any version since 2.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        directory::read(dir.as_ref())
    }

    pub(crate) fn from_parts(encoder: Encoder, tokenizer: Tokenizer, config: BiEncoderConfig) -> Result<Self> {
        let longest = encoder.config().longest();
        if !(2..=longest).contains(&config.max_length) {
            return Err(Error::Setting {
                field: "max_length",
                value: config.max_length.to_string(),
                expected: format!("2 up to {longest}, the encoder's longest input"),
            });
        }
        Ok(Self { encoder, tokenizer, config })
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

    /// One vector a query, with progress.
    pub fn encode_queries(&self, queries: &Queries) -> Result<Embeddings> {
        Embeddings::new(queries.query_ids(), self.encode(&queries.texts(), Role::Query)?)
    }

    /// One vector a document (of title and text), with progress.
    pub fn encode_docs(&self, corpus: &Corpus) -> Result<Embeddings> {
        Embeddings::new(corpus.doc_ids(), self.encode(&corpus.texts(), Role::Doc)?)
    }

    /// One vector a text `(n, dim)`, in the order given. Texts are encoded in order of length, so that
    /// the progress is even; no padding is computed, so a vector does not depend on its neighbours.
    pub fn encode<S: AsRef<str>>(&self, texts: &[S], role: Role) -> Result<Tensor> {
        let Encodings { ids: tokens, truncated } = self.encodings(texts, role)?;
        if truncated > 0 {
            let (all, most) = (texts.len(), self.config.max_length);
            log::warn!("{truncated} of {all} texts are longer than max_length = {most} tokens and lost their end");
        }
        let mut order: Vec<usize> = (0..tokens.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(tokens[*index].len()));
        let width = self.dim();
        let mut vectors = vec![0.0; tokens.len() * width];
        let skip = self.prompt_tokens(role)?;
        let mut activations = Activations::inference();
        let int8 = (self.config.precision == Precision::Int8).then(|| self.encoder.quantize());
        let bar = show::progress("encode", Some(texts.len()));
        for chunk in chunks_of_tokens(&order, &tokens, self.config.encode_tokens) {
            interrupt::check("encoding")?;
            let batch = PackedBatch::new(chunk.iter().map(|index| &tokens[*index]));
            self.encoder.forward_for(self.config.pooling.read(), &batch, &mut activations, int8.as_ref())?;
            let pooled = self.pool(&batch, &vec![skip; batch.sequences()], &activations);
            for (index, vector) in chunk.iter().zip(pooled.vectors.chunks_exact(width)) {
                vectors[index * width..(index + 1) * width].copy_from_slice(vector);
            }
            bar.inc(chunk.len());
        }
        Ok(Tensor::from_vec(vectors, (texts.len(), width), &Device::Cpu)?)
    }

    /// The similarity of every query and every document: `(n, dim)`, `(m, dim)` -> `(n, m)`.
    pub fn score(&self, queries: &Tensor, docs: &Tensor) -> Result<Tensor> {
        self.config.similarity.of(queries, docs)
    }

    /// Writes a sentence-transformers directory that Python, text-embeddings-inference and their like
    /// load unchanged.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        directory::write(dir.as_ref(), self)
    }

    pub fn config(&self) -> &BiEncoderConfig {
        &self.config
    }

    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    pub fn encoder_mut(&mut self) -> &mut Encoder {
        &mut self.encoder
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The width of a vector.
    pub fn dim(&self) -> usize {
        self.encoder.config().hidden_size()
    }

    /// The token ids of each text behind the prompt of its role, special tokens included.
    pub fn tokenize<S: AsRef<str>>(&self, texts: &[S], role: Role) -> Result<Vec<Vec<u32>>> {
        Ok(self.encodings(texts, role)?.ids)
    }

    /// The same with the number of texts that were longer than `max_length` and lost their end.
    pub fn encodings<S: AsRef<str>>(&self, texts: &[S], role: Role) -> Result<Encodings> {
        let prompt = self.prompt(role);
        let prompted: Vec<String> = texts.iter().map(|text| format!("{prompt}{}", text.as_ref())).collect();
        self.tokenizer.encode(&prompted, self.config.max_length)
    }

    /// The first half of a training step: the vectors of a batch.
    pub fn forward(&self, batch: &PackedBatch, skip: &[usize], activations: &mut Activations) -> Result<Pooled> {
        if batch.tokens() == 0 {
            // Empty texts, by a tokenizer without special tokens.
            return Ok(Pooled::zeros(batch.sequences(), self.dim()));
        }
        self.encoder.forward_for(self.config.pooling.read(), batch, activations, None)?;
        Ok(self.pool(batch, skip, activations))
    }

    fn pool(&self, batch: &PackedBatch, skip: &[usize], activations: &Activations) -> Pooled {
        self.config.pooling.forward(activations.hidden(), batch, skip, self.config.normalize)
    }

    /// The second half: from the gradient of the vectors to that of every parameter.
    pub fn backward(
        &mut self,
        batch: &PackedBatch,
        skip: &[usize],
        activations: &mut Activations,
        pooled: &Pooled,
        d_vectors: &[f32],
    ) -> Result<()> {
        if batch.tokens() == 0 {
            return Ok(());
        }
        let mut d_hidden = std::mem::take(activations.d_hidden());
        self.config.pooling.backward(pooled, d_vectors, batch, skip, &mut d_hidden);
        let done = self.encoder.backward(batch, activations, &d_hidden);
        *activations.d_hidden() = d_hidden;
        done
    }

    /// How many tokens at the start of a text a mean leaves out.
    pub fn prompt_tokens(&self, role: Role) -> Result<usize> {
        if self.config.include_prompt || self.prompt(role).is_empty() {
            return Ok(0);
        }
        let tokens = self.tokenizer.encode_batch(&[self.prompt(role).to_owned()], self.config.max_length)?;
        // The final [SEP] of the prompt alone is not in the prompted text.
        Ok(tokens.first().map_or(0, |ids| ids.len().saturating_sub(1)))
    }

    fn prompt(&self, role: Role) -> &str {
        match role {
            Role::Query => &self.config.query_prompt,
            Role::Doc => &self.config.doc_prompt,
            Role::Plain => "",
        }
    }
}

impl fmt::Debug for BiEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encoder, tokenizer, config } = self;
        write!(f, "BiEncoder ({}; {tokenizer:?})\n{config:?}", encoder.shape())
    }
}

/// Cuts `order` where a chunk would hold more than `budget` tokens; a chunk holds at least one text.
fn chunks_of_tokens<'a>(order: &'a [usize], tokens: &[Vec<u32>], budget: usize) -> Vec<&'a [usize]> {
    let mut chunks = Vec::new();
    let (mut start, mut held) = (0, 0);
    for (place, index) in order.iter().enumerate() {
        if place > start && held + tokens[*index].len() > budget {
            chunks.push(&order[start..place]);
            (start, held) = (place, 0);
        }
        held += tokens[*index].len();
    }
    if start < order.len() {
        chunks.push(&order[start..]);
    }
    chunks
}
