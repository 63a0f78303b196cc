//! The settings of a SPLADE model.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::expect;
use crate::model::Role;
use crate::model::texts::Prompts;
use crate::nn::WordPooling;
use crate::text::{Encodings, Tokenizer};

/// How texts become sparse vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpladeConfig {
    /// How the scores of a word at all tokens become one weight.
    pub pooling: WordPooling,
    /// Take `log(1 + x)` of the weights once more: heads with large scores stay sparse (sentence-transformers'
    /// `log1p_relu`).
    pub log1p_twice: bool,
    /// Longer texts are cut to this many tokens, special ones included.
    pub max_length: usize,
    /// Put before every query and every document.
    pub query_prompt: String,
    pub doc_prompt: String,
    /// Further prompts by name.
    pub prompts: BTreeMap<String, String>,
    /// The name of the prompt put before texts of [`Role::Plain`](crate::model::Role::Plain): `query`, `document` or one
    /// of `prompts`.
    pub default_prompt: Option<String>,
    /// Where the weights of queries come from. It belongs to the weights: only
    /// [`Splade::with_query_weights`](super::Splade::with_query_weights) gives a model a table.
    pub query_weights: QueryWeights,
    /// Queries whose weights are looked up are cut to this many tokens; `None` for none.
    pub query_length: Option<usize>,
    /// The most words of a text that `encode` keeps, those with the largest weights; `None` for all. Training sees all. It
    /// is saved with the model, where sentence-transformers reads it since version 6; older versions take an argument.
    pub max_active_dims: Option<usize>,
    /// Tokens in one forward pass of `encode`.
    pub encode_tokens: usize,
}

/// Where the weights of the words of a query come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryWeights {
    /// From the encoder, as those of documents.
    #[default]
    Encoded,
    /// From a table that has one weight per word, such as its inverse document frequency, and that is trained: queries
    /// need no encoder ("inference-free", Geng et al. 2024; sentence-transformers' `SparseStaticEmbedding`).
    Trained,
    /// The same, but training does not change the table (`frozen` there).
    Fixed,
}

impl Default for SpladeConfig {
    fn default() -> Self {
        Self {
            pooling: WordPooling::Max,
            log1p_twice: false,
            max_length: 256,
            query_prompt: String::new(),
            doc_prompt: String::new(),
            prompts: BTreeMap::new(),
            default_prompt: None,
            query_weights: QueryWeights::Encoded,
            query_length: None,
            max_active_dims: None,
            encode_tokens: 4_096,
        }
    }
}

impl SpladeConfig {
    pub(in crate::model) fn named_prompts(&self) -> Prompts<'_> {
        let Self { query_prompt, doc_prompt, prompts, default_prompt, .. } = self;
        Prompts { query: query_prompt, doc: doc_prompt, others: prompts, default: default_prompt.as_deref() }
    }

    /// The token ids of each text; `looked_up` is the tokenizer of texts whose weights are looked up.
    pub(super) fn encodings<S: AsRef<str> + Sync>(
        &self,
        tokenizer: &Tokenizer,
        looked_up: Option<&Tokenizer>,
        texts: &[S],
        role: Role,
    ) -> Result<Encodings> {
        let prompts = self.named_prompts();
        let Some(looked_up) = looked_up else { return prompts.encode(tokenizer, texts, role, self.max_length) };
        let prompt = prompts.of(role);
        let prompted = |text: usize| Cow::Owned(format!("{prompt}{}", texts[text].as_ref()));
        looked_up.encode_bare(texts.len(), prompted, self.query_length.unwrap_or(usize::MAX))
    }

    pub(super) fn check(&self) -> Result<()> {
        self.named_prompts().check()?;
        let (encoded, length) = (self.query_weights == QueryWeights::Encoded, self.query_length);
        let expected = "None without a table of query weights: `max_length` counts for queries, too";
        expect("query_length", length.unwrap_or(0), expected, !(encoded && length.is_some()))?;
        expect("query_length", 0, "at least 1 token, or None for no limit", length != Some(0))?;
        expect("max_active_dims", 0, "at least 1 word, or None for all", self.max_active_dims != Some(0))
    }
}
