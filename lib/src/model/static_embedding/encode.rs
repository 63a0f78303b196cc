//! Texts to vectors.

use std::borrow::Cow;
use std::ops::Range;

use candle_core::{Device, Tensor};

use super::StaticEmbedding;
use crate::data::{Corpus, Queries};
use crate::model::texts::{WINDOW, of_docs, of_queries, of_slice, report_truncated};
use crate::model::{Embeddings, Role};
use crate::nn::PackedBatch;
use crate::text::Encodings;
use crate::{Error, Result, interrupt, show};

impl StaticEmbedding {
    /// One vector per query, with progress.
    pub fn encode_queries(&self, queries: &Queries) -> Result<Embeddings> {
        Embeddings::new(queries.query_ids(), self.encode_windows(queries.len(), Role::Query, of_queries(queries))?)
    }

    /// One vector per document (of title and text), with progress.
    pub fn encode_docs(&self, corpus: &Corpus) -> Result<Embeddings> {
        Embeddings::new(corpus.doc_ids(), self.encode_windows(corpus.len(), Role::Doc, of_docs(corpus))?)
    }

    /// One vector per text `(n, dim)`, in the order given.
    ///
    /// # Errors
    /// For a vector that is NaN or infinite, as those of a diverged model are.
    pub fn encode<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<Tensor> {
        self.encode_windows(texts.len(), role, of_slice(texts))
    }

    /// The same for texts that are neither queries nor documents, [`Role::Plain`].
    pub fn encode_texts<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Result<Tensor> {
        self.encode(texts, Role::default())
    }

    /// The token ids of each text after the prompt of its role, without special tokens.
    pub fn tokenize<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<Vec<Vec<u32>>> {
        Ok(self.encodings(texts, role)?.ids)
    }

    /// The same with the number of texts that were longer than `max_length` and lost their end.
    pub fn encodings<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<Encodings> {
        self.config.encodings(&self.tokenizer, self.unknown, texts, role)
    }

    /// Encodes texts that are made by rows, a window at a time: neither they nor their tokens fill memory.
    fn encode_windows<'a>(
        &self,
        count: usize,
        role: Role,
        texts: impl Fn(Range<usize>) -> Vec<Cow<'a, str>>,
    ) -> Result<Tensor> {
        let width = self.dim();
        let mut vectors = vec![0.0; count * width];
        let bar = show::progress("encode", Some(count));
        let mut truncated = 0;
        for (window, vectors) in vectors.chunks_mut(WINDOW * width).enumerate() {
            interrupt::check("encoding")?;
            let first = window * WINDOW;
            let encodings = self.encodings(&texts(first..first + vectors.len() / width), role)?;
            truncated += encodings.truncated;
            self.vectors(&PackedBatch::new(encodings.ids), vectors)?;
            if let Some(place) = vectors.iter().position(|value| !value.is_finite()) {
                return Err(Error::VectorNotFinite { text: first + place / width, value: vectors[place] });
            }
            bar.inc(vectors.len() / width);
        }
        let limit = ("max_length", self.config.max_length.unwrap_or(usize::MAX));
        report_truncated(&self.told, truncated, (count, "texts"), limit);
        Ok(Tensor::from_vec(vectors, (count, width), &Device::Cpu)?)
    }
}
