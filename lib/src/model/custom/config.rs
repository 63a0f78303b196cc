//! The settings of a model with a custom head.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::loss::{Interaction, Similarity};
use crate::model::Role;
use crate::model::texts::Prompts;
use crate::text::{Encodings, Tokenizer};

/// How texts become what the head sees, and how its outputs are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomConfig {
    /// Longer texts are cut to this many tokens, special ones included.
    pub max_length: usize,
    /// Put before every query and every document.
    pub query_prompt: String,
    pub doc_prompt: String,
    /// How vectors of texts are compared.
    pub similarity: Similarity,
    /// How vectors of tokens are compared.
    pub interaction: Interaction,
    /// Tokens in one forward pass of `encode`.
    pub encode_tokens: usize,
}

impl Default for CustomConfig {
    fn default() -> Self {
        Self {
            max_length: 256,
            query_prompt: String::new(),
            doc_prompt: String::new(),
            similarity: Similarity::Cosine,
            interaction: Interaction::Sum,
            encode_tokens: 4_096,
        }
    }
}

/// Prompts of other names, of which there are none.
static OTHERS: BTreeMap<String, String> = BTreeMap::new();

impl CustomConfig {
    pub(super) fn named_prompts(&self) -> Prompts<'_> {
        Prompts { query: &self.query_prompt, doc: &self.doc_prompt, others: &OTHERS, default: None }
    }

    /// The token ids of each text after the prompt of its role, special tokens included.
    pub(super) fn encodings<S: AsRef<str> + Sync>(
        &self,
        tokenizer: &Tokenizer,
        texts: &[S],
        role: Role,
    ) -> Result<Encodings> {
        self.named_prompts().encode(tokenizer, texts, role, self.max_length)
    }
}
