//! The arena: what a forward pass leaves for the backward pass, and the scratch of both.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::blocks::norm::NormCache;
use super::head::HeadCache;
use super::int8::Int8Rows;
use super::layer::longest;
use super::saved_tensor::{Kept, Storage, grow};
use super::spec::Spec;
use super::trainable::Trained;
use super::{Dropout, PackedBatch, Parameters};

/// What a forward pass keeps for the backward pass: memory against time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Keep each layer's input alone, and compute the layer again in the backward pass: about a third
    /// more time, a tenth of the memory. The result is the same, bit for bit.
    pub checkpointing: bool,
    pub storage: Storage,
}

/// Which hidden states of the last layer a model reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Read {
    #[default]
    All,
    /// Those of each sequence's first token.
    First,
}

/// The memory of forward and backward passes. It grows to the largest batch it has seen and is used
/// again, so that a steady training loop allocates nothing.
#[derive(Default)]
pub struct Activations {
    pub(crate) prior: Vec<Prior>,
    /// None for forward passes alone.
    pub(crate) memory: Option<Memory>,
    /// How queries, keys and values are stored, which attention reads in the forward pass, too.
    pub(crate) storage: Storage,
    pub(crate) dropout: Option<Dropout>,
    pub(crate) trained: Trained,
    /// The lowest layer that the backward pass goes through: those below keep nothing.
    pub(crate) lowest: usize,
    pub(crate) hidden: Vec<f32>,
    pub(crate) embeddings: EmbeddingCache,
    /// The row of the position table that each token takes.
    pub(crate) positions: Vec<u32>,
    /// The biases of relative positions.
    pub(crate) offsets: Vec<f32>,
    /// `(T, H)` what goes into the lowest layer, or into each from there on with checkpointing.
    pub(crate) inputs: Vec<Vec<f32>>,
    /// `(T, H)` a layer's input, or with checkpointing its output, computed again.
    pub(crate) input: Vec<f32>,
    /// One a layer, from the lowest on.
    pub(crate) layers: Vec<LayerCache>,
    /// Of the norm after the last layer.
    pub(crate) final_norm: NormCache,
    pub(crate) span: SpanCache,
    pub(crate) scratch: Scratch,
    pub(crate) head: HeadCache,
    /// Of the batch of the last forward pass.
    pub(crate) bounds: Vec<usize>,
    /// The tokens whose last hidden states are read; empty for all.
    pub(crate) read: Vec<usize>,
    /// How many those are, `R`.
    pub(crate) rows: usize,
    pub(crate) width: usize,
    /// Those of the encoders of a model that has several.
    towers: Vec<Activations>,
}

/// What the embeddings keep. `E` their width.
#[derive(Debug, Default)]
pub(crate) struct EmbeddingCache {
    pub(crate) norm: NormCache,
    /// `(T, E)` what goes into a projection.
    pub(crate) output: Vec<f32>,
}

/// Relative positions of a pass. `R` of them.
#[derive(Debug, Default)]
pub(crate) struct SpanCache {
    /// The first row of the table.
    pub(crate) first: usize,
    /// `(2L - 1,)` the row of every offset, less the first.
    pub(crate) offsets: Vec<u32>,
    /// `(R, H)` normalised.
    pub(crate) rows: Vec<f32>,
    pub(crate) norm: NormCache,
}

/// What one layer keeps. `T` tokens, `H` hidden, `U` the width of the feed-forward block's first map. What
/// is cheap to compute again is not kept: the output of a norm, that of an activation.
#[derive(Debug, Default)]
pub(crate) struct LayerCache {
    /// `(T, 3H)`
    pub(crate) qkv: Kept,
    /// `(heads, T)`
    pub(crate) log_sums: Vec<f32>,
    /// `(T, H)` never rounded: its product with its gradient is taken from sums that nearly cancel.
    pub(crate) context: Vec<f32>,
    pub(crate) attention_norm: NormCache,
    /// `(T, U)` before the activation.
    pub(crate) pre: Kept,
    pub(crate) output_norm: NormCache,
}

