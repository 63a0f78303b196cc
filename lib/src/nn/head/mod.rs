//! Heads: what is computed from the hidden states of an encoder. Their parameters follow the encoder's in one
//! table, so that one optimiser, one gradient norm and one file hold them all.

mod classifier;
mod masked_lm;
mod modules;
mod projection;
mod sparse;
pub(crate) mod spec;
mod transform;
mod unit;
mod word_table;

use super::Activations;
use super::blocks::norm::NormCache;
use super::saved_tensor::Storage;
use super::spec::site_of;

pub use classifier::Classifier;
pub use masked_lm::MaskedLm;
pub use modules::{DenseActivation, VectorModule};
pub(crate) use modules::{KeptModules, VectorModules};
pub(crate) use projection::Projection;
pub use sparse::WordPooling;
pub(crate) use sparse::{Saturation, Winners};
pub(crate) use unit::{normalize_rows, normalize_rows_backward};
pub(crate) use word_table::{WordTable, words as words_once};

/// What a head keeps for its backward pass, and the scratch of both. `n` rows, `E` its inner width.
#[derive(Debug, Default)]
pub(crate) struct HeadCache {
    /// `(n, H)` the rows that it reads.
    pub(crate) input: Vec<f32>,
    /// `(n, E)` before and after the activation.
    pub(crate) pre: Vec<f32>,
    pub(crate) activated: Vec<f32>,
    pub(crate) norm: NormCache,
    /// `(n, E)` what the last map reads.
    pub(crate) output: Vec<f32>,
    /// `(n, labels)`
    pub(crate) logits: Vec<f32>,
    /// `(n, words)` the scores of a block of words.
    pub(crate) block: Vec<f32>,
    /// `(n, E)`
    pub(crate) d_output: Vec<f32>,
    /// `(n, H)`
    pub(crate) d_input: Vec<f32>,
    /// `(T, H)`
    pub(crate) d_hidden: Vec<f32>,
}

impl HeadCache {
    /// Makes room for `n` rows of a head from `width` over `inner` to `labels`. Every buffer has the
    /// length of this pass.
    pub(crate) fn fit(&mut self, rows: usize, width: usize, inner: usize, labels: usize) {
        self.input.resize(rows * width, 0.0);
        for buffer in [&mut self.pre, &mut self.activated, &mut self.output] {
            buffer.resize(rows * inner, 0.0);
        }
        self.norm.fit(rows, inner, Storage::F32);
        self.logits.resize(rows * labels, 0.0);
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        let Self { input, pre, activated, norm, output, logits, block, d_output, d_input, d_hidden } = self;
        let buffers = [input, pre, activated, output, logits, block, d_output, d_input, d_hidden];
        size_of::<f32>() * buffers.into_iter().map(Vec::capacity).sum::<usize>() + norm.bytes()
    }
}

/// The number of one of a head's two dropout layers in a model with `layers` layers.
pub(crate) fn head_site(layers: usize, place: u32) -> u32 {
    site_of(layers, place)
}

impl Activations {
    /// What the head made of the last forward pass `(n, labels)`, row-major.
    pub fn logits(&self) -> &[f32] {
        &self.head.logits
    }
}
