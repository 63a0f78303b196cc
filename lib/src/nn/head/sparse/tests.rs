//! Sparse vectors against all scores at once in candle.

use candle_core::{Device, Tensor, Var};

use super::*;
use crate::nn::{Activations, BertConfig, DistilBertConfig, Encoder, EncoderConfig, PackedBatch};
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
    let (batch, mut activations, way) = (batch(), Activations::training(), (WordPooling::Max, Saturation::default()));
    let (weights, winners) = model.forward_words(way.0, way.1, &batch, &mut activations).unwrap();
    let refused = model.backward_words(way, &batch, &mut activations, (&weights, &winners), &weights[1..]);
    assert!(refused.unwrap_err().to_string().contains("gradient of the weights of words"));
}