/// Buffers that no pass needs again. Those after `wide` serve the backward pass, or bf16 storage.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// `(T, H)`
    pub(crate) rows: Vec<f32>,
    /// `(T, I)` after the activation.
    pub(crate) inner: Vec<f32>,
    /// What goes into a product in int8.
    pub(crate) bytes: Int8Rows,
    /// `(T, max(U, 3H))`
    pub(crate) wide: Vec<f32>,
    /// `(T, H)` the gradient of a block's output.
    pub(crate) d_rows: Vec<f32>,
    /// `(T, H)` the gradient that comes back along a branch.
    pub(crate) d_branch: Vec<f32>,
    /// `(T, I)` the gradient after a gate.
    pub(crate) d_inner: Vec<f32>,
    /// The gradient of relative positions, a (sequence, head) a row.
    pub(crate) d_offsets: Vec<f32>,
    /// `(T, H)` the input of a block, computed again.
    pub(crate) input: Vec<f32>,
    /// `(R, H)` relative positions after a layer's dropout, `(R, 2H)` their queries and keys, `(heads, 2, R, d)` the gradient
    /// of these, `(R, H)` that of the positions, and of all layers.
    pub(crate) span_rows: Vec<f32>,
    pub(crate) projected: Vec<f32>,
    pub(crate) d_heads: Vec<f32>,
    pub(crate) d_span_rows: Vec<f32>,
    pub(crate) d_span: Vec<f32>,
    /// `(T, max(U, 3H))` and `(T, H)`, widened from bf16.
    pub(crate) widened: Vec<f32>,
    pub(crate) widened_rows: Vec<f32>,
}

/// What a layer before the last has made, and the gradient of it.
#[derive(Default)]
pub(crate) struct Prior {
    pub(crate) layer: usize,
    /// `(T, H)`
    pub(crate) hidden: Vec<f32>,
    pub(crate) d_hidden: Vec<f32>,
}

impl Prior {
    /// Takes the hidden states, if they are those of this layer.
    pub(crate) fn take(all: &mut [Self], layer: usize, hidden: &[f32]) {
        for prior in all.iter_mut().filter(|prior| prior.layer == layer) {
            prior.hidden.clear();
            prior.hidden.extend_from_slice(hidden);
            prior.d_hidden.clear();
        }
    }

    /// Adds the gradient, if there is one for this layer.
    pub(crate) fn add(all: &[Self], layer: usize, d: &mut [f32]) {
        for prior in all.iter().filter(|prior| prior.layer == layer) {
            d.iter_mut().zip(&prior.d_hidden).for_each(|(d, own)| *d += own);
        }
    }
}

impl Activations {
    /// For forward passes alone: one layer's memory serves all layers, and nothing is dropped.
    pub fn inference() -> Self {
        Self::default()
    }

    /// The same with what a pass for training rounds, so that it computes the same vectors.
    pub(crate) fn inference_with(storage: Storage) -> Self {
        Self { storage, ..Self::default() }
    }

    /// For a forward and a backward pass.
    pub fn training() -> Self {
        Self::with(Memory::default())
    }

    /// For a forward and a backward pass with less memory.
    pub fn with(memory: Memory) -> Self {
        Self { memory: Some(memory), storage: memory.storage, ..Self::default() }
    }

    /// What the next forward pass drops; `None` for nothing.
    pub fn set_dropout(&mut self, dropout: Option<Dropout>) {
        self.dropout = dropout;
    }

    /// Keeps the hidden states `(T, H)` that these layers make, 0 for the embeddings, for [`Activations::prior`].
    pub(crate) fn set_prior(&mut self, layers: &[usize]) {
        self.prior.resize_with(layers.len(), Prior::default);
        self.prior.iter_mut().zip(layers).for_each(|(prior, layer)| prior.layer = *layer);
    }

    /// The hidden states of layers before the last. Their gradients are added in a backward pass where the layer's own
    /// begins.
    pub(crate) fn prior(&mut self) -> &mut [Prior] {
        &mut self.prior
    }

