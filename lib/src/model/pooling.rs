//! From the hidden states of a text to one vector, and the gradient back.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::nn::{PackedBatch, Read};

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
#[derive(Clone)]
pub struct Pooled {
    /// `(B, H)`, row-major.
    pub vectors: Vec<f32>,
    /// The lengths before normalisation `(B,)`; empty where nothing was normalised.
    lengths: Vec<f32>,
}

/// Below this length a vector is not scaled up any more, as in PyTorch's `normalize`.
const SHORTEST: f32 = 1e-12;

impl Pooling {
    /// Which hidden states it reads.
    pub(crate) fn read(self) -> Read {
        match self {
            Self::Mean => Read::All,
            Self::Cls => Read::First,
        }
    }

    /// Pools the hidden states that it reads, `(T, H)` or `(R, H)`. `skip` tokens at the start of each sequence are
    /// left out of a mean (a prompt that is read but not pooled). A text without tokens has the vector 0.
    pub(crate) fn forward(
        self,
        hidden: &[f32],
        width: usize,
        batch: &PackedBatch,
        skip: &[usize],
        normalize: bool,
    ) -> Pooled {
        let mut vectors = vec![0.0; batch.sequences() * width];
        for (rows, vector) in self.rows(batch, skip).zip(vectors.chunks_exact_mut(width)) {
            let share = 1.0 / rows.len().max(1) as f32;
            for row in hidden[rows.start * width..rows.end * width].chunks_exact(width) {
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

    /// From the gradient of the vectors `(B, H)`: that of the hidden states that it reads, in `d_hidden`'s memory.
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
        d_hidden.resize(self.height(batch) * width, 0.0);
        for (index, rows) in self.rows(batch, skip).enumerate() {
            let row = index * width..(index + 1) * width;
            let mut d = d_vectors[row.clone()].to_vec();
            if let Some(length) = pooled.lengths.get(index) {
                let unit = &pooled.vectors[row];
                let along: f32 = unit.iter().zip(&d).map(|(unit, d)| unit * d).sum();
                d.iter_mut().zip(unit).for_each(|(d, unit)| *d = (*d - unit * along) / length);
            }
            let share = 1.0 / rows.len().max(1) as f32;
            for hidden in d_hidden[rows.start * width..rows.end * width].chunks_exact_mut(width) {
                hidden.iter_mut().zip(&d).for_each(|(hidden, d)| *hidden = d * share);
            }
        }
    }

    /// How many hidden states it reads of a batch.
    fn height(self, batch: &PackedBatch) -> usize {
        match self {
            Self::Mean => batch.tokens(),
            Self::Cls => batch.ranges().filter(|range| !range.is_empty()).count(),
        }
    }

    /// The hidden states of each sequence among them.
    fn rows<'a>(self, batch: &'a PackedBatch, skip: &'a [usize]) -> impl Iterator<Item = Range<usize>> + 'a {
        let mut first = 0;
        batch.ranges().zip(skip).map(move |(range, skip)| match self {
            Self::Mean => (range.start + skip).min(range.end)..range.end,
            Self::Cls => {
                let row = first;
                first += usize::from(!range.is_empty());
                row..first
            }
        })
    }
}

impl fmt::Debug for Pooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pooled ({} numbers)", self.vectors.len())
    }
}
