//! The BERT engine against transformers and against its own slow reference.

use candle_core::{DType, Tensor};
use kensaku::nn::reference::ReferenceBert;
use kensaku::nn::{Activations, Bert, BertConfig, Dropout, PackedBatch};
use kensaku::random::Philox;

use crate::golden::{Tensors, distance, fixture, floats, json, relative_distance, within};
use crate::shared::{Trials, test};

/// `golden/README.md`: encoders, hidden states where the mask is 1.
const HIDDEN: f64 = 1e-5;
/// `golden/README.md`: norm of the difference over the norm, per tensor.
const GRADIENT: f64 = 1e-5;
/// `golden/README.md`: gradients that are zero in exact arithmetic.
const ZERO_GRADIENT: f64 = 1e-4;

pub fn trials() -> Trials {
    let golden = ["bert", "bert_gelu_tanh", "minilm"]
        .map(|name| test(&format!("backbones::{name}_equals_transformers"), move || equals_transformers(name)));
    let mut trials = Vec::from(golden);
    trials.push(test("backbones::names_of_old_checkpoints", old_names));
    trials.push(test("backbones::equals_the_slow_reference", || equals_reference(None)));
    trials.push(test("backbones::equals_the_slow_reference_with_dropout", || {
        equals_reference(Some(Dropout { seed: 5, step: 3, first_token: 2 }));
    }));
    trials.push(test("backbones::does_not_depend_on_threads", threads));
    trials.push(test("backbones::does_not_depend_on_neighbours", neighbours));
    trials.push(test("backbones::finite_differences", finite_differences));
    trials
}

fn equals_transformers(name: &str) {
    let dir = fixture("backbones").join(name);
    let mut bert = Bert::load(&dir).unwrap();
    let expected = Tensors::read(&dir.join("expected.safetensors"));
    let inputs = Tensors::read(&dir.join("inputs.safetensors"));
    let case = json(&dir.join("case.json"));
    let mut batch = PackedBatch::new(inputs.unpadded("input_ids", "attention_mask"));
    if case["token_type_ids_used_in_forward"] == true {
        batch.token_types = inputs.unpadded("token_type_ids", "attention_mask").concat();
    }

    let mut activations = Activations::training();
    bert.forward(&batch, &mut activations).unwrap();
    let hidden = unpadded_rows(&inputs, expected.tensor("last_hidden_state"));
    within("hidden states", distance(activations.hidden(), &hidden), HIDDEN);

    let upstream = unpadded_rows(&inputs, inputs.tensor("R"));
    bert.parameters_mut().zero_grads();
    bert.backward(&batch, &mut activations, &upstream).unwrap();
    let zero: Vec<&str> = case["gradients_exactly_zero_stored_as_zero"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str())
        .collect();
    let names: Vec<String> = bert.parameters().entries().iter().map(|entry| entry.name.clone()).collect();
    let golden = expected.names().filter(|name| name.starts_with("grad.")).count();
    assert_eq!(names.len(), golden, "parameters with a gradient");
    for name in &names {
        let ours = bert.parameters().grad(name).unwrap();
        let theirs = expected.floats(&format!("grad.{name}"));
        if zero.contains(&name.as_str()) {
            within(name, distance(&ours, &theirs), ZERO_GRADIENT);
        } else {
            assert!(ours.iter().any(|grad| *grad != 0.0), "{name} has no gradient");
            within(name, relative_distance(&ours, &theirs), GRADIENT);
        }
    }
}

fn old_names() {
    let dir = fixture("backbones/bert");
    let renamed = tempfile::tempdir().unwrap();
    std::fs::copy(dir.join("config.json"), renamed.path().join("config.json")).unwrap();
    std::fs::copy(dir.join("model.old_names.safetensors"), renamed.path().join("model.safetensors")).unwrap();
    let (old, new) = (Bert::load(renamed.path()).unwrap(), Bert::load(dir).unwrap());
    for entry in new.parameters().entries() {
        assert_eq!(old.parameters().values(&entry.name).unwrap(), new.parameters().values(&entry.name).unwrap());
    }
}

/// A model with real dropout rates and an odd shape, and sequences of length 1 to 50.
fn tiny() -> (Bert, PackedBatch, Vec<f32>) {
    let config = BertConfig {
        vocab_size: 70,
        hidden_size: 36,
        num_attention_heads: 3,
        intermediate_size: 50,
        max_position_embeddings: 64,
        initializer_range: 0.3,
        ..Default::default()
    };
    let width = config.hidden_size;
    let mut rng = Philox::new(11);
    let lengths = [1, 7, 50, 16, 2];
    let batch = PackedBatch::new(lengths.map(|length| (0..length).map(|_| rng.below(70) as u32).collect::<Vec<_>>()));
    let upstream = (0..batch.tokens() * width).map(|_| rng.normal() as f32).collect();
    (Bert::new(config, 1).unwrap(), batch, upstream)
}