    /// What the next passes train: the gradient of a parameter that `frozen` names by its number in this table need not
    /// be made, and nothing is computed or kept for those that lie below all others. Before a forward pass.
    ///
    /// ```
    /// use kensaku::nn::{Activations, BertConfig, Encoder, PackedBatch};
    ///
    /// let mut encoder = Encoder::new(BertConfig { vocab_size: 100, ..Default::default() }, 42)?;
    /// let embeddings = |index: usize| encoder.parameters().entries()[index].name.starts_with("embeddings");
    /// let mut activations = Activations::training();
    /// activations.set_frozen(encoder.parameters(), embeddings);
    /// let batch = PackedBatch::new([[2, 7, 3]]);
    /// encoder.forward(&batch, &mut activations)?;
    /// let upstream = vec![1.0; activations.hidden().len()];
    /// encoder.backward(&batch, &mut activations, &upstream)?;
    /// assert!(encoder.parameters().grad("embeddings.word_embeddings.weight")?.iter().all(|grad| *grad == 0.0));
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn set_frozen(&mut self, parameters: &Parameters, frozen: impl Fn(usize) -> bool) {
        self.trained = Trained::new(parameters, frozen);
    }

    /// The arena of one encoder of a model that has several, as this one is set: for a pass of tokens of which `before` others
    /// come first in the batch, with parameters that lie in this part of the table.
    pub(crate) fn of_tower(&mut self, tower: usize, table: Range<usize>, before: usize) -> &mut Self {
        if self.towers.len() <= tower {
            self.towers.resize_with(tower + 1, Self::default);
        }
        let own = &mut self.towers[tower];
        (own.memory, own.storage) = (self.memory, self.storage);
        own.dropout = self.dropout.map(|dropout| dropout.after(before));
        own.trained = self.trained.within(table);
        own
    }

    /// The output of the last forward pass, `(T, H)` or `(R, H)`, row-major.
    pub fn hidden(&self) -> &[f32] {
        &self.hidden[..self.rows * self.width]
    }

    /// Where the gradient of the hidden states is made.
    pub(crate) fn d_hidden(&mut self) -> &mut Vec<f32> {
        &mut self.head.d_hidden
    }

    /// Bytes that the arena holds.
    pub fn bytes(&self) -> usize {
        let floats = [&self.hidden, &self.offsets, &self.embeddings.output, &self.input];
        let floats = floats.into_iter().chain(&self.inputs).map(Vec::capacity).sum::<usize>();
        let norms = self.span.bytes() + self.embeddings.norm.bytes() + self.final_norm.bytes() + self.head.bytes();
        let layers = self.layers.iter().map(LayerCache::bytes).sum::<usize>();
        let towers = self.towers.iter().map(Self::bytes).sum::<usize>();
        size_of::<f32>() * floats + norms + layers + self.scratch.bytes() + towers
    }

    /// Makes room for a batch.
    pub(crate) fn fit(&mut self, spec: &Spec, batch: &PackedBatch, read: Read, lowest: usize) {
        let (tokens, width) = (batch.tokens(), spec.width);
        self.bounds.clone_from(&batch.bounds);
        self.width = width;
        self.read.clear();
        if read == Read::First {
            self.read.extend(batch.ranges().filter(|range| !range.is_empty()).map(|range| range.start));
        }
        self.rows = if read == Read::First { self.read.len() } else { tokens };
        grow(&mut self.hidden, tokens * width);
        if spec.norm_first {
            self.final_norm.fit(tokens, width, Storage::F32);
        }
        let offsets = (2 * longest(batch)).saturating_sub(1);
        if spec.buckets > 0 {
            grow(&mut self.offsets, spec.heads * offsets);
        }
        self.embeddings.norm.fit(tokens, spec.embedding, Storage::F32);
        if spec.embedding != width {
            grow(&mut self.embeddings.output, tokens * spec.embedding);
        }
        if self.memory.is_some() {
            let held = self.head.d_hidden.len();
            self.head.d_hidden.reserve_exact((tokens * width).saturating_sub(held));
        }
        self.lowest = lowest;
        let count = (spec.layers.len() - lowest).max(1);
        let (inputs, layers) = match self.memory {
            None => (0, 1),
            Some(Memory { checkpointing: true, .. }) => (count, 1),
            Some(Memory { checkpointing: false, .. }) => (1, count),
        };
        // Never rounded: a layer is computed again from exactly what it was computed from.
        self.inputs.resize_with(inputs, Vec::new);
        self.inputs.iter_mut().for_each(|input| grow(input, tokens * width));
        if inputs > 0 {
            grow(&mut self.input, tokens * width);
        }
        self.layers.resize_with(layers, LayerCache::default);
        self.layers.iter_mut().for_each(|layer| layer.fit(spec, tokens, self.memory, self.storage));
        self.scratch.fit(spec, batch, self.memory, self.storage, offsets);
    }
}

