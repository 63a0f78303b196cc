//! The bi-encoder in training.

use std::borrow::Cow;

use super::tower::Tower;
use super::{BiEncoder, BiEncoderConfig, Precision, Role};
use crate::Result;
use crate::loss::Scoring;
use crate::model::interface::{check_length, with_encoder};
use crate::model::pooling::Pooled;
use crate::model::{Front, Model, Outputs, Part, Tokens};
use crate::nn::{Activations, KeptModules, PackedBatch, Read, normalize_rows, normalize_rows_backward};

/// What the backward pass needs.
pub(super) struct Kept {
    pooled: Pooled,
    modules: KeptModules,
    /// The lengths of the vectors before they were scaled to 1, if they were.
    lengths: Vec<f32>,
}

impl Model for BiEncoder {
    fn tokenize(&self, columns: &[Vec<&str>]) -> Result<Tokens> {
        Tokens::of_texts(columns, |texts, role| self.encodings(texts, role))
    }

    fn front(&self) -> Option<Front> {
        let (config, tokenizer) = (self.config.clone(), self.tokenizer.apart());
        let encode = move |texts: &[&str], role: Role| config.encodings(&tokenizer, texts, role);
        Some(Box::new(move |columns| Tokens::of_texts(columns, &encode)))
    }

    fn forward(&self, part: &Part, activations: &mut Activations) -> Result<Outputs> {
        self.tower().forward(part, activations)
    }

    fn backward(
        &mut self,
        part: &Part,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &[f32],
    ) -> Result<()> {
        // Moved out while they are written.
        let mut grads = self.encoder.parameters_mut().take_grads();
        let done = self.tower().backward(&mut grads, part, activations, outputs, gradient);
        self.encoder.parameters_mut().grads = grads;
        done
    }

    fn layers(&self) -> usize {
        self.encoder.spec().layers.len()
    }

    fn width(&self) -> usize {
        self.whole_dim()
    }

    fn scoring(&self) -> Scoring {
        Scoring::Vectors(self.config.similarity)
    }

    fn unit(&self) -> bool {
        self.config.normalize
    }

    fn max_length(&self) -> usize {
        self.config.max_length
    }

    fn cancels(&self, parameter: &str) -> bool {
        self.encoder().cancels(parameter)
    }

    with_encoder!(BiEncoderConfig { encode_tokens: 0, precision: Precision::default(), truncate_dim: None });
}

