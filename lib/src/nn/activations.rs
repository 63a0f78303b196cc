//! The arena: what a forward pass leaves for the backward pass, and the scratch of both.

use super::blocks::norm::NormCache;
use super::{BertConfig, Dropout, PackedBatch};

/// The memory of forward and backward passes. It grows to the largest batch it has seen and is used
/// again, so that a steady training loop allocates nothing.
#[derive(Debug, Default)]
pub struct Activations {
    keep: bool,
    pub(crate) dropout: Option<Dropout>,
    pub(crate) hidden: Vec<f32>,
    pub(crate) embeddings: NormCache,
    pub(crate) layers: Vec<LayerCache>,
    pub(crate) scratch: Scratch,
    tokens: usize,
    width: usize,
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
    /// `(T, I)` before and after the activation.
    pub(crate) pre: Vec<f32>,
    pub(crate) activated: Vec<f32>,
    pub(crate) output_norm: NormCache,
}

/// Buffers that no pass needs again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// `(T, H)`
    pub(crate) rows: Vec<f32>,
    /// `(T, max(I, 3H))`
    pub(crate) wide: Vec<f32>,
    /// `(T, H)`
    pub(crate) d_rows: Vec<f32>,
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
        let Scratch { rows, wide, d_rows } = &self.scratch;
        let shared = [&self.hidden, rows, wide, d_rows].iter().map(|buffer| buffer.capacity()).sum::<usize>();
        size_of::<f32>() * (shared + norm(&self.embeddings) + self.layers.iter().map(layer).sum::<usize>())
    }

    /// Makes room for a batch.
    pub(crate) fn fit(&mut self, config: &BertConfig, batch: &PackedBatch) {
        let (tokens, width, inner) = (batch.tokens(), config.hidden_size, config.intermediate_size);
        (self.tokens, self.width) = (tokens, width);
        grow(&mut self.hidden, tokens * width);
        self.embeddings.fit(tokens, width);
        self.layers.resize_with(if self.keep { config.num_hidden_layers } else { 1 }, LayerCache::default);
        for layer in &mut self.layers {
            grow(&mut layer.input, tokens * width);
            grow(&mut layer.qkv, tokens * 3 * width);
            grow(&mut layer.log_sums, tokens * config.num_attention_heads);
            grow(&mut layer.context, tokens * width);
            layer.attention_norm.fit(tokens, width);
            grow(&mut layer.attended, tokens * width);
            grow(&mut layer.pre, tokens * inner);
            grow(&mut layer.activated, tokens * inner);
            layer.output_norm.fit(tokens, width);
        }
        grow(&mut self.scratch.rows, tokens * width);
        if self.keep {
            grow(&mut self.scratch.wide, tokens * inner.max(3 * width));
            grow(&mut self.scratch.d_rows, tokens * width);
        }
    }
}

impl NormCache {
    fn fit(&mut self, tokens: usize, width: usize) {
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
        // Not `resize`, which reserves up to twice as much and copies what nobody reads again.
        *buffer = Vec::new();
        *buffer = vec![0.0; length];
    }
}
