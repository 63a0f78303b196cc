//! The settings of a static embedding.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::expect;
use crate::loss::Similarity;
use crate::model::Role;
use crate::model::texts::Prompts;
use crate::text::{Encodings, Tokenizer};

/// How texts become vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StaticEmbeddingConfig {
    /// Scale every vector to length 1.
    pub normalize: bool,
    /// Longer texts are cut to this many tokens; `None` for no limit. It is saved in `tokenizer.json`, where
    /// sentence-transformers and model2vec obey it.
    pub max_length: Option<usize>,
    /// Leave out tokens that stand for what is not in the vocabulary, as model2vec does; sentence-transformers counts
    /// them. A model that does is saved as a directory of model2vec.
    pub skip_unknown: bool,
    /// Put before every query and every document.
    pub query_prompt: String,
    pub doc_prompt: String,
    /// Further prompts by name, such as `clustering`.
    pub prompts: BTreeMap<String, String>,
    /// The name of the prompt put before texts of [`Role::Plain`](crate::model::Role::Plain): `query`, `document` or one
    /// of `prompts`.
    pub default_prompt: Option<String>,
    pub similarity: Similarity,
}

impl Default for StaticEmbeddingConfig {
    fn default() -> Self {
        Self {
            normalize: true,
            max_length: None,
            skip_unknown: false,
            query_prompt: String::new(),
            doc_prompt: String::new(),
            prompts: BTreeMap::new(),
            default_prompt: None,
            similarity: Similarity::Cosine,
        }
    }
}

impl StaticEmbeddingConfig {
    pub(in crate::model) fn named_prompts(&self) -> Prompts<'_> {
        let Self { query_prompt, doc_prompt, prompts, default_prompt, .. } = self;
        Prompts { query: query_prompt, doc: doc_prompt, others: prompts, default: default_prompt.as_deref() }
    }

    /// The token ids of each text after the prompt of its role, without special tokens and those that are left out.
    pub(super) fn encodings<S: AsRef<str> + Sync>(
        &self,
        tokenizer: &Tokenizer,
        left_out: Option<u32>,
        texts: &[S],
        role: Role,
    ) -> Result<Encodings> {
        let max_length = self.max_length.unwrap_or(usize::MAX);
        let text = self.named_prompts().before(texts, role);
        let mut encodings = tokenizer.encode_bare(texts.len(), text, max_length)?;
        if let Some(left_out) = left_out {
            encodings.ids.iter_mut().for_each(|ids| ids.retain(|id| *id != left_out));
        }
        Ok(encodings)
    }

    pub(super) fn check(&self) -> Result<()> {
        self.named_prompts().check()?;
        let length = self.max_length.unwrap_or(usize::MAX);
        expect("max_length", length, "at least 1, or none", length > 0)
    }
}
