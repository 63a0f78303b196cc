//! From the hidden states of a text to one vector, and the gradient back.

use serde::{Deserialize, Serialize};

use crate::nn::PackedBatch;

/// Which hidden states make the vector of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The mean of all tokens.
    #[default]
    Mean,
    /// The first token, `[CLS]`.
    Cls,
}

/// The vectors of a batch and what their gradient needs.
#[derive(Debug, Clone)]
pub struct Pooled {
    /// `(B, H)`, row-major.
    pub vectors: Vec<f32>,
    /// The lengths before normalisation `(B,)`; empty where nothing was normalised.
    lengths: Vec<f32>,
}

impl Pooled {
    /// The vectors of texts without tokens.
    pub(crate) fn zeros(texts: usize, width: usize) -> Self {
        Self { vectors: vec![0.0; texts * width], lengths: Vec::new() }
    }
}

/// Below this length a vector is not scaled up any more, as in PyTorch's `normalize`.
const SHORTEST: f32 = 1e-12;

impl Pooling {
    /// Pools the hidden states `(T, H)`. `skip` tokens at the start of each sequence are left out of a
    /// mean (a prompt that is read but not pooled).
    pub(crate) fn forward(self, hidden: &[f32], batch: &PackedBatch, skip: &[usize], normalize: bool) -> Pooled {
        let width = hidden.len() / batch.tokens().max(1);
        let mut vectors = vec![0.0; batch.sequences() * width];
        for ((range, skip), vector) in batch.ranges().zip(skip).zip(vectors.chunks_exact_mut(width.max(1))) {
            let tokens = self.tokens(range, *skip);
            let share = 1.0 / tokens.len().max(1) as f32;
            for row in hidden[tokens.start * width..tokens.end * width].chunks_exact(width) {
                for (sum, value) in vector.iter_mut().zip(row) {
                    *sum += value * share;
                }
            }
        }
        let mut lengths = Vec::new();
        if normalize {
            for vector in vectors.chunks_exact_mut(width) {
                let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(SHORTEST);
                vector.iter_mut().for_each(|value| *value /= length);
                lengths.push(length);
            }
        }
        Pooled { vectors, lengths }
    }

    /// From the gradient of the vectors `(B, H)`: that of the hidden states `(T, H)`, in `d_hidden`'s memory.
    pub(crate) fn backward(
        self,
        pooled: &Pooled,
        d_vectors: &[f32],
        batch: &PackedBatch,
        skip: &[usize],
        d_hidden: &mut Vec<f32>,
    ) {
        let width = d_vectors.len() / batch.sequences().max(1);
        d_hidden.clear();
        d_hidden.resize(batch.tokens() * width, 0.0);
        for (index, (range, skip)) in batch.ranges().zip(skip).enumerate() {
            let row = index * width..(index + 1) * width;
            let mut d = d_vectors[row.clone()].to_vec();
            if let Some(length) = pooled.lengths.get(index) {
                let unit = &pooled.vectors[row];
                let along: f32 = unit.iter().zip(&d).map(|(unit, d)| unit * d).sum();
                d.iter_mut().zip(unit).for_each(|(d, unit)| *d = (*d - unit * along) / length);
            }
            let tokens = self.tokens(range, *skip);
            let share = 1.0 / tokens.len().max(1) as f32;
            for hidden in d_hidden[tokens.start * width..tokens.end * width].chunks_exact_mut(width) {
                hidden.iter_mut().zip(&d).for_each(|(hidden, d)| *hidden = d * share);
            }
        }
    }

    fn tokens(self, range: std::ops::Range<usize>, skip: usize) -> std::ops::Range<usize> {
        match self {
            Self::Mean => (range.start + skip).min(range.end)..range.end,
            Self::Cls => range.start..(range.start + 1).min(range.end),
        }
    }
}
