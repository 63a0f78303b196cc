//! The encoder engine against transformers and against its own slow reference.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use kensaku::data::TrainingSet;
use kensaku::loss::MultipleNegativesRanking;
use kensaku::model::{BiEncoder, BiEncoderConfig, Role};
use kensaku::nn::reference::Reference;
use kensaku::nn::{Activations, Dropout, Encoder, EncoderConfig, LoadReport, Memory, PackedBatch};
use kensaku::train::{TrainConfig, Trainer};
use polars::prelude::df;

use crate::families::{LENGTHS, cancels, families, plain, tiny, with_lengths};
use crate::golden::{Tensors, distance, fixture, floats, json, relative_distance, within};
use crate::shared::{Trials, test};
use crate::words::word_tokenizer;

/// Tolerances: encoders, hidden states where the mask is 1.
const HIDDEN: f64 = 1e-5;
/// Tolerances: norm of the difference over the norm, per tensor.
const GRADIENT: f64 = 1e-5;
/// Tolerances: gradients that are zero in exact arithmetic.
const ZERO_GRADIENT: f64 = 1e-4;

pub fn trials() -> Trials {
    let golden = [
        "bert",
        "bert_gelu_tanh",
        "deberta_v2",
        "distilbert",
        "distilbert_sinusoidal",
        "electra",
        "minilm",
        "modernbert",
        "mpnet",
        "roberta",
        "xlm_roberta",
    ];
    let golden =
        golden.map(|name| test(&format!("backbones::{name}_equals_transformers"), move || equals_transformers(name)));
    let mut trials = Vec::from(golden);
    trials.push(test("backbones::names_of_old_checkpoints", old_names));
    for (family, config) in families() {
        let with = |what: &str, run: fn(EncoderConfig)| {
            let config = config.clone();
            test(&format!("backbones::{family}_{what}"), move || run(config))
        };
        trials.push(with("equals_the_slow_reference", |config| equals_reference(&LENGTHS, config, None, &[])));
        trials.push(with("equals_the_slow_reference_with_dropout", |config| {
            equals_reference(&LENGTHS, config, DROPOUT, &[])
        }));
        trials.push(with("equals_the_slow_reference_with_unseen_tokens", |config| {
            equals_reference(&LENGTHS, config, DROPOUT, &[1, 5, 45, 10, 1]);
        }));
        trials.push(with("equals_the_slow_reference_over_several_blocks", |config| {
            equals_reference(&[300, 2], config, DROPOUT, &[]);
        }));
        trials.push(with("first_tokens_are_those_of_the_whole_pass", first_tokens));
        trials.push(with("frozen_parameters_change_no_other_gradient", frozen));
        trials.push(with("does_not_depend_on_threads", threads));
        trials.push(with("does_not_depend_on_neighbours", neighbours));
        trials.push(with("finite_differences", finite_differences));
        trials.push(with("is_saved_and_loaded_bit_for_bit", saved));
        trials.push(with("trains_as_a_bi_encoder", |config| trains(config).unwrap()));
    }
    trials
}

fn equals_transformers(name: &str) {
    let dir = fixture("backbones").join(name);
    let mut encoder = Encoder::load(&dir).unwrap();
    let expected = Tensors::read(&dir.join("expected.safetensors"));
    let inputs = Tensors::read(&dir.join("inputs.safetensors"));
    let case = json(&dir.join("case.json"));
    let mut batch = PackedBatch::new(inputs.unpadded("input_ids", "attention_mask"));
    if case["token_type_ids_used_in_forward"] == true {
        batch.token_types = inputs.unpadded("token_type_ids", "attention_mask").concat();
    }

    let mut activations = Activations::training();
    encoder.forward(&batch, &mut activations).unwrap();
    let hidden = unpadded_rows(&inputs, expected.tensor("last_hidden_state"));
    within("hidden states", distance(activations.hidden(), &hidden), HIDDEN);

    let upstream = unpadded_rows(&inputs, inputs.tensor("R"));
    encoder.parameters_mut().zero_grads();
    encoder.backward(&batch, &mut activations, &upstream).unwrap();
    equal_gradients(&dir, &encoder, &expected);
}

