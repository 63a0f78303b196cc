//! Texts to vectors, each by the tower of its role.

use candle_core::Tensor;

use super::TwoTowers;
use crate::Result;
use crate::data::{Corpus, Queries};
use crate::model::{Embeddings, Role};
use crate::text::Encodings;

impl TwoTowers {
    /// One vector per query, by the queries' tower, with progress.
    pub fn encode_queries(&self, queries: &Queries) -> Result<Embeddings> {
        self.tower(Role::Query).encode_queries(queries)
    }

    /// One vector per document (of title and text), by the documents' tower, with progress.
    pub fn encode_docs(&self, corpus: &Corpus) -> Result<Embeddings> {
        self.tower(Role::Doc).encode_docs(corpus)
    }

    /// One vector per text `(n, dim)`, in the order given, by the tower of the role; plain texts go through that of documents.
    ///
    /// # Errors
    /// For a vector that is NaN or infinite, as those of a diverged model are.
    pub fn encode<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<Tensor> {
        self.tower(role).encode(texts, role)
    }

    /// The same for texts that are neither queries nor documents, [`Role::Plain`].
    pub fn encode_texts<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Result<Tensor> {
        self.encode(texts, Role::default())
    }

    /// The same after the prompt of this name, as a plain text.
    pub fn encode_with_prompt<S: AsRef<str> + Sync>(&self, texts: &[S], name: &str) -> Result<Tensor> {
        self.tower(Role::Plain).encode_after(texts, self.doc.config().named_prompts().named(name)?)
    }

    /// The token ids of each text after the prompt of its role, special tokens included, by the tokenizer of its tower.
    pub fn tokenize<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<Vec<Vec<u32>>> {
        Ok(self.encodings(texts, role)?.ids)
    }

    /// The same with the number of texts that were longer than `max_length` and lost their end.
    pub fn encodings<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<Encodings> {
        self.model(role).encodings(texts, role)
    }
}
