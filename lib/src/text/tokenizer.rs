//! The tokenizer of a model: `tokenizer.json`, or one trained on a corpus.

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainerBuilder};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Encoding};

use crate::{Error, Result, files};

/// Turns texts into token ids.
///
/// ```
/// use kensaku::text::{Tokenizer, WordPieceConfig};
///
/// let texts = ["searching is finding", "finding is searching"];
/// let tokenizer = Tokenizer::train_wordpiece(&texts, &WordPieceConfig { vocab_size: 60, ..Default::default() })?;
/// let ids = tokenizer.encode_batch(&["Searching finding!"], 16)?;
/// assert_eq!(tokenizer.token(ids[0][0]).as_deref(), Some("[CLS]"));
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

/// How a WordPiece vocabulary is trained (Schuster and Nakajima 2012, as BERT uses it).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WordPieceConfig {
    /// At most so many entries, the five special tokens included.
    pub vocab_size: usize,
    /// A pair of pieces that is rarer is not joined.
    pub min_frequency: u64,
    pub lowercase: bool,
    /// At most so many different characters; rarer ones become `[UNK]`.
    pub alphabet: usize,
}

impl Default for WordPieceConfig {
    fn default() -> Self {
        Self { vocab_size: 8_000, min_frequency: 2, lowercase: true, alphabet: 1_000 }
    }
}

/// In the order of their ids; `[PAD]` is 0.
const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

impl Tokenizer {
    /// Reads a `tokenizer.json`, or the one in a directory.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let path = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        Self::from_bytes(bytes).map_err(|error| Error::Tokenizer { problem: format!("{}: {error}", path.display()) })
    }

    /// Reads the text of a `tokenizer.json`. What it says of padding and truncation is not used: batches
    /// are packed, and the length is the model's.
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Result<Self> {
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(failed)?;
        inner.with_padding(None).with_truncation(None).map_err(failed)?;
        Ok(Self { inner })
    }

    /// Writes a `tokenizer.json`.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        files::write(path.as_ref(), self.inner.to_string(false).map_err(failed)?.as_bytes())
    }

    /// Trains a BERT tokenizer on texts: the same texts in the same order give the same vocabulary.
    pub fn train_wordpiece<S: AsRef<str> + Sync>(texts: &[S], config: &WordPieceConfig) -> Result<Self> {
        if config.vocab_size <= SPECIAL_TOKENS.len() {
            return Err(Error::Setting {
                field: "vocab_size",
                value: config.vocab_size.to_string(),
                expected: format!("more than the {} special tokens", SPECIAL_TOKENS.len()),
            });
        }
        let unknown = WordPiece::builder().unk_token("[UNK]".to_owned()).build().map_err(failed)?;
        let mut inner = tokenizers::Tokenizer::new(unknown);
        let normalizer = BertNormalizer::new(true, true, None, config.lowercase);
        inner.with_normalizer(Some(normalizer)).map_err(failed)?;
        inner.with_pre_tokenizer(Some(BertPreTokenizer));
        inner.with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::default()));
        let trainer = WordPieceTrainerBuilder::new()
            .vocab_size(config.vocab_size)
            .min_frequency(config.min_frequency)
            .limit_alphabet(config.alphabet)
            .show_progress(false)
            .special_tokens(SPECIAL_TOKENS.map(|token| AddedToken::from(token, true)).to_vec())
            .build();
        inner.train(&mut TrainerWrapper::from(trainer), texts.iter().map(AsRef::as_ref)).map_err(failed)?;
        let id = |token: &str| inner.token_to_id(token).unwrap_or_default();
        let (separator, start) = (("[SEP]".to_owned(), id("[SEP]")), ("[CLS]".to_owned(), id("[CLS]")));
        inner.with_post_processor(Some(BertProcessing::new(separator, start)));
        Ok(Self { inner })
    }

    /// The ids of each text, special tokens included, in parallel. A longer text is cut to `max_length`
    /// ids and keeps its closing special tokens.
    pub fn encode_batch<S: AsRef<str> + Sync>(&self, texts: &[S], max_length: usize) -> Result<Vec<Vec<u32>>> {
        let encode = |text: &S| Ok(cut(&self.inner.encode_fast(text.as_ref(), true).map_err(failed)?, max_length));
        texts.par_iter().map(encode).collect()
    }

    /// The text that ids stand for, without special tokens.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(failed)
    }

    /// The token of an id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The number of ids, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// The first `max_length` ids, the last of them the special tokens that close the text.
fn cut(encoding: &Encoding, max_length: usize) -> Vec<u32> {
    let ids = encoding.get_ids();
    if ids.len() <= max_length {
        return ids.to_vec();
    }
    let closing = encoding.get_special_tokens_mask().iter().rev().take_while(|special| **special == 1).count();
    let closing = closing.min(max_length);
    [&ids[..max_length - closing], &ids[ids.len() - closing..]].concat()
}

fn failed(error: tokenizers::Error) -> Error {
    Error::Tokenizer { problem: error.to_string() }
}