fn equals_reference(dropout: Option<Dropout>) {
    let (mut bert, batch, upstream) = tiny();
    let mut activations = Activations::training();
    activations.set_dropout(dropout);
    bert.forward(&batch, &mut activations).unwrap();
    let reference = ReferenceBert::new(&bert).unwrap();
    let hidden = reference.forward(&batch, dropout).unwrap();
    within("hidden states", distance(activations.hidden(), &floats(&hidden)), HIDDEN);

    bert.backward(&batch, &mut activations, &upstream).unwrap();
    let upstream = Tensor::from_vec(upstream, hidden.shape(), hidden.device()).unwrap();
    let grads = (hidden * upstream).unwrap().sum_all().unwrap().backward().unwrap();
    for (name, variable) in reference.parameters() {
        let (ours, theirs) = (bert.parameters().grad(name).unwrap(), floats(grads.get(variable).unwrap()));
        if name.ends_with("key.bias") {
            within(name, distance(&ours, &theirs), ZERO_GRADIENT);
        } else {
            assert!(ours.iter().any(|grad| *grad != 0.0), "{name} has no gradient");
            within(name, relative_distance(&ours, &theirs), GRADIENT);
        }
    }
}

/// Outputs and gradients, bit for bit.
fn pass(threads: usize) -> (Vec<f32>, Vec<Vec<f32>>) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let (mut bert, batch, upstream) = tiny();
        let mut activations = Activations::training();
        activations.set_dropout(Some(Dropout { seed: 5, step: 3, first_token: 2 }));
        bert.forward(&batch, &mut activations).unwrap();
        let hidden = activations.hidden().to_vec();
        bert.backward(&batch, &mut activations, &upstream).unwrap();
        let entries = bert.parameters().entries();
        (hidden, entries.iter().map(|entry| bert.parameters().grad(&entry.name).unwrap()).collect())
    })
}

fn threads() {
    assert_eq!(pass(1), pass(4));
}

/// A sequence alone gives what it gives in company: nothing is padded, nothing leaks.
fn neighbours() {
    let (bert, batch, _) = tiny();
    let mut activations = Activations::inference();
    bert.forward(&batch, &mut activations).unwrap();
    let width = bert.config().hidden_size;
    let together = activations.hidden().to_vec();
    for range in batch.ranges() {
        bert.forward(&PackedBatch::new([&batch.ids[range.clone()]]), &mut activations).unwrap();
        within("alone", distance(activations.hidden(), &together[range.start * width..range.end * width]), HIDDEN);
    }
}

/// The slope of `sum(hidden * upstream)` along each parameter's own gradient is the gradient's square.
fn finite_differences() {
    let (mut bert, batch, upstream) = tiny();
    let mut activations = Activations::training();
    bert.forward(&batch, &mut activations).unwrap();
    bert.backward(&batch, &mut activations, &upstream).unwrap();
    let names: Vec<String> = bert.parameters().entries().iter().map(|entry| entry.name.clone()).collect();
    for name in names.iter().filter(|name| !name.ends_with("key.bias")) {
        let grad = bert.parameters().grad(name).unwrap();
        let square: f64 = grad.iter().map(|grad| f64::from(*grad).powi(2)).sum();
        let mut value_at = |shift: f64| {
            let mut moved = bert.clone();
            let step = shift / square.sqrt();
            let values = moved.parameters_mut().values_mut(name).unwrap();
            values.iter_mut().zip(&grad).for_each(|(value, grad)| *value += (f64::from(*grad) * step) as f32);
            moved.forward(&batch, &mut activations).unwrap();
            let products = activations.hidden().iter().zip(&upstream);
            products.map(|(hidden, upstream)| f64::from(*hidden) * f64::from(*upstream)).sum::<f64>()
        };
        let slope = (value_at(1e-2) - value_at(-1e-2)) / 2e-2;
        within(&format!("slope along {name}"), (slope / square.sqrt() - 1.0).abs(), 2e-2);
    }
}

/// The rows `(T, H)` of `(B, S, H)` where the mask is 1.
fn unpadded_rows(inputs: &Tensors, padded: &Tensor) -> Vec<f32> {
    let mask = inputs.tensor("attention_mask").to_dtype(DType::U32).unwrap().to_vec2::<u32>().unwrap();
    let rows = padded.to_vec3::<f32>().unwrap();
    let kept = rows.into_iter().flatten().zip(mask.into_iter().flatten()).filter(|(_, mask)| *mask == 1);
    kept.flat_map(|(row, _)| row).collect()
}
