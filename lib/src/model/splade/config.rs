//! The settings of a SPLADE model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::expect;
use crate::model::texts::Prompts;
use crate::nn::WordPooling;

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
    /// The most words of a text that `encode` keeps, those with the largest weights; `None` for all. Training sees all. It
    /// is saved with the model, where sentence-transformers reads it since version 6; older versions take an argument.
    pub max_active_dims: Option<usize>,
    /// Tokens in one forward pass of `encode`.
    pub encode_tokens: usize,
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

    pub(super) fn check(&self) -> Result<()> {
        self.named_prompts().check()?;
        expect("max_active_dims", 0, "at least 1 word, or None for all", self.max_active_dims != Some(0))
    }
}
