//! Heads against transformers, against their own slow reference, and through directories.

use candle_core::Tensor;
use kensaku::nn::reference::Reference;
use kensaku::nn::{Activations, Classifier, Dropout, Encoder, EncoderConfig, LoadReport, MaskedLm, PackedBatch};
use kensaku::random::Philox;

use crate::backbones::{equal_gradients, unpadded_rows};
use crate::families::{cancels, families};
use crate::golden::{Tensors, distance, fixture, floats, json, relative_distance, within};
use crate::shared::{Trials, test};

/// Tolerances: scores of words, scores of classes, gradients, those that are zero in exact arithmetic.
const WORDS: f64 = 5e-5;
const CLASSES: f64 = 1e-5;
const GRADIENT: f64 = 1e-5;
const ZERO_GRADIENT: f64 = 1e-4;

pub fn trials() -> Trials {
    let masked = ["bert", "distilbert", "modernbert", "mpnet", "roberta"];
    let classifiers = [
        "bert_for_sequence_classification",
        "bert_for_sequence_classification_3",
        "deberta_v2_for_sequence_classification",
        "distilbert_for_sequence_classification",
        "electra_for_sequence_classification",
        "modernbert_for_sequence_classification",
        "modernbert_for_sequence_classification_mean",
        "mpnet_for_sequence_classification",
        "roberta_for_sequence_classification",
        "xlm_roberta_for_sequence_classification",
    ];
    let mut trials = Vec::from(masked.map(|family| {
        test(&format!("heads::{family}_for_masked_lm_equals_transformers"), move || masked_lm_golden(family))
    }));
    trials.extend(
        classifiers.map(|name| test(&format!("heads::{name}_equals_transformers"), move || classifier_golden(name))),
    );
    for (family, config) in families() {
        let with = |what: &str, run: fn(EncoderConfig)| {
            let config = config.clone();
            test(&format!("heads::{family}_{what}"), move || run(config))
        };
        trials.push(with("masked_lm_equals_the_slow_reference_with_dropout", masked_lm_reference));
        trials.push(with("classifier_equals_the_slow_reference_with_dropout", classifier_reference));
        trials.push(with("heads_do_not_depend_on_threads", threads));
        trials.push(with("heads_are_saved_and_loaded_bit_for_bit", saved));
    }
    trials
}

fn masked_lm_golden(family: &str) {
    let dir = fixture("backbones").join(format!("{family}_for_masked_lm"));
    let mut model = MaskedLm::load(&dir).unwrap();
    assert_eq!(*model.loaded(), LoadReport::default());
    let (batch, inputs, expected) = golden_batch(&dir);
    let tokens: Vec<usize> = (0..batch.tokens()).collect();
    let mut activations = Activations::training();
    model.forward(&batch, &tokens, &mut activations).unwrap();
    let logits = unpadded_rows(&inputs, expected.tensor("logits"));
    within("scores", distance(activations.logits(), &logits), WORDS);
    let upstream = unpadded_rows(&inputs, inputs.tensor("R"));
    model.backward(&batch, &tokens, &mut activations, &upstream).unwrap();
    equal_gradients(&dir, model.encoder(), &expected);
}

fn classifier_golden(name: &str) {
    let dir = fixture("backbones").join(name);
    let mut model = Classifier::load(&dir).unwrap();
    assert_eq!(*model.loaded(), LoadReport::default());
    let (batch, inputs, expected) = golden_batch(&dir);
    let mut activations = Activations::training();
    model.forward(&batch, &mut activations).unwrap();
    within("scores", distance(activations.logits(), &expected.floats("logits")), CLASSES);
    model.backward(&batch, &mut activations, &inputs.floats("R")).unwrap();
    equal_gradients(&dir, model.encoder(), &expected);
}

fn golden_batch(dir: &std::path::Path) -> (PackedBatch, Tensors, Tensors) {
    let inputs = Tensors::read(&dir.join("inputs.safetensors"));
    let mut batch = PackedBatch::new(inputs.unpadded("input_ids", "attention_mask"));
    if json(&dir.join("case.json"))["token_type_ids_used_in_forward"] == true {
        batch.token_types = inputs.unpadded("token_type_ids", "attention_mask").concat();
    }
    (batch, inputs, Tensors::read(&dir.join("expected.safetensors")))
}

fn batch() -> PackedBatch {
    let mut rng = Philox::new(12);
    PackedBatch::new([1, 9, 30, 2].map(|length| (0..length).map(|_| rng.below(70) as u32).collect::<Vec<_>>()))
}

fn normal(count: usize) -> Vec<f32> {
    let mut rng = Philox::new(13);
    (0..count).map(|_| rng.normal() as f32).collect()
}

const DROPOUT: Option<Dropout> = Some(Dropout { seed: 5, step: 3, first_token: 0 });
/// One of them twice.
const TOKENS: [usize; 5] = [40, 0, 3, 3, 17];

