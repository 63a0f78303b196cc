//! The settings of a late-interaction model.

use serde::{Deserialize, Serialize};

use super::TokenPooling;
use crate::loss::Interaction;

/// How texts become vectors of their tokens. The defaults are PyLate's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ColBertConfig {
    /// Numbers per token. It belongs to the weights: only a new model has another one.
    pub dim: usize,
    /// Queries are cut to this many tokens, special ones and the marker included, and filled up to it if
    /// `expand_queries`.
    pub query_length: usize,
    /// Documents are cut to this many tokens.
    pub doc_length: usize,
    /// The token inserted after `[CLS]` of every query and of every document; empty for none. It is added to the tokenizer
    /// of a new model.
    pub query_marker: String,
    pub doc_marker: String,
    /// Fill up queries with `[MASK]`, whose vectors take part in the score (query augmentation).
    pub expand_queries: bool,
    /// Whether the tokens of a query see these masks. They see the query in any case.
    pub attend_to_expansion: bool,
    /// Tokens of documents that get no vector. As in PyLate, a word that is not in the vocabulary means `[UNK]`.
    pub skip_words: Vec<String>,
    pub interaction: Interaction,
    /// Fewer vectors of each document that is encoded; training sees all. It is saved with the model, but PyLate and
    /// sentence-transformers take it as an argument of `encode`.
    pub token_pooling: TokenPooling,
    /// Tokens in one forward pass of `encode`.
    pub encode_tokens: usize,
}

impl Default for ColBertConfig {
    fn default() -> Self {
        Self {
            dim: 128,
            query_length: 32,
            doc_length: 180,
            query_marker: "[Q] ".to_owned(),
            doc_marker: "[D] ".to_owned(),
            expand_queries: true,
            attend_to_expansion: false,
            // Python's `string.punctuation`.
            skip_words: (b'!'..=b'~').map(char::from).filter(char::is_ascii_punctuation).map(String::from).collect(),
            interaction: Interaction::Sum,
            token_pooling: TokenPooling::default(),
            encode_tokens: 4_096,
        }
    }
}
