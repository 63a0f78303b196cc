//! Sparse vectors: one weight per word of the vocabulary and text, from the masked-language-model head.
//!
//! The scores of all words at all tokens, `(T, V)`, are never there as a whole: they are made for a block of words at a
//! time. Of a maximum it is enough to know which token had it, so that the backward pass computes no score again and
//! touches active words alone. A sum has to compute them once more.

mod backward;
mod forward;
#[cfg(test)]
mod tests;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::MaskedLm;
use crate::nn::blocks::linear;

/// How the scores of a word at the tokens of a text become its weight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordPooling {
    /// The largest one (SPLADE v2, Formal et al. 2021).
    #[default]
    Max,
    /// Their sum (SPLADE, Formal et al. 2021).
    Sum,
}

/// What makes a weight of a score: `log(1 + relu(score))`, or with `twice` the same of that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Saturation {
    pub(crate) twice: bool,
}

/// `(B, V)` the token that had the largest score of each word, counted from the start of its text. Empty for sums, and
/// without a backward pass.
#[derive(Debug, Clone, Default)]
pub(crate) struct Winners(Vec<u32>);

/// Words whose scores are there at a time.
const BLOCK: usize = 512;

impl MaskedLm {
    /// The scores `(T, words)` of some words.
    fn score(&self, words: Range<usize>, output: &[f32], rows: usize, scores: &mut Vec<f32>) {
        let (width, values) = (self.encoder.spec().embedding, self.encoder.weights());
        let table = &values[self.encoder.words()][words.start * width..words.end * width];
        scores.resize(rows * words.len(), 0.0);
        linear::forward(scores, output, table, rows);
        if let Some(bias) = &self.bias {
            linear::add_bias(scores, &values[bias.clone()][words]);
        }
    }
}

impl Saturation {
    /// The weight of a score. NaN stays NaN.
    fn of(self, score: f32) -> f32 {
        let weight = if score <= 0.0 { 0.0 } else { score.ln_1p() };
        if self.twice { weight.ln_1p() } else { weight }
    }

    /// The slope where the weight is this, above 0.
    fn slope(self, weight: f32) -> f32 {
        if self.twice {
            let inner = weight.exp_m1();
            (-weight - inner).exp()
        } else {
            (-weight).exp()
        }
    }

    /// The slope at a score above 0.
    fn slope_at(self, score: f32) -> f32 {
        let once = 1.0 / (1.0 + score);
        if self.twice { once / (1.0 + score.ln_1p()) } else { once }
    }
}

fn blocks(vocab: usize) -> impl Iterator<Item = Range<usize>> {
    (0..vocab).step_by(BLOCK).map(move |first| first..vocab.min(first + BLOCK))
}