fn masked_lm_reference(config: EncoderConfig) {
    let mut model = MaskedLm::new(Encoder::new(config, 1).unwrap(), 2).unwrap();
    let batch = batch();
    let mut activations = Activations::training();
    activations.set_dropout(DROPOUT);
    model.forward(&batch, &TOKENS, &mut activations).unwrap();
    let reference = Reference::new(model.encoder()).unwrap();
    let logits = reference.masked_lm(&batch, &TOKENS, DROPOUT).unwrap();
    within("scores", distance(activations.logits(), &floats(&logits)), WORDS);
    let upstream = normal(activations.logits().len());
    model.backward(&batch, &TOKENS, &mut activations, &upstream).unwrap();
    equals(model.encoder(), &reference, &logits, upstream);
}

fn classifier_reference(config: EncoderConfig) {
    let mut model = Classifier::new(Encoder::new(config, 1).unwrap(), 3, 2).unwrap();
    let batch = batch();
    let mut activations = Activations::training();
    activations.set_dropout(DROPOUT);
    model.forward(&batch, &mut activations).unwrap();
    let reference = Reference::new(model.encoder()).unwrap();
    let logits = reference.classifier(&batch, DROPOUT).unwrap();
    within("scores", distance(activations.logits(), &floats(&logits)), CLASSES);
    let upstream = normal(activations.logits().len());
    model.backward(&batch, &mut activations, &upstream).unwrap();
    equals(model.encoder(), &reference, &logits, upstream);
}

/// Every gradient is that of candle's autograd.
fn equals(encoder: &Encoder, reference: &Reference, logits: &Tensor, upstream: Vec<f32>) {
    let upstream = Tensor::from_vec(upstream, logits.shape(), logits.device()).unwrap();
    let grads = (logits * upstream).unwrap().sum_all().unwrap().backward().unwrap();
    for (name, variable) in reference.parameters() {
        let ours = encoder.parameters().grad(name).unwrap();
        let theirs = floats(grads.get(variable).unwrap());
        if cancels(name) {
            within(name, distance(&ours, &theirs), ZERO_GRADIENT);
        } else {
            assert!(ours.iter().any(|grad| *grad != 0.0), "{name} has no gradient");
            within(name, relative_distance(&ours, &theirs), GRADIENT);
        }
    }
}

fn threads(config: EncoderConfig) {
    let pass = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let encoder = Encoder::new(config.clone(), 1).unwrap();
            let mut words = MaskedLm::new(encoder.clone(), 2).unwrap();
            let mut classes = Classifier::new(encoder, 2, 2).unwrap();
            let (batch, mut activations) = (batch(), Activations::training());
            activations.set_dropout(DROPOUT);
            words.forward(&batch, &TOKENS, &mut activations).unwrap();
            let mut numbers = activations.logits().to_vec();
            words.backward(&batch, &TOKENS, &mut activations, &normal(numbers.len())).unwrap();
            classes.forward(&batch, &mut activations).unwrap();
            numbers.extend_from_slice(activations.logits());
            classes.backward(&batch, &mut activations, &normal(8)).unwrap();
            for encoder in [words.encoder(), classes.encoder()] {
                for entry in encoder.parameters().entries() {
                    numbers.extend(encoder.parameters().grad(&entry.name).unwrap());
                }
            }
            numbers
        })
    };
    assert_eq!(pass(1), pass(4));
}

/// Through a directory and back; and the encoder alone out of both.
fn saved(config: EncoderConfig) {
    let encoder = Encoder::new(config, 1).unwrap();
    let (words, classes) =
        (MaskedLm::new(encoder.clone(), 2).unwrap(), Classifier::new(encoder.clone(), 3, 2).unwrap());
    let [first, second] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    words.save(first.path()).unwrap();
    classes.save(second.path()).unwrap();
    let (words_again, classes_again) =
        (MaskedLm::load(first.path()).unwrap(), Classifier::load(second.path()).unwrap());
    assert_eq!((words_again.loaded(), classes_again.loaded()), (&LoadReport::default(), &LoadReport::default()));
    assert_eq!(classes_again.labels(), ["LABEL_0", "LABEL_1", "LABEL_2"]);
    let (batch, mut activations) = (batch(), Activations::inference());
    let mut scores = |words: &MaskedLm, classes: &Classifier| {
        words.forward(&batch, &TOKENS, &mut activations).unwrap();
        let mut scores = activations.logits().to_vec();
        classes.forward(&batch, &mut activations).unwrap();
        scores.extend_from_slice(activations.logits());
        scores
    };
    assert_eq!(scores(&words, &classes), scores(&words_again, &classes_again));

    for dir in [&first, &second] {
        let alone = Encoder::load(dir.path()).unwrap();
        assert!(!alone.loaded().unused.is_empty(), "the head is not the encoder's");
        for entry in encoder.parameters().entries() {
            let values = |encoder: &Encoder| encoder.parameters().values(&entry.name).unwrap().to_vec();
            assert_eq!(values(&alone), values(&encoder), "{}", entry.name);
        }
    }
    let alone = words.into_encoder();
    assert_eq!(alone.parameters().entries(), encoder.parameters().entries());
}
