//! The settings of a bi-encoder.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::loss::Similarity;
use crate::model::Pooling;
use crate::model::texts::Prompts;
use crate::nn::VectorModule;
use crate::text::{Encodings, Tokenizer};

/// How texts become vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BiEncoderConfig {
    pub pooling: Pooling,
    /// What is computed of a pooled vector, in this order. It belongs to the weights: a new model has those that are
    /// given, and [`BiEncoder::with_modules`](super::BiEncoder::with_modules) draws others.
    pub modules: Vec<VectorModule>,
    /// Scale every vector to length 1, after all modules.
    pub normalize: bool,
    /// The numbers of a vector that `encode` keeps, the first ones; `None` for all. Training sees all. As in
    /// sentence-transformers, what is kept is not scaled to length 1 again; cosines do not depend on it. It is saved with
    /// the model, where sentence-transformers reads it since version 6; older versions take an argument.
    pub truncate_dim: Option<usize>,
    /// Longer texts are cut to this many tokens, special ones included.
    pub max_length: usize,
    /// Put before every query and every document.
    pub query_prompt: String,
    pub doc_prompt: String,
    /// Further prompts by name, such as `clustering`, for
    /// [`BiEncoder::encode_with_prompt`](super::BiEncoder::encode_with_prompt).
    pub prompts: BTreeMap<String, String>,
    /// The name of the prompt put before texts of [`Role::Plain`]: `query`, `document` or one of `prompts`.
    pub default_prompt: Option<String>,
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
    /// 8-bit weights with one scale per output; 8-bit activations with scale and zero point per token, computed on
    /// the fly (dynamic quantisation). Attention stays f32, or bf16 where the processor multiplies it. Vectors differ
    /// a little: their cosine with those of f32 is above 0.99. The weights are quantised once per model.
    Int8,
}

impl Default for BiEncoderConfig {
    fn default() -> Self {
        Self {
            pooling: Pooling::Mean,
            modules: Vec::new(),
            normalize: true,
            truncate_dim: None,
            max_length: 256,
            query_prompt: String::new(),
            doc_prompt: String::new(),
            prompts: BTreeMap::new(),
            default_prompt: None,
            include_prompt: true,
            similarity: Similarity::Cosine,
            encode_tokens: 4_096,
            precision: Precision::F32,
        }
    }
}

/// What a text is to the model: it decides the prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    Query,
    Doc,
    /// The default prompt of the model, which most have not.
    #[default]
    Plain,
}

impl Role {
    /// What the texts of a column of a training set are: the first holds queries, all others documents.
    pub(in crate::model) fn of_column(column: usize) -> Self {
        if column == 0 { Self::Query } else { Self::Doc }
    }
}

/// The names under which directories keep the prompts of queries and documents.
pub(in crate::model) const QUERY: &str = "query";
pub(in crate::model) const DOC: &str = "document";

impl BiEncoderConfig {
    pub(in crate::model) fn named_prompts(&self) -> Prompts<'_> {
        let Self { query_prompt, doc_prompt, prompts, default_prompt, .. } = self;
        Prompts { query: query_prompt, doc: doc_prompt, others: prompts, default: default_prompt.as_deref() }
    }

    /// The token ids of each text after the prompt of its role, special tokens included.
    pub(in crate::model) fn encodings<S: AsRef<str> + Sync>(
        &self,
        tokenizer: &Tokenizer,
        texts: &[S],
        role: Role,
    ) -> Result<Encodings> {
        self.named_prompts().encode(tokenizer, texts, role, self.max_length)
    }

    /// What is put before a text.
    pub(super) fn prompt(&self, role: Role) -> &str {
        self.named_prompts().of(role)
    }
}
