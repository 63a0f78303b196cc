//! The weights of all words, a block of words at a time.

use rayon::prelude::*;

use super::{Saturation, Winners, WordPooling, blocks};
use crate::Result;
use crate::nn::head::{HeadCache, MaskedLm};
use crate::nn::math::vectorised;
use crate::nn::{Activations, PackedBatch};

impl MaskedLm {
    /// The weights of all words in each text of a batch: `(B, V)`, and what the backward pass needs. A text without tokens
    /// has no words.
    pub(crate) fn forward_words(
        &self,
        pooling: WordPooling,
        saturation: Saturation,
        batch: &PackedBatch,
        activations: &mut Activations,
    ) -> Result<(Vec<f32>, Winners)> {
        self.encoder.forward(batch, activations)?;
        let (rows, spec) = (batch.tokens(), self.encoder.spec());
        let values = self.encoder.weights();
        activations.head.fit(rows, spec.width, spec.embedding, 0);
        let mut weights = vec![0.0; batch.sequences() * spec.vocab];
        let keeps = pooling == WordPooling::Max && activations.memory.is_some();
        let mut winners = vec![0; if keeps { weights.len() } else { 0 }];
        if rows == 0 {
            return Ok((weights, Winners(winners)));
        }
        let Activations { hidden, head, .. } = activations;
        head.input.copy_from_slice(&hidden[..rows * spec.width]);
        self.transform.forward(values, rows, head);

        let HeadCache { output, block: scores, .. } = head;
        for words in blocks(spec.vocab) {
            self.score(words.clone(), output, rows, scores);
            let (width, bounds) = (words.len(), &batch.bounds);
            let texts = weights.par_chunks_exact_mut(spec.vocab).enumerate();
            match pooling {
                WordPooling::Max if keeps => {
                    texts.zip(winners.par_chunks_exact_mut(spec.vocab)).for_each(|((text, weights), winners)| {
                        let scores = &scores[bounds[text] * width..bounds[text + 1] * width];
                        keep_largest(scores, &mut weights[words.clone()], &mut winners[words.clone()]);
                    });
                }
                WordPooling::Max => texts.for_each(|(text, weights)| {
                    largest(&scores[bounds[text] * width..bounds[text + 1] * width], &mut weights[words.clone()]);
                }),
                WordPooling::Sum => texts.for_each(|(text, weights)| {
                    let weights = &mut weights[words.clone()];
                    for row in scores[bounds[text] * width..bounds[text + 1] * width].chunks_exact(width) {
                        weights.iter_mut().zip(row).for_each(|(sum, score)| *sum += saturation.of(*score));
                    }
                }),
            }
        }
        if pooling == WordPooling::Max {
            weights.par_iter_mut().for_each(|weight| *weight = saturation.of(*weight));
        }
        Ok((weights, Winners(winners)))
    }
}

vectorised! {
    /// The largest score of each word; none below 0 counts, and NaN is larger than all.
    fn largest(scores: &[f32], best: &mut [f32]) {
        for row in scores.chunks_exact(best.len()) {
            for (best, score) in best.iter_mut().zip(row) {
                let wins = *score > *best || score.is_nan();
                *best = if wins { *score } else { *best };
            }
        }
    }
}

vectorised! {
    /// The same with the token that has it: the first of several.
    fn keep_largest(scores: &[f32], best: &mut [f32], winners: &mut [u32]) {
        for (token, row) in (0_u32..).zip(scores.chunks_exact(best.len())) {
            for ((best, winner), score) in best.iter_mut().zip(winners.iter_mut()).zip(row) {
                let wins = *score > *best || score.is_nan();
                *best = if wins { *score } else { *best };
                *winner = if wins { token } else { *winner };
            }
        }
    }
}
