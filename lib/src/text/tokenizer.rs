//! The tokenizer of a model: `tokenizer.json` as Hugging Face's `tokenizers` reads it.

use std::fmt;
use std::path::Path;

use rayon::prelude::*;

use super::wordpiece::{self, WordPieceConfig};
use crate::{Error, Result, files, interrupt};

/// Turns texts into token ids and back.
///
/// Padding and truncation settings of `tokenizer.json` are not used: batches are packed, and the
/// maximum length belongs to the model. The ids do not depend on the number of threads, nor on the
/// environment variable `TOKENIZERS_PARALLELISM`.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

/// The token ids of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Encodings {
    /// For each text its ids with special tokens, unpadded.
    pub ids: Vec<Vec<u32>>,
    /// How many texts were longer than the maximum length.
    pub truncated: usize,
}

impl Tokenizer {
    /// Reads `tokenizer.json`: the file itself, or the model directory it stands in.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let path = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        Self::from_bytes(bytes).map_err(|error| Error::Model {
            path,
            problem: error.to_string(),
            expected: "a tokenizer.json of Hugging Face's tokenizers".to_owned(),
        })
    }

    /// From the content of a `tokenizer.json`.
    pub fn from_bytes(json: impl AsRef<[u8]>) -> Result<Self> {
        Self::new(tokenizers::Tokenizer::from_bytes(json).map_err(problem)?)
    }

    /// Learns a WordPiece vocabulary and gives it the tokenizer of BERT around it: its normaliser,
    /// its pre-tokenizer, `[CLS] text [SEP]`. The same texts (in any order) give the same tokenizer.
    ///
    /// ```
    /// use kensaku::text::{Tokenizer, WordPieceConfig};
    ///
    /// let texts = ["search engines rank documents", "a search engine ranks a document"];
    /// let config = WordPieceConfig { vocab_size: 80, min_frequency: 1, ..Default::default() };
    /// let tokenizer = Tokenizer::train_wordpiece(&texts, &config)?;
    /// let ids = tokenizer.encode_batch(&["Search documents"], 16)?;
    /// assert_eq!(tokenizer.decode(&ids[0])?, "search documents");
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn train_wordpiece<S: AsRef<str> + Sync>(texts: &[S], config: &WordPieceConfig) -> Result<Self> {
        Self::new(wordpiece::train(texts, config)?)
    }

    /// The same as [`encode`](Self::encode), the ids only.
    pub fn encode_batch<S: AsRef<str> + Sync>(&self, texts: &[S], max_length: usize) -> Result<Vec<Vec<u32>>> {
        Ok(self.encode(texts, max_length)?.ids)
    }

    /// Encodes texts in parallel, each with its special tokens and without padding. A longer text
    /// loses its end, but not its closing special token: `max_length` counts special tokens.
    pub fn encode<S: AsRef<str> + Sync>(&self, texts: &[S], max_length: usize) -> Result<Encodings> {
        let special = self.special_tokens();
        if max_length <= special {
            return Err(Error::Setting {
                field: "max_length",
                value: max_length.to_string(),
                expected: format!("more than the {special} special tokens around each text"),
            });
        }
        let encoded: Vec<(Vec<u32>, bool)> =
            texts.par_iter().map(|text| self.encode_one(text.as_ref(), max_length - special)).collect::<Result<_>>()?;
        let truncated = encoded.iter().filter(|(_, truncated)| *truncated).count();
        Ok(Encodings { ids: encoded.into_iter().map(|(ids, _)| ids).collect(), truncated })
    }

    /// The text of token ids, without special tokens.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(problem)
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The number of tokens, added ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The id of `[PAD]` or `<pad>`, whichever there is; 0 where there is none.
    pub fn pad_id(&self) -> u32 {
        ["[PAD]", "<pad>"].into_iter().find_map(|token| self.id(token)).unwrap_or(0)
    }

    /// How many special tokens are put around a text.
    pub fn special_tokens(&self) -> usize {
        self.inner.get_post_processor().map_or(0, |processor| tokenizers::PostProcessor::added_tokens(processor, false))
    }

    /// Writes `tokenizer.json`, into `path` itself or, if that is a directory, into it.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let path = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
        files::write(&path, self.to_json()?.as_bytes())
    }

    /// The content of `tokenizer.json`.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(true).map_err(problem)
    }

    fn new(mut inner: tokenizers::Tokenizer) -> Result<Self> {
        inner.with_padding(None);
        inner.with_truncation(None).map_err(problem)?;
        Ok(Self { inner })
    }

    /// Truncates before the special tokens are put around, as `tokenizers` does it, but without
    /// its state, so that the maximum length is an argument.
    fn encode_one(&self, text: &str, max_content: usize) -> Result<(Vec<u32>, bool)> {
        interrupt::check("tokenizing")?;
        let mut content = self.inner.encode_fast(text, false).map_err(problem)?;
        let truncated = content.len() > max_content;
        content.truncate(max_content, 0, tokenizers::TruncationDirection::Right);
        // What was cut off is kept as further encodings, which would be wrapped as well.
        content.take_overflowing();
        let whole = self.inner.post_process(content, None, true).map_err(problem)?;
        Ok((whole.get_ids().to_vec(), truncated))
    }
}

/// The size only: a vocabulary is no message.
impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokenizer ({} tokens)", self.vocab_size())
    }
}

pub(super) fn problem(source: tokenizers::Error) -> Error {
    Error::Tokenizer { problem: source.to_string() }
}
