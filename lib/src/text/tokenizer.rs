//! The tokenizer of a model: `tokenizer.json` as Hugging Face's `tokenizers` reads it.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rayon::prelude::*;
use tokenizers::normalizers::{BertNormalizer, Lowercase, Sequence};
use tokenizers::{AddedToken, Encoding, ModelWrapper, NormalizerWrapper, Token, TruncationDirection, TruncationParams};

use super::spaced::Words;
use super::tokenizer_file::{self, guarded};
use super::wordpiece::{self, WordPieceConfig};
use crate::{Error, Result, files, folder, interrupt};

/// Turns texts into token ids and back. A clone shares the vocabulary.
///
/// Padding and truncation settings of `tokenizer.json` are not used: batches are packed, and the
/// maximum length belongs to the model. The ids do not depend on the number of threads, nor on the
/// environment variable `TOKENIZERS_PARALLELISM`.
#[derive(Clone)]
pub struct Tokenizer {
    pub(super) inner: Arc<tokenizers::Tokenizer>,
    vocab_size: usize,
    /// Of its words, if it looks at them one by one.
    pub(super) words: Arc<Mutex<Words>>,
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
    /// Reads `tokenizer.json`: the file itself, or that of a model directory.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let path = if path.is_dir() { folder::file(path, "tokenizer.json")? } else { path.to_owned() };
        let bytes = folder::read(&path)?;
        Self::from_bytes(bytes).map_err(|error| Error::Model {
            path,
            problem: error.to_string(),
            expected: "a tokenizer.json of Hugging Face's tokenizers".to_owned(),
        })
    }

    /// From the content of a `tokenizer.json`.
    ///
    /// # Errors
    /// For what `tokenizers` does not read, and for settings under which ids are not a function of the text
    /// (`dropout`), or take memory out of proportion.
    pub fn from_bytes(json: impl AsRef<[u8]>) -> Result<Self> {
        Self::new(tokenizer_file::parse(json.as_ref())?)
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
        Self::new(guarded(|| wordpiece::train(texts, config))?)
    }

    /// The same as [`encode`](Self::encode), the ids only.
    pub fn encode_batch<S: AsRef<str> + Sync>(&self, texts: &[S], max_length: usize) -> Result<Vec<Vec<u32>>> {
        Ok(self.encode(texts, max_length)?.ids)
    }

    /// Encodes texts in parallel, each with its special tokens and without padding. A longer text
    /// loses its end, but not its closing special token: `max_length` counts special tokens.
    pub fn encode<S: AsRef<str> + Sync>(&self, texts: &[S], max_length: usize) -> Result<Encodings> {
        self.encode_each(texts.len(), |index| Cow::Borrowed(texts[index].as_ref()), max_length)
    }

    /// Encodes `count` texts that are made one by one.
    pub(crate) fn encode_each<'a>(
        &self,
        count: usize,
        text: impl Fn(usize) -> Cow<'a, str> + Sync,
        max_length: usize,
    ) -> Result<Encodings> {
        let special = self.special_tokens();
        if max_length <= special {
            return Err(Error::Setting {
                field: "max_length",
                value: max_length.to_string(),
                expected: format!("more than the {special} special tokens around each text"),
            });
        }
        if self.is_spaced()
            && let Ok([before, after]) = self.around()
        {
            return self.encode_spaced(count, text, [&before, &after], max_length - special);
        }
        let encode = |index| self.encode_one(&text(index), max_length - special);
        let encoded: Vec<(Vec<u32>, bool)> = (0..count).into_par_iter().map(encode).collect::<Result<_>>()?;
        let truncated = encoded.iter().filter(|(_, truncated)| *truncated).count();
        Ok(Encodings { ids: encoded.into_iter().map(|(ids, _)| ids).collect(), truncated })
    }

    /// Encodes `count` texts that are made one by one, without special tokens.
    pub(crate) fn encode_bare<'a>(
        &self,
        count: usize,
        text: impl Fn(usize) -> Cow<'a, str> + Sync,
        max_length: usize,
    ) -> Result<Encodings> {
        if self.is_spaced() {
            return self.encode_spaced(count, text, [&[], &[]], max_length);
        }
        let encode = |index| {
            interrupt::check("tokenizing")?;
            let content = guarded(|| self.encode_start(&text(index), max_length))?;
            let ids = content.get_ids();
            Ok((ids[..ids.len().min(max_length)].to_vec(), ids.len() > max_length))
        };
        let encoded: Vec<(Vec<u32>, bool)> = (0..count).into_par_iter().map(encode).collect::<Result<_>>()?;
        let truncated = encoded.iter().filter(|(_, truncated)| *truncated).count();
        Ok(Encodings { ids: encoded.into_iter().map(|(ids, _)| ids).collect(), truncated })
    }

    /// The tokens of a text without special tokens, and without those for what is not in the vocabulary.
    pub(crate) fn pieces(&self, text: &str) -> Result<Vec<String>> {
        let unknown = self.unknown_id();
        let content = guarded(|| self.encode_start(text, usize::MAX))?;
        let known = content.get_ids().iter().filter(|id| Some(**id) != unknown && !self.is_special(**id));
        Ok(known.filter_map(|id| self.token(*id)).collect())
    }

    /// The text of token ids, without special tokens.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        guarded(|| self.inner.decode(ids, true).map_err(problem))
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// How many rows a table of embeddings needs: one more than the highest id. A vocabulary with holes has fewer
    /// tokens.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
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
        guarded(|| self.inner.to_string(true).map_err(problem))
    }

    /// The same tokenizer for another thread: it remembers words of its own, so that neither waits for the other.
    pub(crate) fn apart(&self) -> Self {
        Self { words: Arc::default(), ..self.clone() }
    }

    /// Whether an id is that of a special token, such as `[SEP]`.
    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.inner.get_added_tokens_decoder().get(&id).is_some_and(|token| token.special)
    }

    /// The ids of what is put before and after a text.
    pub(crate) fn around(&self) -> Result<[Vec<u32>; 2]> {
        let ends = guarded(|| {
            let text = Encoding::from_tokens(vec![Token::new(0, "a".to_owned(), (0, 1))], 0);
            let whole = self.inner.post_process(text, None, true).map_err(problem)?;
            let text = whole.get_special_tokens_mask().iter().position(|special| *special == 0);
            Ok(text.map(|text| [whole.get_ids()[..text].to_vec(), whole.get_ids()[text + 1..].to_vec()]))
        })?;
        ends.ok_or_else(|| Error::Tokenizer { problem: "it puts special tokens in the place of a text".to_owned() })
    }

    /// The id that stands for what is not in the vocabulary, where its model has a token for that.
    pub(crate) fn unknown_id(&self) -> Option<u32> {
        let token = match self.inner.get_model() {
            ModelWrapper::BPE(model) => model.unk_token.as_deref(),
            ModelWrapper::WordPiece(model) => Some(model.unk_token.as_str()),
            ModelWrapper::WordLevel(model) => Some(model.unk_token.as_str()),
            ModelWrapper::Unigram(_) => None,
        };
        self.id(token?)
    }

    /// The content of a `tokenizer.json` that cuts texts to a length by itself.
    pub(crate) fn to_json_with(&self, max_length: Option<usize>) -> Result<String> {
        let Some(max_length) = max_length else { return self.to_json() };
        let mut inner = (*self.inner).clone();
        let cut = TruncationParams { max_length, ..Default::default() };
        guarded(|| {
            inner.with_truncation(Some(cut)).map_err(problem)?;
            inner.to_string(true).map_err(problem)
        })
    }

    /// How texts are normalised, if that is done as BERT does it.
    pub(crate) fn bert_normalizer(&self) -> Option<&BertNormalizer> {
        match self.inner.get_normalizer()? {
            NormalizerWrapper::BertNormalizer(bert) => Some(bert),
            _ => None,
        }
    }

    /// The same tokenizer with these tokens, of which it gets those that it does not have, after all others.
    pub(crate) fn with_tokens<'a>(self, tokens: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let new: Vec<AddedToken> = (tokens.into_iter().filter(|token| self.id(token).is_none()))
            .map(|token| AddedToken::from(token.to_owned(), false))
            .collect();
        if new.is_empty() {
            return Ok(self);
        }
        let mut inner = Arc::unwrap_or_clone(self.inner);
        guarded(|| inner.add_tokens(new).map_err(problem))?;
        Self::new(inner)
    }

    /// The same tokenizer for lower-cased texts.
    pub(crate) fn lowercased(self) -> Result<Self> {
        let normalizer = self.inner.get_normalizer();
        if normalizer.is_some_and(lowercases) {
            return Ok(self);
        }
        let steps = std::iter::once(NormalizerWrapper::from(Lowercase)).chain(normalizer.cloned()).collect();
        let mut inner = Arc::unwrap_or_clone(self.inner);
        inner.with_normalizer(Some(Sequence::new(steps))).map_err(problem)?;
        Self::new(inner)
    }

    fn new(mut inner: tokenizers::Tokenizer) -> Result<Self> {
        inner.with_padding(None);
        inner.with_truncation(None).map_err(problem)?;
        let highest = inner.get_vocab(true).into_values().max();
        let vocab_size = highest.map_or(0, |id| id as usize + 1);
        Ok(Self { inner: Arc::new(inner), vocab_size, words: Arc::default() })
    }

    /// Truncates before the special tokens are put around, as `tokenizers` does it, but without
    /// its state, so that the maximum length is an argument.
    pub(super) fn encode_one(&self, text: &str, max_content: usize) -> Result<(Vec<u32>, bool)> {
        interrupt::check("tokenizing")?;
        guarded(|| {
            let mut content = self.encode_start(text, max_content)?;
            let truncated = content.len() > max_content;
            content.truncate(max_content, 0, TruncationDirection::Right);
            // What was cut off is kept as further encodings, which would be wrapped as well.
            content.take_overflowing();
            let whole = self.inner.post_process(content, None, true).map_err(problem)?;
            Ok((whole.get_ids().to_vec(), truncated))
        })
    }

    /// Encodes as much of a text as gives more than `tokens` tokens, or all of it. A long text is not read to its end
    /// only to be cut.
    pub(super) fn encode_start(&self, text: &str, tokens: usize) -> Result<Encoding> {
        // Without a pre-tokenizer the whole text is one word, whose tokens may depend on its end.
        let mut bytes = match self.inner.get_pre_tokenizer() {
            Some(_) => tokens.saturating_mul(BYTES_PER_TOKEN).max(SHORT_TEXT),
            None => text.len(),
        };
        while bytes < text.len() {
            // Not `encode_fast`, which does not return word indices.
            let start = self.inner.encode(&text[..text.floor_char_boundary(bytes)], false).map_err(problem)?;
            // The cut may have gone through the last words.
            let words = start.get_word_ids();
            let open = words.last().copied().flatten().map_or(0, |last| last.saturating_sub(OPEN_WORDS));
            if words.iter().filter(|word| word.is_some_and(|word| word < open)).count() > tokens {
                return Ok(start);
            }
            bytes = bytes.saturating_mul(4);
        }
        self.inner.encode_fast(text, false).map_err(problem)
    }
}

/// What is read of a text at first, by the tokens that are wanted: more than most texts have for them.
pub(super) const BYTES_PER_TOKEN: usize = 16;
pub(super) const SHORT_TEXT: usize = 4_096;
/// Words before a cut that it may have changed.
const OPEN_WORDS: u32 = 2;

fn lowercases(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::Lowercase(_) => true,
        NormalizerWrapper::BertNormalizer(bert) => bert.lowercase,
        NormalizerWrapper::Sequence(steps) => steps.as_ref().iter().any(lowercases),
        _ => false,
    }
}

/// Two tokenizers are the same if they are written as the same `tokenizer.json`.
impl PartialEq for Tokenizer {
    fn eq(&self, other: &Self) -> bool {
        let json = |tokenizer: &Self| tokenizer.to_json().ok();
        Arc::ptr_eq(&self.inner, &other.inner) || json(self).is_some_and(|own| Some(own) == json(other))
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
