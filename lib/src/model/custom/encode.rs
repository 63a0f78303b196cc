//! Texts to what the head makes of them.

use std::borrow::Cow;
use std::ops::Range;

use super::CustomModel;
use crate::data::{Corpus, Queries};
use crate::model::texts::{by_length, chunks_of_tokens, of_docs, of_queries, of_slice, report_truncated};
use crate::model::{Role, TokenEmbeddings};
use crate::nn::{Activations, PackedBatch, Read};
use crate::text::Encodings;
use crate::{Error, Result, interrupt};

impl CustomModel {
    /// What the head makes of each query, with progress: one row each, or one per token.
    pub fn encode_queries(&self, queries: &Queries) -> Result<TokenEmbeddings> {
        self.encode_windows(queries.query_ids(), Role::Query, of_queries(queries))
    }

    /// The same of each document (of title and text).
    pub fn encode_docs(&self, corpus: &Corpus) -> Result<TokenEmbeddings> {
        self.encode_windows(corpus.doc_ids(), Role::Doc, of_docs(corpus))
    }

    /// The same of each text, in the order given; ids are their numbers. Of a head with one vector per text,
    /// `vectors` is `(n, dim)`.
    ///
    /// # Errors
    /// For a vector that is NaN or infinite, as those of a diverged model are.
    pub fn encode<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<TokenEmbeddings> {
        self.encode_windows((0..texts.len()).map(|text| text.to_string()).collect(), role, of_slice(texts))
    }

    /// The same for texts that are neither queries nor documents, [`Role::Plain`].
    pub fn encode_texts<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Result<TokenEmbeddings> {
        self.encode(texts, Role::default())
    }

    pub(super) fn encodings<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<Encodings> {
        self.config.encodings(&self.tokenizer, texts, role)
    }

    fn encode_windows<'a>(
        &self,
        ids: Vec<String>,
        role: Role,
        texts: impl Fn(Range<usize>) -> Vec<Cow<'a, str>>,
    ) -> Result<TokenEmbeddings> {
        let (count, mut activations) = (ids.len(), Activations::inference());
        let (embeddings, truncated) = TokenEmbeddings::by_windows(ids, self.dim(), texts, |texts, first, done| {
            let encodings = self.encodings(texts, role)?;
            Ok((self.encode_ids(&encodings.ids, &mut activations, first, done)?, encodings.truncated))
        })?;
        report_truncated(&self.told, truncated, (count, "texts"), ("max_length", self.config.max_length));
        Ok(embeddings)
    }

    /// The rows of each text of a window, which starts with text `window`.
    fn encode_ids(
        &self,
        ids: &[Vec<u32>],
        activations: &mut Activations,
        window: usize,
        done: impl Fn(usize),
    ) -> Result<Vec<Vec<f32>>> {
        let (order, parameters) = (by_length(ids), self.head_parameters()?);
        let mut all = vec![Vec::new(); ids.len()];
        for chunk in chunks_of_tokens(&order, ids, self.config.encode_tokens) {
            interrupt::check("encoding")?;
            let batch = PackedBatch::new(chunk.iter().map(|index| &ids[*index]));
            self.encoder.forward_for(Read::All, &batch, activations, None)?;
            let states = self.states(&batch, activations)?;
            let outputs = self.head_outputs(&states, &batch.bounds, &parameters)?;
            let rows = outputs.flatten_all()?.to_vec1::<f32>()?;
            for (place, text) in chunk.iter().enumerate() {
                let own = if self.shape.1 { batch.bounds[place]..batch.bounds[place + 1] } else { place..place + 1 };
                let own = &rows[own.start * self.dim()..own.end * self.dim()];
                if let Some(value) = own.iter().find(|value| !value.is_finite()) {
                    return Err(Error::VectorNotFinite { text: window + text, value: *value });
                }
                all[*text] = own.to_vec();
            }
            done(chunk.len());
        }
        Ok(all)
    }
}