/// Every parameter has the gradient that the golden file holds, and that holds no other.
pub fn equal_gradients(dir: &Path, encoder: &Encoder, expected: &Tensors) {
    let case = json(&dir.join("case.json"));
    let zero: Vec<&str> = case["gradients_exactly_zero_stored_as_zero"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str())
        .map(plain)
        .collect();
    let golden: HashMap<&str, &str> =
        expected.names().filter_map(|name| Some((plain(name.strip_prefix("grad.")?), name))).collect();
    let parameters = encoder.parameters();
    assert_eq!(parameters.entries().len(), golden.len(), "parameters with a gradient");
    for entry in parameters.entries() {
        let name = entry.name.as_str();
        let (ours, theirs) = (parameters.grad(name).unwrap(), expected.floats(golden[name]));
        if zero.contains(&name) {
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
    let (old, new) = (Encoder::load(renamed.path()).unwrap(), Encoder::load(dir).unwrap());
    for entry in new.parameters().entries() {
        assert_eq!(old.parameters().values(&entry.name).unwrap(), new.parameters().values(&entry.name).unwrap());
    }
}

const DROPOUT: Option<Dropout> = Some(Dropout { seed: 5, step: 3, first_token: 2 });

/// A model, and sequences of length 1 to 50.
fn equals_reference(lengths: &[usize], config: EncoderConfig, dropout: Option<Dropout>, attended: &[usize]) {
    let (mut encoder, mut batch, upstream) = with_lengths(lengths, config);
    batch.attended = attended.to_vec();
    let mut activations = Activations::training();
    activations.set_dropout(dropout);
    encoder.forward(&batch, &mut activations).unwrap();
    let reference = Reference::new(&encoder).unwrap();
    let hidden = reference.forward(&batch, dropout).unwrap();
    within("hidden states", distance(activations.hidden(), &floats(&hidden)), HIDDEN);

    encoder.backward(&batch, &mut activations, &upstream).unwrap();
    let upstream = Tensor::from_vec(upstream, hidden.shape(), hidden.device()).unwrap();
    let grads = (hidden * upstream).unwrap().sum_all().unwrap().backward().unwrap();
    for (name, variable) in reference.parameters() {
        let (ours, theirs) = (encoder.parameters().grad(name).unwrap(), floats(grads.get(variable).unwrap()));
        if cancels(name) {
            within(name, distance(&ours, &theirs), ZERO_GRADIENT);
        } else {
            assert!(ours.iter().any(|grad| *grad != 0.0), "{name} has no gradient");
            within(name, relative_distance(&ours, &theirs), GRADIENT);
        }
    }
}

/// A model that reads first tokens alone computes what one that reads all does there, and its gradients are those of
/// one whose other hidden states have none.
fn first_tokens(config: EncoderConfig) {
    for memory in [Memory::default(), Memory { checkpointing: true, ..Memory::default() }] {
        let (mut encoder, mut batch, mut upstream) = with_lengths(&[1, 300, 0, 7, 2], config.clone());
        batch.attended = vec![1, 296, 0, 7, 1];
        let width = encoder.config().hidden_size();
        let firsts = [0, 1, 301, 308];
        let rows = |all: &[f32]| firsts.map(|token| all[token * width..][..width].to_vec()).concat();
        let (mut whole, mut part) = (Activations::with(memory), Activations::with(memory));
        for activations in [&mut whole, &mut part] {
            activations.set_dropout(DROPOUT);
        }
        encoder.forward(&batch, &mut whole).unwrap();
        encoder.forward_first(&batch, &mut part).unwrap();
        within("hidden states", distance(part.hidden(), &rows(whole.hidden())), HIDDEN);

        let of_firsts = rows(&upstream);
        for (token, row) in upstream.chunks_exact_mut(width).enumerate() {
            row.iter_mut().for_each(|value| *value *= f32::from(firsts.contains(&token)));
        }
        let mut gradients = |activations: &mut Activations, upstream: &[f32]| {
            encoder.parameters_mut().zero_grads();
            encoder.backward(&batch, activations, upstream).unwrap();
            let entries = encoder.parameters().entries().iter();
            entries
                .map(|entry| (entry.name.clone(), encoder.parameters().grad(&entry.name).unwrap()))
                .collect::<Vec<_>>()
        };
        let (expected, found) = (gradients(&mut whole, &upstream), gradients(&mut part, &of_firsts));
        for ((name, expected), (_, found)) in expected.iter().zip(&found) {
            if cancels(name) {
                within(name, distance(found, expected), ZERO_GRADIENT);
            } else {
                assert!(found.iter().any(|grad| *grad != 0.0), "{name} has no gradient");
                within(name, relative_distance(found, expected), GRADIENT);
            }
        }
    }
}

/// Whatever is frozen, the gradients of the others are the same bit for bit; a frozen matrix has none, and layers below
/// all that is trained keep nothing.
fn frozen(config: EncoderConfig) {
    /// Of an embedding, no layer; of what stands behind the layers, their number.
    fn layer(name: &str) -> Option<usize> {
        name.split('.').find_map(|part| part.parse().ok())
    }
    type Frozen = fn(&str) -> bool;
    let cases: [(&str, Frozen); 6] = [
        ("embeddings", |name| name.contains("embeddings")),
        ("the lower layers", |name| layer(name).is_none_or(|layer| layer < 2)),
        ("all but one layer", |name| layer(name) != Some(1)),
        ("all but biases", |name| !name.ends_with("bias")),
        ("matrices of attention", |name| name.contains("att") && !name.ends_with("bias")),
        ("everything", |_| true),
    ];
    for memory in [Memory::default(), Memory { checkpointing: true, ..Memory::default() }] {
        let (mut encoder, batch, upstream) = with_lengths(&[1, 40, 7], config.clone());
        let mut gradients = |frozen: Frozen| {
            let mut activations = Activations::with(memory);
            activations.set_dropout(DROPOUT);
            let names: Vec<String> = encoder.parameters().entries().iter().map(|entry| entry.name.clone()).collect();
            activations.set_frozen(encoder.parameters(), |index| frozen(&names[index]));
            encoder.forward(&batch, &mut activations).unwrap();
            encoder.parameters_mut().zero_grads();
            encoder.backward(&batch, &mut activations, &upstream).unwrap();
            let grads = names.into_iter().map(|name| (encoder.parameters().grad(&name).unwrap(), name));
            (grads.collect::<Vec<_>>(), activations.bytes())
        };
        let (all, bytes) = gradients(|_| false);
        for (what, is_frozen) in cases {
            let (found, held) = gradients(is_frozen);
            for ((found, name), (expected, _)) in found.iter().zip(&all) {
                if !is_frozen(name) {
                    assert!(found == expected, "{what} frozen: {name}");
                } else if layer(name).is_some() && found.len() > 100 && !name.contains("orm") {
                    assert!(found.iter().all(|grad| *grad == 0.0), "{what} frozen: {name} has a gradient");
                }
            }
            let lowest = |name: &str| layer(name) == Some(0) || name.contains("embed") || name.contains("relative");
            let reached = found.iter().any(|(_, name)| !is_frozen(name) && lowest(name));
            assert_eq!(held < bytes, !reached, "{what} frozen: {held} of {bytes} bytes");
        }
    }
}

/// Outputs and gradients, bit for bit.
fn pass(config: EncoderConfig, threads: usize) -> (Vec<f32>, Vec<Vec<f32>>) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let (mut encoder, batch, upstream) = tiny(config);
        let mut activations = Activations::training();
        activations.set_dropout(DROPOUT);
        encoder.forward(&batch, &mut activations).unwrap();
        let hidden = activations.hidden().to_vec();
        encoder.backward(&batch, &mut activations, &upstream).unwrap();
        let entries = encoder.parameters().entries();
        (hidden, entries.iter().map(|entry| encoder.parameters().grad(&entry.name).unwrap()).collect())
    })
}

