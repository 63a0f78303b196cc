//! Texts to token ids: markers, masks, and the tokens that have no vector.

use std::borrow::Cow;
use std::collections::HashSet;

use super::ColBertConfig;
use super::passes::is_query;
use crate::model::Tokens;
use crate::nn::PackedBatch;
use crate::text::Tokenizer;
use crate::{Error, Result};

/// The ids that the settings name.
#[derive(Debug, Clone, Default)]
pub(super) struct Ids {
    query_marker: Option<u32>,
    doc_marker: Option<u32>,
    mask: Option<u32>,
    skipped: HashSet<u32>,
}

/// The token ids of texts.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    pub(super) ids: Vec<Vec<u32>>,
    /// How many of each are attended to; empty for all.
    attended: Vec<usize>,
    pub(super) truncated: usize,
}

impl Ids {
    /// An error for settings that the tokenizer has no tokens for, or of which no room is left for a text.
    pub(super) fn new(config: &ColBertConfig, tokenizer: &Tokenizer, longest: usize) -> Result<Self> {
        let marker = |field: &'static str, marker: &str| match tokenizer.id(marker) {
            _ if marker.is_empty() => Ok(None),
            Some(id) => Ok(Some(id)),
            None => {
                let expected = "a token of the tokenizer, or nothing".to_owned();
                Err(Error::Setting { field, value: format!("{marker:?}"), expected })
            }
        };
        let query_marker = marker("query_marker", &config.query_marker)?;
        let doc_marker = marker("doc_marker", &config.doc_marker)?;
        for (field, length, marker) in
            [("query_length", config.query_length, query_marker), ("doc_length", config.doc_length, doc_marker)]
        {
            let taken = tokenizer.special_tokens() + usize::from(marker.is_some());
            if length <= taken || length > longest {
                return Err(Error::Setting {
                    field,
                    value: length.to_string(),
                    expected: format!("{} to {longest}: special tokens, a token, the longest input", taken + 1),
                });
            }
        }
        let mask = ["[MASK]", "<mask>"].into_iter().find_map(|token| tokenizer.id(token));
        if config.expand_queries && mask.is_none() {
            let expected = "false, as the tokenizer has neither `[MASK]` nor `<mask>`".to_owned();
            return Err(Error::Setting { field: "expand_queries", value: "true".to_owned(), expected });
        }
        let unknown = ["[UNK]", "<unk>"].into_iter().find_map(|token| tokenizer.id(token));
        let skipped = config.skip_words.iter().filter_map(|word| tokenizer.id(word).or(unknown)).collect();
        let mask = mask.filter(|_| config.expand_queries);
        Ok(Self { query_marker, doc_marker, mask, skipped })
    }

    /// Token ids of queries or documents.
    pub(super) fn encode<S: AsRef<str> + Sync>(
        &self,
        texts: &[S],
        query: bool,
        config: &ColBertConfig,
        tokenizer: &Tokenizer,
    ) -> Result<Sequences> {
        let (marker, length) =
            if query { (self.query_marker, config.query_length) } else { (self.doc_marker, config.doc_length) };
        let text = |index: usize| Cow::Borrowed(texts[index].as_ref());
        let encodings = tokenizer.encode_each(texts.len(), text, length - usize::from(marker.is_some()))?;
        let mut sequences = Sequences { ids: encodings.ids, truncated: encodings.truncated, ..Sequences::default() };
        for ids in &mut sequences.ids {
            if let Some(marker) = marker {
                ids.insert(ids.len().min(1), marker);
            }
        }
        if let Some(mask) = self.mask.filter(|_| query) {
            if !config.attend_to_expansion {
                sequences.attended = sequences.ids.iter().map(Vec::len).collect();
            }
            sequences.ids.iter_mut().for_each(|ids| ids.resize(length, mask));
        }
        Ok(sequences)
    }

    /// The sequences of columns of texts: the first holds queries, all others documents.
    pub(super) fn columns(
        &self,
        columns: &[Vec<&str>],
        config: &ColBertConfig,
        tokenizer: &Tokenizer,
    ) -> Result<Tokens> {
        let mut tokens = Tokens::default();
        for (column, texts) in columns.iter().enumerate() {
            let sequences = self.encode(texts, is_query(column), config, tokenizer)?;
            tokens.truncated += sequences.truncated;
            tokens.columns.push(sequences.batch(0..texts.len()));
        }
        Ok(tokens)
    }

    /// The tokens of a batch that have vectors, and where those of each sequence begin, with the end of the last.
    /// `queries` tells which sequences are queries: these keep all tokens.
    pub(super) fn kept(&self, batch: &PackedBatch, queries: impl Fn(usize) -> bool) -> (Vec<usize>, Vec<usize>) {
        let (mut tokens, mut bounds) = (Vec::with_capacity(batch.tokens()), vec![0]);
        for (sequence, range) in batch.ranges().enumerate() {
            let all = queries(sequence) || self.skipped.is_empty();
            tokens.extend(range.filter(|token| all || !self.skipped.contains(&batch.ids[*token])));
            bounds.push(tokens.len());
        }
        (tokens, bounds)
    }
}

impl Sequences {
    /// Some of them as a batch.
    pub(super) fn batch(&self, texts: impl Iterator<Item = usize> + Clone) -> PackedBatch {
        let mut batch = PackedBatch::new(texts.clone().map(|text| &self.ids[text]));
        if !self.attended.is_empty() {
            batch.attended = texts.map(|text| self.attended[text]).collect();
        }
        batch
    }
}
