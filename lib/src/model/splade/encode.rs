//! Texts to sparse vectors.

use std::borrow::Cow;
use std::ops::Range;

use super::{SparseEmbeddings, SparseVectors, Splade};
use crate::data::{Corpus, Queries};
use crate::model::Role;
use crate::model::texts::{
    WINDOW, by_length, chunks_of_tokens, of_docs, of_queries, of_slice, report_truncated, shifted,
};
use crate::nn::{Activations, PackedBatch};
use crate::text::Encodings;
use crate::{Error, Result, interrupt, show};

impl Splade {
    /// One sparse vector per query, with progress.
    pub fn encode_queries(&self, queries: &Queries) -> Result<SparseEmbeddings> {
        SparseEmbeddings::new(
            queries.query_ids(),
            self.encode_windows(queries.len(), Role::Query, of_queries(queries))?,
        )
    }

    /// One sparse vector per document (of title and text), with progress.
    pub fn encode_docs(&self, corpus: &Corpus) -> Result<SparseEmbeddings> {
        SparseEmbeddings::new(corpus.doc_ids(), self.encode_windows(corpus.len(), Role::Doc, of_docs(corpus))?)
    }

    /// One sparse vector per text, in the order given; [`SparseVectors::to_dense`] makes `(n, vocab_size)` of them. No
    /// padding is computed, so a vector does not depend on its neighbours.
    ///
    /// # Errors
    /// For a vector that is NaN or infinite, as those of a diverged model are.
    pub fn encode<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<SparseVectors> {
        self.encode_windows(texts.len(), role, of_slice(texts))
    }

    /// The same for texts that are neither queries nor documents, [`Role::Plain`].
    ///
    /// ```no_run
    /// use kensaku::model::Splade;
    ///
    /// let model = Splade::load("splade-cocondenser")?;
    /// let vectors = model.encode_texts(&["a red house", "a green tree"])?;
    /// println!("{vectors:?}\n{:?}", model.decode(&vectors, 5));
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn encode_texts<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Result<SparseVectors> {
        self.encode(texts, Role::default())
    }

    /// The `top_k` heaviest words of each text, the heaviest first, with their weights.
    pub fn decode(&self, vectors: &SparseVectors, top_k: usize) -> Vec<Vec<(String, f32)>> {
        let words = |text: usize| {
            let (words, weights) = vectors.row(text);
            let mut all: Vec<(u32, f32)> = words.iter().copied().zip(weights.iter().copied()).collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            all.truncate(top_k);
            // A table of embeddings may have more rows than the tokenizer has words.
            let word = |id: u32| self.tokenizer.token(id).unwrap_or_else(|| format!("[{id}]"));
            all.into_iter().map(|(id, weight)| (word(id), weight)).collect()
        };
        (0..vectors.len()).map(words).collect()
    }

    /// The token ids of each text after the prompt of its role, special tokens included.
    pub fn tokenize<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<Vec<Vec<u32>>> {
        Ok(self.encodings(texts, role)?.ids)
    }

    /// The same with the number of texts that were longer than `max_length` and lost their end. Queries whose weights are
    /// looked up have no special tokens, and are cut to `query_length`.
    pub fn encodings<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<Encodings> {
        let looked_up = self.table_of(role).map(|queries| &queries.tokenizer);
        self.config.encodings(&self.tokenizer, looked_up, texts, role)
    }

    /// Encodes texts that are made by rows, a window at a time: neither they nor their tokens fill memory.
    fn encode_windows<'a>(
        &self,
        count: usize,
        role: Role,
        texts: impl Fn(Range<usize>) -> Vec<Cow<'a, str>>,
    ) -> Result<SparseVectors> {
        let mut vectors = SparseVectors::empty(self.dim());
        let mut activations = Activations::inference();
        let bar = show::progress("encode", Some(count));
        let mut truncated = 0;
        for first in (0..count).step_by(WINDOW) {
            let encodings = self.encodings(&texts(first..count.min(first + WINDOW)), role)?;
            truncated += encodings.truncated;
            let window = match self.table_of(role) {
                Some(queries) => self.look_up(queries, &encodings.ids),
                None => self.encode_tokens(&encodings.ids, &mut activations, |texts| bar.inc(texts)),
            };
            let window = window.map_err(|error| shifted(error, first))?;
            vectors.extend(&window);
        }
        let limit = match (self.table_of(role), self.config.query_length) {
            (Some(_), Some(most)) => ("query_length", most),
            _ => ("max_length", self.config.max_length),
        };
        report_truncated(&self.told, truncated, (count, "texts"), limit);
        Ok(vectors)
    }

    fn encode_tokens(
        &self,
        tokens: &[Vec<u32>],
        activations: &mut Activations,
        done: impl Fn(usize),
    ) -> Result<SparseVectors> {
        let order = by_length(tokens);
        let mut vectors = SparseVectors::empty(self.dim());
        for chunk in chunks_of_tokens(&order, tokens, self.config.encode_tokens) {
            interrupt::check("encoding")?;
            let batch = PackedBatch::new(chunk.iter().map(|index| &tokens[*index]));
            let (weights, _) = self.head.forward_words(self.config.pooling, self.saturation(), &batch, activations)?;
            for dense in weights.chunks_exact(self.dim()) {
                vectors.push(dense, self.config.max_active_dims).map_err(|error| match error {
                    Error::VectorNotFinite { text, value } => Error::VectorNotFinite { text: order[text], value },
                    other => other,
                })?;
            }
            done(chunk.len());
        }
        Ok(vectors.ordered(&order))
    }
}