impl Tower<'_> {
    /// As [`Model::forward`].
    pub(in crate::model) fn forward(self, part: &Part, activations: &mut Activations) -> Result<Outputs> {
        let (skip, read) = (self.skipped(part)?, self.model.config.pooling.read());
        self.model.encoder.forward_in(self.table, read, &part.batch, activations, None)?;
        let (mut vectors, kept) = self.pool(&part.batch, &skip, activations.hidden());
        let mut all = vec![kept];
        for prior in activations.prior() {
            let (rows, kept) = self.pool(&part.batch, &skip, &self.read(&part.batch, &prior.hidden));
            vectors.extend(rows);
            all.push(kept);
        }
        Ok(Outputs::rows(vectors, all))
    }

    /// As [`Model::backward`]; it adds to the gradients of its table.
    pub(in crate::model) fn backward(
        self,
        grads: &mut [f32],
        part: &Part,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &[f32],
    ) -> Result<()> {
        let skip = self.skipped(part)?;
        let (size, kept) = (part.batch.sequences() * self.model.whole_dim(), outputs.kept::<Vec<Kept>>()?);
        check_length("numbers of the vectors", outputs.values.len(), kept.len() * size)?;
        check_length("numbers of their gradient", gradient.len(), kept.len() * size)?;
        if part.batch.tokens() == 0 {
            return Ok(());
        }
        let blocks = |number: usize| (&outputs.values[number * size..][..size], &gradient[number * size..][..size]);
        let mut d_read = Vec::new();
        for (number, kept) in kept.iter().enumerate().skip(1) {
            self.pool_backward(grads, kept, &part.batch, &skip, blocks(number), &mut d_read);
            let spread = self.spread(&part.batch, &d_read);
            activations.prior()[number - 1].d_hidden = spread;
        }
        let mut d_hidden = std::mem::take(activations.d_hidden());
        self.pool_backward(grads, &kept[0], &part.batch, &skip, blocks(0), &mut d_hidden);
        let done = self.model.encoder.backward_in(self.table, grads, &part.batch, activations, &d_hidden);
        *activations.d_hidden() = d_hidden;
        done
    }

    /// How many tokens at the start of each sequence a mean leaves out.
    fn skipped(self, part: &Part) -> Result<Vec<usize>> {
        check_length("columns of the sequences", part.columns.len(), part.batch.sequences())?;
        Ok(part.columns.iter().map(|column| self.model.prompt_tokens(Role::of_column(*column))).collect())
    }

    /// The vectors of a batch, from the hidden states that its pooling reads.
    pub(super) fn pool(self, batch: &PackedBatch, skip: &[usize], hidden: &[f32]) -> (Vec<f32>, Kept) {
        let BiEncoder { encoder, modules, config, .. } = self.model;
        let (vectors, pooled) = config.pooling.forward(hidden, encoder.config().hidden_size(), batch, skip);
        let (mut vectors, modules) = modules.forward(self.table, encoder.parameters().frozen(), vectors);
        let unit = config.normalize;
        let lengths = if unit { normalize_rows(&mut vectors, self.model.whole_dim()) } else { Vec::new() };
        (vectors, Kept { pooled, modules, lengths })
    }

    /// From vectors and their gradient: adds that of the modules' parameters, and makes that of the hidden states that
    /// the pooling reads, in `d_hidden`'s memory.
    fn pool_backward(
        self,
        grads: &mut [f32],
        kept: &Kept,
        batch: &PackedBatch,
        skip: &[usize],
        (vectors, gradient): (&[f32], &[f32]),
        d_hidden: &mut Vec<f32>,
    ) {
        let BiEncoder { encoder, modules, config, .. } = self.model;
        let mut gradient = Cow::Borrowed(gradient);
        if config.normalize {
            gradient = Cow::Owned(normalize_rows_backward(vectors, &kept.lengths, &gradient, self.model.whole_dim()));
        }
        if !kept.modules.is_empty() {
            let frozen = encoder.parameters().frozen();
            gradient = Cow::Owned(modules.backward(self.table, grads, frozen, &kept.modules, &gradient));
        }
        let pooled = &kept.pooled;
        config.pooling.backward(pooled, &gradient, batch, skip, d_hidden);
    }

    /// Of the hidden states of all tokens those that the pooling reads.
    fn read<'h>(self, batch: &PackedBatch, hidden: &'h [f32]) -> Cow<'h, [f32]> {
        if self.model.config.pooling.read() == Read::All {
            return Cow::Borrowed(hidden);
        }
        let width = self.model.encoder.config().hidden_size();
        let rows = first_tokens(batch).flat_map(|token| &hidden[token * width..(token + 1) * width]);
        Cow::Owned(rows.copied().collect())
    }

    /// From the gradient of those, that of all: `(T, H)`.
    fn spread(self, batch: &PackedBatch, d_read: &[f32]) -> Vec<f32> {
        if self.model.config.pooling.read() == Read::All {
            return d_read.to_vec();
        }
        let width = self.model.encoder.config().hidden_size();
        let mut all = vec![0.0; batch.tokens() * width];
        for (token, row) in first_tokens(batch).zip(d_read.chunks_exact(width)) {
            all[token * width..][..width].copy_from_slice(row);
        }
        all
    }
}

/// The first token of each sequence that has one.
fn first_tokens(batch: &PackedBatch) -> impl Iterator<Item = usize> {
    batch.ranges().filter(|range| !range.is_empty()).map(|range| range.start)
}
