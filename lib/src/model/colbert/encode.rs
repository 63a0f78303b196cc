//! Texts to vectors of their tokens.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::tokens::Sequences;
use super::{ColBert, ColBertConfig, Rows};
use crate::data::{Corpus, Queries};
use crate::model::ranked::{Ranked, ranked};
use crate::model::texts::{by_length, chunks_of_tokens, of_docs, of_queries, of_slice, report_truncated};
use crate::model::{Role, TokenEmbeddings};
use crate::nn::{Activations, PackedBatch, Read, normalize_rows};
use crate::{Error, Result, interrupt};

impl ColBert {
    /// The vectors of each query, with progress.
    pub fn encode_queries(&self, queries: &Queries) -> Result<TokenEmbeddings> {
        self.encode_windows(queries.query_ids(), true, of_queries(queries))
    }

    /// The vectors of each document (of title and text), with progress.
    pub fn encode_docs(&self, corpus: &Corpus) -> Result<TokenEmbeddings> {
        self.encode_windows(corpus.doc_ids(), false, of_docs(corpus))
    }

    /// The vectors of each text, in the order given; ids are their numbers. A text is a query or a document: without a
    /// marker of either, [`Role::Plain`] is nothing to a model of late interaction.
    ///
    /// # Errors
    /// For a vector that is NaN or infinite, as those of a diverged model are.
    ///
    /// ```no_run
    /// use kensaku::model::{ColBert, Role};
    ///
    /// let model = ColBert::load("GTE-ModernColBERT-v1")?;
    /// let queries = model.encode(&["how is a frame filtered?"], Role::Query)?;
    /// let docs = model.encode(&["filter keeps rows", "join adds columns"], Role::Doc)?;
    /// println!("{}", model.similarity(&queries, &docs)?);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn encode<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<TokenEmbeddings> {
        let query = is_query(role)?;
        self.encode_windows((0..texts.len()).map(|text| text.to_string()).collect(), query, of_slice(texts))
    }

    /// The token ids of each text: special tokens, marker and masks included.
    pub fn tokenize<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<Vec<Vec<u32>>> {
        Ok(self.sequences(texts, is_query(role)?)?.ids)
    }

    /// Documents by their score with a query, best first: the number of each in `docs`, and its score. Of equal scores,
    /// the document that comes first in `docs` stays first.
    ///
    /// ```no_run
    /// use kensaku::model::ColBert;
    ///
    /// let model = ColBert::load("GTE-ModernColBERT-v1")?;
    /// let docs = ["join adds columns", "filter keeps rows"];
    /// let best = model.rank("how is a frame filtered?", &docs)?[0];
    /// println!("{:.2}  {}", best.score, docs[best.index]);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn rank<S: AsRef<str> + Sync>(&self, query: &str, docs: &[S]) -> Result<Vec<Ranked>> {
        if docs.is_empty() {
            return Ok(Vec::new());
        }
        let scores = self.similarity(&self.encode(&[query], Role::Query)?, &self.encode(docs, Role::Doc)?)?;
        Ok(ranked(scores.squeeze(0)?.to_vec1()?))
    }

    pub(super) fn sequences<S: AsRef<str> + Sync>(&self, texts: &[S], query: bool) -> Result<Sequences> {
        self.ids.encode(texts, query, &self.config, &self.tokenizer)
    }

    fn encode_windows<'a>(
        &self,
        ids: Vec<String>,
        query: bool,
        texts: impl Fn(Range<usize>) -> Vec<Cow<'a, str>>,
    ) -> Result<TokenEmbeddings> {
        let (count, mut activations) = (ids.len(), Activations::inference());
        let (embeddings, truncated) = TokenEmbeddings::by_windows(ids, self.dim(), texts, |texts, first, done| {
            let sequences = self.sequences(texts, query)?;
            let rows = self.encode_sequences(&sequences, query, &mut activations, first, done)?;
            Ok((rows, sequences.truncated))
        })?;
        let ColBertConfig { query_length, doc_length, .. } = self.config;
        let limit = if query { ("query_length", query_length) } else { ("doc_length", doc_length) };
        report_truncated(&self.told, truncated, (count, "texts"), limit);
        Ok(embeddings)
    }

    /// The rows of each text of a window, which starts with text `window`; in order of length, so that the progress is
    /// even.
    fn encode_sequences(
        &self,
        sequences: &Sequences,
        query: bool,
        activations: &mut Activations,
        window: usize,
        done: impl Fn(usize),
    ) -> Result<Vec<Vec<f32>>> {
        let order = by_length(&sequences.ids);
        let mut all = vec![Vec::new(); order.len()];
        for chunk in chunks_of_tokens(&order, &sequences.ids, self.config.encode_tokens) {
            interrupt::check("encoding")?;
            let batch = sequences.batch(chunk.iter().copied());
            let Rows { values, bounds, .. } = self.rows(&batch, |_| query, activations)?;
            let dim = self.dim();
            let rows = |ends: &[usize]| &values[ends[0] * dim..ends[1] * dim];
            for (text, ends) in chunk.iter().zip(bounds.windows(2)) {
                if let Some(value) = rows(ends).iter().find(|value| !value.is_finite()) {
                    return Err(Error::VectorNotFinite { text: window + text, value: *value });
                }
            }
            let pool = |ends: &[usize]| match query {
                true => rows(ends).to_vec(),
                false => self.config.token_pooling.pool(rows(ends), dim),
            };
            let pooled: Vec<Vec<f32>> = bounds.par_windows(2).map(pool).collect();
            chunk.iter().zip(pooled).for_each(|(text, rows)| all[*text] = rows);
            done(chunk.len());
        }
        Ok(all)
    }

    /// The forward pass of a batch: of each token that counts a row of length 1. `queries` tells which sequences are
    /// queries.
    pub(super) fn rows(
        &self,
        batch: &PackedBatch,
        queries: impl Fn(usize) -> bool,
        activations: &mut Activations,
    ) -> Result<Rows> {
        self.encoder.forward_for(Read::All, batch, activations, None)?;
        let (tokens, bounds) = self.ids.kept(batch, queries);
        let mut values = self.projection.forward(self.encoder.parameters(), &tokens, activations);
        let lengths = normalize_rows(&mut values, self.dim());
        Ok(Rows { values, bounds, tokens, lengths })
    }
}

fn is_query(role: Role) -> Result<bool> {
    match role {
        Role::Query => Ok(true),
        Role::Doc => Ok(false),
        Role::Plain => Err(Error::Setting {
            field: "role",
            value: "Plain".to_owned(),
            expected: "Query or Doc: late interaction encodes them in different ways".to_owned(),
        }),
    }
}
