//! From the gradient of the weights to that of every parameter.

use rayon::prelude::*;

use super::{Saturation, Winners, WordPooling, blocks};
use crate::nn::blocks::linear;
use crate::nn::gemm::{Threads, View, gemm};
use crate::nn::head::{HeadCache, MaskedLm};
use crate::nn::math::vectorised;
use crate::nn::{Activations, PackedBatch};
use crate::{Error, Result};

/// Words whose embeddings' gradients are one task.
const WORDS_PER_TASK: usize = 64;

impl MaskedLm {
    /// From the gradient of the weights `(B, V)` of the last forward pass with these [`Activations::training`]: adds the
    /// gradient of every parameter to the table.
    pub(crate) fn backward_words(
        &mut self,
        (pooling, saturation): (WordPooling, Saturation),
        batch: &PackedBatch,
        activations: &mut Activations,
        (weights, Winners(winners)): (&[f32], &Winners),
        d_weights: &[f32],
    ) -> Result<()> {
        let (rows, spec) = (batch.tokens(), self.encoder.spec());
        let (size, width) = (batch.sequences() * spec.vocab, spec.width);
        let kept = if pooling == WordPooling::Max { size } else { 0 };
        let fits = [weights.len(), d_weights.len()] == [size; 2] && winners.len() == kept;
        if !fits || activations.head.output.len() != rows * spec.embedding {
            return Err(Error::Shape {
                what: "gradient of the weights of words".to_owned(),
                found: format!("{} numbers of {} weights", d_weights.len(), weights.len()),
                expected: format!("{size}, after a forward pass of the same batch for training"),
            });
        }
        let mut head = std::mem::take(&mut activations.head);
        head.d_hidden.clear();
        head.d_hidden.resize(rows * width, 0.0);
        if rows > 0 {
            head.d_output.clear();
            head.d_output.resize(head.output.len(), 0.0);
            match pooling {
                WordPooling::Max => {
                    let slope =
                        |(d, weight): (&f32, &f32)| if *weight > 0.0 { d * saturation.slope(*weight) } else { 0.0 };
                    let d_scores: Vec<f32> = d_weights.par_iter().zip(weights).map(slope).collect();
                    self.backward_largest(batch, &mut head, winners, &d_scores);
                }
                WordPooling::Sum => self.backward_sums(saturation, batch, &mut head, d_weights),
            }
            let (values, grads) = self.encoder.weights_and_grads();
            self.transform.backward(values, grads, rows, &mut head);
            head.d_hidden.copy_from_slice(&head.d_input);
        }
        let done = self.encoder.backward(batch, activations, &head.d_hidden);
        activations.head = head;
        done
    }

    /// From the gradient of the largest scores `(B, V)`: those of embeddings, bias and `head.d_output`.
    fn backward_largest(&mut self, batch: &PackedBatch, head: &mut HeadCache, winners: &[u32], d_scores: &[f32]) {
        let (width, vocab) = (self.encoder.spec().embedding, self.encoder.spec().vocab);
        let (bias, words) = (self.bias.clone(), self.encoder.words());
        let (values, mut grads) = self.encoder.weights_and_grads();
        let HeadCache { output, d_output, .. } = head;
        let tokens = |text: usize| batch.bounds[text] * width..batch.bounds[text + 1] * width;
        // A word belongs to one task, and so does a text: the order of all sums is that of the batch.
        let d_words = grads.as_deref_mut().map_or(&mut [][..], |grads| &mut grads[words.clone()]);
        let tasks = d_words.par_chunks_mut(WORDS_PER_TASK * width).enumerate();
        tasks.for_each(|(task, d_table)| {
            let first = task * WORDS_PER_TASK;
            for text in 0..batch.sequences() {
                let place = text * vocab + first..text * vocab + first + d_table.len() / width;
                add_rows(d_table, &output[tokens(text)], &winners[place.clone()], &d_scores[place], width);
            }
        });
        if let Some((bias, grads)) = bias.zip(grads) {
            grads[bias].par_iter_mut().enumerate().for_each(|(word, d_bias)| {
                // As for any bias, the sum is f64: its terms may cancel.
                let terms = d_scores.iter().skip(word).step_by(vocab);
                *d_bias += terms.map(|d| f64::from(*d)).sum::<f64>() as f32;
            });
        }
        let table = &values[words];
        let mut texts = Vec::with_capacity(batch.sequences());
        let mut rest = d_output.as_mut_slice();
        for range in batch.ranges() {
            let (own, others) = rest.split_at_mut(range.len() * width);
            texts.push(own);
            rest = others;
        }
        let texts = texts.into_par_iter().zip(winners.par_chunks_exact(vocab)).zip(d_scores.par_chunks_exact(vocab));
        texts.for_each(|((d_output, winners), d_scores)| add_words(d_output, table, winners, d_scores, width));
    }