fn threads(config: EncoderConfig) {
    assert_eq!(pass(config.clone(), 1), pass(config, 4));
}

/// A sequence alone gives what it gives in company: nothing is padded, nothing leaks.
fn neighbours(config: EncoderConfig) {
    let (encoder, batch, _) = tiny(config);
    let mut activations = Activations::inference();
    encoder.forward(&batch, &mut activations).unwrap();
    let width = encoder.config().hidden_size();
    let together = activations.hidden().to_vec();
    for range in batch.ranges() {
        encoder.forward(&PackedBatch::new([&batch.ids[range.clone()]]), &mut activations).unwrap();
        within("alone", distance(activations.hidden(), &together[range.start * width..range.end * width]), HIDDEN);
    }
}

/// The slope of `sum(hidden * upstream)` along each parameter's own gradient is the gradient's square.
fn finite_differences(config: EncoderConfig) {
    let (mut encoder, batch, upstream) = tiny(config);
    let mut activations = Activations::training();
    encoder.forward(&batch, &mut activations).unwrap();
    encoder.backward(&batch, &mut activations, &upstream).unwrap();
    let names: Vec<String> = encoder.parameters().entries().iter().map(|entry| entry.name.clone()).collect();
    for name in names.iter().filter(|name| !cancels(name)) {
        let grad = encoder.parameters().grad(name).unwrap();
        let square: f64 = grad.iter().map(|grad| f64::from(*grad).powi(2)).sum();
        let mut value_at = |shift: f64| {
            let mut moved = encoder.clone();
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

/// The directory gives back the model, and a second directory the same bytes.
fn saved(config: EncoderConfig) {
    let (encoder, batch, _) = tiny(config);
    let hidden = |encoder: &Encoder| {
        let mut activations = Activations::inference();
        encoder.forward(&batch, &mut activations).unwrap();
        activations.hidden().to_vec()
    };
    let [first, second] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    encoder.save(first.path()).unwrap();
    let again = Encoder::load(first.path()).unwrap();
    assert_eq!(hidden(&again), hidden(&encoder));
    assert_eq!(*again.loaded(), LoadReport::default());
    again.save(second.path()).unwrap();
    for file in ["config.json", "model.safetensors"] {
        let bytes = |dir: &tempfile::TempDir| std::fs::read(dir.path().join(file)).unwrap();
        assert_eq!(bytes(&first), bytes(&second), "{file}");
    }
}

/// Every parameter is reached, the loss falls, and the directory gives back the same vectors, special tokens
/// included.
fn trains(config: EncoderConfig) -> kensaku::Result<()> {
    let words = ["red", "blue", "old", "new", "car", "tree", "house", "dog"];
    let data = df!("query" => words, "positive" => words.map(|word| format!("{word} {word}")))?;
    let model = BiEncoder::new(
        config,
        word_tokenizer(&[], &words)?,
        BiEncoderConfig { max_length: 32, ..Default::default() },
        1,
    )?;
    let config = TrainConfig { batch_size: 8, epochs: 20, learning_rate: 1e-3, dropout: false, ..Default::default() };
    let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), config)?;
    let losses: Vec<f64> =
        trainer.steps(&TrainingSet::new(data)?)?.map(|step| Ok(step?.loss)).collect::<kensaku::Result<_>>()?;
    assert!(losses[19] < 0.7 * losses[0], "{losses:?}");
    let (model, dir) = (trainer.into_model(), tempfile::tempdir().unwrap());
    model.save(dir.path())?;
    let vectors = |model: &BiEncoder| Ok::<_, kensaku::Error>(floats(&model.encode(&words, Role::Plain)?));
    assert_eq!(vectors(&BiEncoder::load(dir.path())?)?, vectors(&model)?);
    let tokens = json(&dir.path().join("special_tokens_map.json"));
    assert_eq!((&tokens["pad_token"], &tokens["cls_token"]), (&"<pad>".into(), &"<s>".into()));
    assert_eq!(tokens["mask_token"], serde_json::Value::Null, "the vocabulary has none");
    Ok(())
}

/// The rows `(T, H)` of `(B, S, H)` where the mask is 1.
pub fn unpadded_rows(inputs: &Tensors, padded: &Tensor) -> Vec<f32> {
    let mask = inputs.tensor("attention_mask").to_dtype(DType::U32).unwrap().to_vec2::<u32>().unwrap();
    let rows = padded.to_vec3::<f32>().unwrap();
    let kept = rows.into_iter().flatten().zip(mask.into_iter().flatten()).filter(|(_, mask)| *mask == 1);
    kept.flat_map(|(row, _)| row).collect()
}
