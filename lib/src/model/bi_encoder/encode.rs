//! Texts to vectors.

use std::borrow::Cow;
use std::ops::Range;

use candle_core::{Device, Tensor};

use super::tower::Tower;
use super::{BiEncoder, Precision, Role};
use crate::data::{Corpus, Queries};
use crate::model::Embeddings;
use crate::model::texts::{
    WINDOW, by_length, check_room_after, chunks_of_tokens, encode_after, of_docs, of_queries, of_slice,
    report_truncated, shifted,
};
use crate::nn::{Activations, Int8Weights, PackedBatch};
use crate::text::Encodings;
use crate::{Error, Result, interrupt, show};

/// What stands before a text.
#[derive(Clone, Copy)]
struct Prompt<'a> {
    text: &'a str,
    /// How many of its tokens a mean leaves out.
    skip: usize,
}

impl BiEncoder {
    /// One vector per query, with progress.
    pub fn encode_queries(&self, queries: &Queries) -> Result<Embeddings> {
        self.tower().encode_queries(queries)
    }

    /// One vector per document (of title and text), with progress.
    pub fn encode_docs(&self, corpus: &Corpus) -> Result<Embeddings> {
        self.tower().encode_docs(corpus)
    }

    /// One vector per text `(n, dim)`, in the order given. No padding is computed, so a vector does not depend on its
    /// neighbours.
    ///
    /// # Errors
    /// For a vector that is NaN or infinite, as those of a diverged model are.
    pub fn encode<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<Tensor> {
        self.tower().encode(texts, role)
    }

    /// The same for texts that are neither queries nor documents, [`Role::Plain`].
    ///
    /// ```no_run
    /// use kensaku::model::BiEncoder;
    ///
    /// let model = BiEncoder::load("all-MiniLM-L6-v2")?;
    /// let vectors = model.encode_texts(&["a red house", "a green tree"])?;
    /// println!("{}", model.similarity(&vectors, &vectors)?);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn encode_texts<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Result<Tensor> {
        self.encode(texts, Role::default())
    }

    /// The same after the prompt of this name: `query`, `document` or one of the model's further prompts.
    ///
    /// ```no_run
    /// use kensaku::model::BiEncoder;
    ///
    /// let model = BiEncoder::load("nomic-embed-text-v1.5")?;
    /// let vectors = model.encode_with_prompt(&["a red house", "a green tree"], "clustering")?;
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn encode_with_prompt<S: AsRef<str> + Sync>(&self, texts: &[S], name: &str) -> Result<Tensor> {
        let prompt = self.config.named_prompts().named(name)?;
        self.tower().encode_after(texts, prompt)
    }

    /// The token ids of each text after the prompt of its role, special tokens included.
    pub fn tokenize<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<Vec<Vec<u32>>> {
        Ok(self.encodings(texts, role)?.ids)
    }

    /// The same with the number of texts that were longer than `max_length` and lost their end.
    pub fn encodings<S: AsRef<str> + Sync>(&self, texts: &[S], role: Role) -> Result<Encodings> {
        self.config.encodings(&self.tokenizer, texts, role)
    }

    fn prompt(&self, role: Role) -> Prompt<'_> {
        Prompt { text: self.config.prompt(role), skip: self.prompt_tokens(role) }
    }
}

impl Tower<'_> {
    pub(in crate::model) fn encode_queries(self, queries: &Queries) -> Result<Embeddings> {
        let vectors = self.encode_windows(queries.len(), self.model.prompt(Role::Query), of_queries(queries))?;
        Embeddings::new(queries.query_ids(), vectors)
    }

    pub(in crate::model) fn encode_docs(self, corpus: &Corpus) -> Result<Embeddings> {
        let vectors = self.encode_windows(corpus.len(), self.model.prompt(Role::Doc), of_docs(corpus))?;
        Embeddings::new(corpus.doc_ids(), vectors)
    }

    pub(in crate::model) fn encode<S: AsRef<str> + Sync>(self, texts: &[S], role: Role) -> Result<Tensor> {
        self.encode_windows(texts.len(), self.model.prompt(role), of_slice(texts))
    }

    /// After a prompt, which must leave room for a text.
    pub(in crate::model) fn encode_after<S: AsRef<str> + Sync>(self, texts: &[S], prompt: &str) -> Result<Tensor> {
        let BiEncoder { encoder, tokenizer, config, .. } = self.model;
        check_room_after(prompt, tokenizer, config.max_length, encoder.config().longest())?;
        let skip = self.model.count_prompt_tokens(prompt)?;
        self.encode_windows(texts.len(), Prompt { text: prompt, skip }, of_slice(texts))
    }

    /// Encodes texts that are made by rows, a window at a time: neither they nor their tokens fill memory.
    fn encode_windows<'t>(
        self,
        count: usize,
        prompt: Prompt<'_>,
        texts: impl Fn(Range<usize>) -> Vec<Cow<'t, str>>,
    ) -> Result<Tensor> {
        let BiEncoder { tokenizer, config, told, .. } = self.model;
        let width = self.model.dim();
        let mut vectors = vec![0.0; count * width];
        let mut activations = Activations::inference();
        let bar = show::progress("encode", Some(count));
        let mut truncated = 0;
        for (window, vectors) in vectors.chunks_mut(WINDOW * width).enumerate() {
            let first = window * WINDOW;
            let texts = texts(first..first + vectors.len() / width);
            let encodings = encode_after(prompt.text, tokenizer, &texts, config.max_length)?;
            truncated += encodings.truncated;
            self.encode_tokens(&encodings.ids, prompt.skip, &mut activations, vectors, |texts| bar.inc(texts))
                .map_err(|error| shifted(error, first))?;
        }
        report_truncated(told, truncated, (count, "texts"), ("max_length", config.max_length));
        Ok(Tensor::from_vec(vectors, (count, width), &Device::Cpu)?)
    }

    /// In order of length, so that the progress is even.
    fn encode_tokens(
        self,
        tokens: &[Vec<u32>],
        skip: usize,
        activations: &mut Activations,
        vectors: &mut [f32],
        done: impl Fn(usize),
    ) -> Result<()> {
        let BiEncoder { encoder, config, .. } = self.model;
        let (width, whole) = (self.model.dim(), self.model.whole_dim());
        let int8 = (config.precision == Precision::Int8).then(|| self.int8());
        let order = by_length(tokens);
        for chunk in chunks_of_tokens(&order, tokens, config.encode_tokens) {
            interrupt::check("encoding")?;
            let batch = PackedBatch::new(chunk.iter().map(|index| &tokens[*index]));
            encoder.forward_in(self.table, config.pooling.read(), &batch, activations, int8)?;
            let (found, _) = self.pool(&batch, &vec![skip; batch.sequences()], activations.hidden());
            for (index, vector) in chunk.iter().zip(found.chunks_exact(whole)) {
                if let Some(value) = vector.iter().find(|value| !value.is_finite()) {
                    return Err(Error::VectorNotFinite { text: *index, value: *value });
                }
                vectors[index * width..(index + 1) * width].copy_from_slice(&vector[..width]);
            }
            done(chunk.len());
        }
        Ok(())
    }

    /// The weights in int8, quantised once.
    fn int8(&self) -> &Int8Weights {
        self.model.int8.get_or_init(|| self.model.encoder.quantize_in(self.table))
    }
}