    /// From the gradient of the sums `(B, V)`: the same, with the scores computed again.
    fn backward_sums(&mut self, saturation: Saturation, batch: &PackedBatch, head: &mut HeadCache, d_weights: &[f32]) {
        let (rows, width, vocab) = (batch.tokens(), self.encoder.spec().embedding, self.encoder.spec().vocab);
        let (bias, table) = (self.bias.clone(), self.encoder.words());
        let HeadCache { output, d_output, block: scores, .. } = head;
        for words in blocks(vocab) {
            self.score(words.clone(), output, rows, scores);
            let mut texts = Vec::with_capacity(batch.sequences());
            let mut rest = scores.as_mut_slice();
            for range in batch.ranges() {
                let (own, others) = rest.split_at_mut(range.len() * words.len());
                texts.push(own);
                rest = others;
            }
            texts.into_par_iter().zip(d_weights.par_chunks_exact(vocab)).for_each(|(scores, d_weights)| {
                for row in scores.chunks_exact_mut(words.len()) {
                    for (score, d) in row.iter_mut().zip(&d_weights[words.clone()]) {
                        *score = if *score > 0.0 { d * saturation.slope_at(*score) } else { 0.0 };
                    }
                }
            });
            let (values, grads) = self.encoder.weights_and_grads();
            let rows_of_table = table.start + words.start * width..table.start + words.end * width;
            let d_scores = View::new(scores, rows, words.len());
            let known = View::new(&values[rows_of_table.clone()], words.len(), width);
            gemm(d_output, d_scores, known, 1.0, true, Threads::All);
            let Some(grads) = grads else { continue };
            gemm(&mut grads[rows_of_table], d_scores.t(), View::new(output, rows, width), 1.0, true, Threads::All);
            if let Some(bias) = &bias {
                linear::add_column_sums(&mut grads[bias.clone()][words], scores);
            }
        }
    }
}

vectorised! {
    /// To the gradient of each word's embedding, the row of the token that won it.
    fn add_rows(d_table: &mut [f32], output: &[f32], winners: &[u32], d_scores: &[f32], width: usize) {
        for ((d_word, winner), d) in d_table.chunks_exact_mut(width).zip(winners).zip(d_scores) {
            if *d != 0.0 {
                let row = &output[*winner as usize * width..][..width];
                d_word.iter_mut().zip(row).for_each(|(sum, value)| *sum += d * value);
            }
        }
    }
}

vectorised! {
    /// To the gradient of each token, the embeddings of the words that it won.
    fn add_words(d_output: &mut [f32], table: &[f32], winners: &[u32], d_scores: &[f32], width: usize) {
        for ((word, winner), d) in table.chunks_exact(width).zip(winners).zip(d_scores) {
            if *d != 0.0 {
                let row = &mut d_output[*winner as usize * width..][..width];
                row.iter_mut().zip(word).for_each(|(sum, value)| *sum += d * value);
            }
        }
    }
}
