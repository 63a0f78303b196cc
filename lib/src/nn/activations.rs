//! The arena: what a forward pass leaves for the backward pass, and the scratch of both.

use super::blocks::norm::NormCache;
use super::head::HeadCache;
use super::layer::longest;
use super::spec::Spec;
use super::{Dropout, PackedBatch};

/// The memory of forward and backward passes. It grows to the largest batch it has seen and is used
/// again, so that a steady training loop allocates nothing.
#[derive(Debug, Default)]
pub struct Activations {
    keep: bool,
    pub(crate) dropout: Option<Dropout>,
    pub(crate) hidden: Vec<f32>,
    pub(crate) embeddings: EmbeddingCache,
    /// The row of the position table that each token takes.
    pub(crate) positions: Vec<u32>,
    /// `(heads, 2L - 1)` the biases of relative positions.
    pub(crate) offsets: Vec<f32>,
    pub(crate) layers: Vec<LayerCache>,
    pub(crate) final_norm: NormCache,
    pub(crate) scratch: Scratch,
    pub(crate) head: HeadCache,
    tokens: usize,
    width: usize,
}

/// What the embeddings keep. `E` their width.
#[derive(Debug, Default)]
pub(crate) struct EmbeddingCache {
    pub(crate) norm: NormCache,
    /// `(T, E)` what goes into a projection.
    pub(crate) output: Vec<f32>,
}

/// What one layer keeps. `T` tokens, `H` hidden, `I` intermediate.
#[derive(Debug, Default)]
pub(crate) struct LayerCache {
    /// `(T, H)` the layer's input.
    pub(crate) input: Vec<f32>,
    /// `(T, 3H)`
    pub(crate) qkv: Vec<f32>,
    /// `(heads, T)`
    pub(crate) log_sums: Vec<f32>,
    /// `(T, H)`
    pub(crate) context: Vec<f32>,
    pub(crate) attention_norm: NormCache,
    /// `(T, H)` the input of the feed-forward block.
    pub(crate) attended: Vec<f32>,
    /// `(T, I)` before the activation, `(T, 2I)` with a gate, and `(T, I)` behind it.
    pub(crate) pre: Vec<f32>,
    pub(crate) activated: Vec<f32>,
    pub(crate) output_norm: NormCache,
}

/// Buffers that no pass needs again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// `(T, H)`
    pub(crate) rows: Vec<f32>,
    /// `(T, max(I, 3H))`, with a gate `(T, max(2I, 3H))`
    pub(crate) wide: Vec<f32>,
    /// `(T, H)`
    pub(crate) d_rows: Vec<f32>,
    /// `(T, H)` the gradient of a block's input, where norms stand first.
    pub(crate) d_branch: Vec<f32>,
    /// `(T, I)` where there is a gate.
    pub(crate) d_inner: Vec<f32>,
    /// `(B * heads, 2L - 1)` where there are relative positions.
    pub(crate) d_offsets: Vec<f32>,
}

impl Activations {
    /// For forward passes alone: one layer's memory serves all layers, and nothing is dropped.
    pub fn inference() -> Self {
        Self::default()
    }

    /// For a forward and a backward pass.
    pub fn training() -> Self {
        Self { keep: true, ..Self::default() }
    }

    /// What the next forward pass drops; `None` for nothing.
    pub fn set_dropout(&mut self, dropout: Option<Dropout>) {
        self.dropout = dropout;
    }

    /// The output of the last forward pass `(T, H)`, row-major.
    pub fn hidden(&self) -> &[f32] {
        &self.hidden[..self.tokens * self.width]
    }

    /// Bytes that the arena holds.
    pub fn bytes(&self) -> usize {
        let norm = |cache: &NormCache| cache.normalised.capacity() + cache.inverse_deviation.capacity();
        let layer = |layer: &LayerCache| {
            let LayerCache { input, qkv, log_sums, context, attention_norm, attended, pre, activated, output_norm } =
                layer;
            let buffers = [input, qkv, log_sums, context, attended, pre, activated];
            buffers.iter().map(|buffer| buffer.capacity()).sum::<usize>() + norm(attention_norm) + norm(output_norm)
        };
        let Scratch { rows, wide, d_rows, d_branch, d_inner, d_offsets } = &self.scratch;
        let scratch = [rows, wide, d_rows, d_branch, d_inner, d_offsets];
        let shared = [&self.hidden, &self.embeddings.output, &self.offsets].into_iter().chain(scratch);
        let norms = norm(&self.embeddings.norm) + norm(&self.final_norm) + self.head.capacity();
        let shared = shared.map(Vec::capacity).sum::<usize>() + norms;
        size_of::<f32>() * (shared + self.layers.iter().map(layer).sum::<usize>())
    }

    /// Makes room for a batch.
    pub(crate) fn fit(&mut self, spec: &Spec, batch: &PackedBatch) {
        let (tokens, width, inner) = (batch.tokens(), spec.width, spec.inner);
        (self.tokens, self.width) = (tokens, width);
        grow(&mut self.hidden, tokens * width);
        if spec.norm_first {
            self.final_norm.fit(tokens, width);
        }
        let offsets = (2 * longest(batch)).saturating_sub(1);
        if spec.buckets > 0 {
            grow(&mut self.offsets, spec.heads * offsets);
        }
        self.embeddings.norm.fit(tokens, spec.embedding);
        if spec.embedding != width {
            grow(&mut self.embeddings.output, tokens * spec.embedding);
        }
        self.layers.resize_with(if self.keep { spec.layers.len() } else { 1 }, LayerCache::default);
        for layer in &mut self.layers {
            grow(&mut layer.input, tokens * width);
            grow(&mut layer.qkv, tokens * 3 * width);
            grow(&mut layer.log_sums, tokens * spec.heads);
            grow(&mut layer.context, tokens * width);
            layer.attention_norm.fit(tokens, width);
            grow(&mut layer.attended, tokens * width);
            grow(&mut layer.pre, tokens * spec.up_width());
            grow(&mut layer.activated, tokens * inner);
            layer.output_norm.fit(tokens, width);
        }
        let widest = width.max(spec.embedding);
        grow(&mut self.scratch.rows, tokens * widest);
        if self.keep {
            grow(&mut self.scratch.wide, tokens * spec.up_width().max(3 * width));
            grow(&mut self.scratch.d_rows, tokens * widest);
            if spec.norm_first {
                grow(&mut self.scratch.d_branch, tokens * width);
            }
            if spec.gated {
                grow(&mut self.scratch.d_inner, tokens * inner);
            }
            if spec.buckets > 0 {
                grow(&mut self.scratch.d_offsets, batch.sequences() * spec.heads * offsets);
            }
        }
    }
}

impl NormCache {
    pub(crate) fn fit(&mut self, tokens: usize, width: usize) {
        grow(&mut self.normalised, tokens * width);
        grow(&mut self.inverse_deviation, tokens);
    }

    /// Both buffers, cut to a batch.
    pub(crate) fn parts(&mut self, tokens: usize, width: usize) -> (&mut [f32], &mut [f32]) {
        (&mut self.normalised[..tokens * width], &mut self.inverse_deviation[..tokens])
    }

    /// Both buffers to read, cut to a batch.
    pub(crate) fn read(&self, tokens: usize, width: usize) -> (&[f32], &[f32]) {
        (&self.normalised[..tokens * width], &self.inverse_deviation[..tokens])
    }
}

fn grow(buffer: &mut Vec<f32>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
}
