//! Sparse vectors: one weight per word of the vocabulary and text, from the masked-language-model head.
//!
//! The scores of all words at all tokens, `(T, V)`, are never there as a whole: they are made for a block of words at a
//! time. Of a maximum it is enough to know which token had it, so that the backward pass computes no score again and
//! touches active words alone. A sum has to compute them once more.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{HeadCache, MaskedLm};
use crate::nn::blocks::linear;
use crate::nn::gemm::{Threads, View, gemm};
use crate::nn::math::vectorised;
use crate::nn::{Activations, PackedBatch};
use crate::{Error, Result};

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
/// Words whose embeddings' gradients are one task.
const WORDS_PER_TASK: usize = 64;

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
        let values = self.encoder.parameters().values.as_slice();
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
            let (values, grads) = self.encoder.parameters_mut().values_and_grads();
            self.transform.backward(values, grads, rows, &mut head);
            head.d_hidden.copy_from_slice(&head.d_input);
        }
        let done = self.encoder.backward(batch, activations, &head.d_hidden);
        activations.head = head;
        done
    }

    /// The scores `(T, words)` of some words.
    fn score(&self, words: Range<usize>, output: &[f32], rows: usize, scores: &mut Vec<f32>) {
        let (width, values) = (self.encoder.spec().embedding, self.encoder.parameters().values.as_slice());
        let table = &values[self.encoder.words()][words.start * width..words.end * width];
        scores.resize(rows * words.len(), 0.0);
        linear::forward(scores, output, table, rows);
        if let Some(bias) = &self.bias {
            linear::add_bias(scores, &values[bias.clone()][words]);
        }
    }

    /// From the gradient of the largest scores `(B, V)`: those of embeddings, bias and `head.d_output`.
    fn backward_largest(&mut self, batch: &PackedBatch, head: &mut HeadCache, winners: &[u32], d_scores: &[f32]) {
        let (width, vocab) = (self.encoder.spec().embedding, self.encoder.spec().vocab);
        let (bias, words) = (self.bias.clone(), self.encoder.words());
        let (values, grads) = self.encoder.parameters_mut().values_and_grads();
        let HeadCache { output, d_output, .. } = head;
        let tokens = |text: usize| batch.bounds[text] * width..batch.bounds[text + 1] * width;
        // A word belongs to one task, and so does a text: the order of all sums is that of the batch.
        let tasks = grads[words.clone()].par_chunks_mut(WORDS_PER_TASK * width).enumerate();
        tasks.for_each(|(task, d_table)| {
            let first = task * WORDS_PER_TASK;
            for text in 0..batch.sequences() {
                let place = text * vocab + first..text * vocab + first + d_table.len() / width;
                add_rows(d_table, &output[tokens(text)], &winners[place.clone()], &d_scores[place], width);
            }
        });
        if let Some(bias) = bias {
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
            let (values, grads) = self.encoder.parameters_mut().values_and_grads();
            let rows_of_table = table.start + words.start * width..table.start + words.end * width;
            let d_scores = View::new(scores, rows, words.len());
            let known = View::new(&values[rows_of_table.clone()], words.len(), width);
            gemm(d_output, d_scores, known, 1.0, true, Threads::All);
            gemm(&mut grads[rows_of_table], d_scores.t(), View::new(output, rows, width), 1.0, true, Threads::All);
            if let Some(bias) = &bias {
                linear::add_column_sums(&mut grads[bias.clone()][words], scores);
            }
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

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor, Var};

    use super::*;
    use crate::nn::{BertConfig, DistilBertConfig, Encoder, EncoderConfig};
    use crate::random::Philox;

    /// More words than a block.
    const VOCAB: usize = BLOCK + 70;

    fn model(config: impl Into<EncoderConfig>) -> MaskedLm {
        MaskedLm::new(Encoder::new(config, 3).unwrap(), 4).unwrap()
    }

    fn models() -> [MaskedLm; 2] {
        let bert = BertConfig {
            vocab_size: VOCAB,
            hidden_size: 24,
            num_attention_heads: 2,
            num_hidden_layers: 2,
            intermediate_size: 40,
            initializer_range: 0.4,
            ..Default::default()
        };
        let distilbert = DistilBertConfig {
            vocab_size: VOCAB,
            dim: 24,
            n_heads: 2,
            n_layers: 1,
            hidden_dim: 40,
            initializer_range: 0.4,
            ..Default::default()
        };
        [model(bert), model(distilbert)]
    }

    /// One text has no token, another one.
    fn batch() -> PackedBatch {
        let mut rng = Philox::new(11);
        PackedBatch::new([9, 0, 1, 23].map(|length| (0..length).map(|_| rng.below(VOCAB) as u32).collect::<Vec<_>>()))
    }

    fn all(model: &MaskedLm) -> Vec<(String, Vec<f32>)> {
        let parameters = model.encoder().parameters();
        let grad = |name: &String| (name.clone(), parameters.grad(name).unwrap());
        parameters.entries().iter().map(|entry| grad(&entry.name)).collect()
    }

    fn near(what: &str, ours: &[f32], expected: &[f32]) {
        let largest = expected.iter().fold(1e-3_f32, |largest, value| largest.max(value.abs()));
        for (ours, expected) in ours.iter().zip(expected) {
            assert!((ours - expected).abs() < 2e-5 * largest, "{what}: {ours} instead of {expected}");
        }
        assert_eq!(ours.len(), expected.len(), "{what}");
    }

    /// All scores at once, and what candle makes of them.
    fn in_candle(
        model: &mut MaskedLm,
        (pooling, twice): (WordPooling, bool),
        upstream: &[f32],
    ) -> (Vec<f32>, Vec<(String, Vec<f32>)>) {
        let (batch, mut activations) = (batch(), Activations::training());
        let tokens: Vec<usize> = (0..batch.tokens()).collect();
        model.forward(&batch, &tokens, &mut activations).unwrap();
        let logits = Tensor::from_slice(activations.logits(), (tokens.len(), VOCAB), &Device::Cpu).unwrap();
        let logits = Var::from_tensor(&logits).unwrap();
        let log1p = |x: Tensor| (x + 1.0).unwrap().log().unwrap();
        let mut words = log1p(logits.relu().unwrap());
        if twice {
            words = log1p(words);
        }
        let pooled = batch.ranges().filter(|range| !range.is_empty()).map(|range| {
            let own = words.narrow(0, range.start, range.len()).unwrap();
            if pooling == WordPooling::Max { own.max_keepdim(0) } else { own.sum_keepdim(0) }.unwrap()
        });
        let mut pooled: Vec<Tensor> = pooled.collect();
        pooled.insert(1, pooled[0].zeros_like().unwrap());
        let pooled = Tensor::cat(&pooled, 0).unwrap();
        let upstream = Tensor::from_slice(upstream, pooled.shape(), &Device::Cpu).unwrap();
        let grads = (&pooled * upstream).unwrap().sum_all().unwrap().backward().unwrap();
        let d_logits = grads.get(&logits).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        model.encoder_mut().parameters_mut().zero_grads();
        model.backward(&batch, &tokens, &mut activations, &d_logits).unwrap();
        (pooled.flatten_all().unwrap().to_vec1().unwrap(), all(model))
    }

    fn ours(
        model: &mut MaskedLm,
        (pooling, twice): (WordPooling, bool),
        upstream: &[f32],
    ) -> (Vec<f32>, Vec<(String, Vec<f32>)>) {
        let (batch, mut activations, saturation) = (batch(), Activations::training(), Saturation { twice });
        model.encoder_mut().parameters_mut().zero_grads();
        let (weights, winners) = model.forward_words(pooling, saturation, &batch, &mut activations).unwrap();
        let inference = &mut Activations::inference();
        assert_eq!(model.forward_words(pooling, saturation, &batch, inference).unwrap().0, weights);
        assert!(activations.logits().is_empty() && inference.logits().is_empty(), "scores of all words");
        let kept = (weights.as_slice(), &winners);
        model.backward_words((pooling, saturation), &batch, &mut activations, kept, upstream).unwrap();
        (weights, all(model))
    }

    const WAYS: [(WordPooling, bool); 4] =
        [(WordPooling::Max, false), (WordPooling::Max, true), (WordPooling::Sum, false), (WordPooling::Sum, true)];

    fn upstream() -> Vec<f32> {
        let mut rng = Philox::new(12);
        // Some words have no gradient.
        (0..4 * VOCAB).map(|place| if place % 5 == 0 { 0.0 } else { rng.normal() as f32 }).collect()
    }

    #[test]
    fn equals_all_scores_in_candle() {
        for mut model in models() {
            for way in WAYS {
                let (expected, expected_grads) = in_candle(&mut model, way, &upstream());
                let (weights, grads) = ours(&mut model, way, &upstream());
                near("weights", &weights, &expected);
                assert!(weights.contains(&0.0) && weights.iter().any(|weight| *weight > 0.5));
                for ((name, grad), (_, expected)) in grads.iter().zip(&expected_grads) {
                    if !model.encoder().cancels(name) {
                        near(&format!("{way:?}: {name}"), grad, expected);
                    }
                }
            }
        }
    }

    #[test]
    fn the_same_with_any_threads() {
        let [mut model, _] = models();
        for way in WAYS {
            let mut with = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| ours(&mut model, way, &upstream()))
            };
            let one = with(1);
            for threads in [2, 5] {
                assert!(one == with(threads), "{way:?} with {threads} threads");
            }
        }
    }

    #[test]
    fn nan_is_not_passed_over() {
        let [mut model, _] = models();
        model.encoder_mut().parameters_mut().values_mut("cls.predictions.bias").unwrap()[7] = f32::NAN;
        for (pooling, twice) in WAYS {
            let mut activations = Activations::training();
            let found = model.forward_words(pooling, Saturation { twice }, &batch(), &mut activations).unwrap().0;
            assert!(found[7].is_nan() && found[8].is_finite(), "{pooling:?}");
        }
    }

    #[test]
    fn a_gradient_of_another_batch_is_refused() {
        let [mut model, _] = models();
        let (batch, mut activations, way) =
            (batch(), Activations::training(), (WordPooling::Max, Saturation::default()));
        let (weights, winners) = model.forward_words(way.0, way.1, &batch, &mut activations).unwrap();
        let refused = model.backward_words(way, &batch, &mut activations, (&weights, &winners), &weights[1..]);
        assert!(refused.unwrap_err().to_string().contains("gradient of the weights of words"));
    }
}