impl SpanCache {
    pub(crate) fn fit(&mut self, rows: usize, width: usize) {
        self.rows.resize(rows * width, 0.0);
        self.norm.fit(rows, width, Storage::F32);
    }

    fn bytes(&self) -> usize {
        size_of::<f32>() * (self.offsets.capacity() + self.rows.capacity()) + self.norm.bytes()
    }
}

impl LayerCache {
    fn fit(&mut self, spec: &Spec, tokens: usize, memory: Option<Memory>, storage: Storage) {
        self.qkv.fit(tokens * 3 * spec.width, storage);
        let storage = memory.unwrap_or_default().storage;
        grow(&mut self.log_sums, tokens * spec.heads);
        grow(&mut self.context, tokens * spec.width);
        self.attention_norm.fit(tokens, spec.width, storage);
        if memory.is_some() || spec.gated {
            self.pre.fit(tokens * spec.up_width(), storage);
        }
        self.output_norm.fit(tokens, spec.width, storage);
    }

    fn bytes(&self) -> usize {
        let Self { qkv, log_sums, context, attention_norm, pre, output_norm } = self;
        let floats = size_of::<f32>() * (log_sums.capacity() + context.capacity());
        qkv.bytes() + pre.bytes() + floats + attention_norm.bytes() + output_norm.bytes()
    }
}

impl Scratch {
    fn fit(&mut self, spec: &Spec, batch: &PackedBatch, memory: Option<Memory>, storage: Storage, offsets: usize) {
        let tokens = batch.tokens();
        let rows = tokens * spec.width.max(spec.embedding);
        let wide = tokens * spec.up_width().max(3 * spec.width);
        grow(&mut self.rows, rows);
        grow(&mut self.inner, tokens * spec.inner);
        if spec.norm_first || memory.is_some() {
            grow(&mut self.input, tokens * spec.width);
        }
        if memory.is_some() || storage == Storage::Bf16 {
            grow(&mut self.wide, wide);
        }
        let Some(memory) = memory else { return };
        grow(&mut self.d_rows, rows);
        if spec.norm_first {
            grow(&mut self.d_branch, tokens * spec.width);
        }
        if spec.gated {
            grow(&mut self.d_inner, tokens * spec.inner);
        }
        if spec.buckets > 0 {
            grow(&mut self.d_offsets, batch.sequences() * spec.heads * offsets);
        }
        if memory.storage == Storage::Bf16 {
            grow(&mut self.widened, wide);
            grow(&mut self.widened_rows, tokens * spec.width);
        }
    }

    fn bytes(&self) -> usize {
        let Self { rows, inner, wide, d_rows, d_branch, d_inner, d_offsets, input, widened, widened_rows, .. } = self;
        let all = [rows, inner, wide, d_rows, d_branch, d_inner, d_offsets, input, widened, widened_rows];
        let Self { span_rows, projected, d_heads, d_span_rows, d_span, .. } = self;
        let all = all.into_iter().chain([span_rows, projected, d_heads, d_span_rows, d_span]);
        size_of::<f32>() * all.map(Vec::capacity).sum::<usize>()
    }
}

impl fmt::Debug for Activations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Activations ({} bytes)", self.bytes())
    }
}
