//! A whole chain on a head against sentence-transformers: token ids, encoder, classifier, a loss in candle
//! ops, gradients, AdamW written out.

use candle_core::{Device, Tensor, Var};
use kensaku::nn::{Activations, Classifier, PackedBatch, Parameters};

use crate::families::{cancels, plain};
use crate::golden::{Tensors, distance, fixture, floats, json, relative_distance, within};
use crate::shared::{Trials, test};

/// `golden/README.md`: loss per step relative; parameters ten times the rounding of the peer's own f32.
const LOSS: f64 = 1e-4;
const NORM: f64 = 1e-4;
const GRADIENT: f64 = 1e-5;
const ROUNDING: f64 = 10.0;
/// One unit in the last place of the parameters, whose size is about 1.
const SMALLEST: f64 = 1.2e-7;

pub fn trials() -> Trials {
    vec![test("chains::cross_encoder_bce_equals_sentence_transformers", cross_encoder)]
}

fn cross_encoder() {
    let golden = json(&fixture("training/cross_encoder_bce.json"));
    let tensors = Tensors::read(&fixture("training/cross_encoder_bce.safetensors"));
    let mut model = Classifier::load(fixture("models/st62_cross_encoder")).unwrap();
    let column = |name: &str| tensors.unpadded(&format!("in.0.{name}"), "in.0.attention_mask");
    let mut batch = PackedBatch::new(column("input_ids"));
    batch.token_types = column("token_type_ids").concat();
    let labels: Vec<f32> =
        golden["labels"].as_array().unwrap().iter().map(|label| label.as_f64().unwrap() as f32).collect();
    let labels = Tensor::new(labels, &Device::Cpu).unwrap();
    let mut activations = Activations::training();
    let mut forward = |model: &mut Classifier, backward: bool| {
        model.forward(&batch, &mut activations).unwrap();
        let logits = Var::from_slice(activations.logits(), labels.shape(), &Device::Cpu).unwrap();
        let loss = binary_cross_entropy(&logits, &labels, 2.0);
        if backward {
            let grad = floats(loss.backward().unwrap().get(&logits).unwrap());
            model.encoder_mut().parameters_mut().zero_grads();
            model.backward(&batch, &mut activations, &grad).unwrap();
        }
        f64::from(loss.to_scalar::<f32>().unwrap())
    };
    let mut moments = None;
    for (number, expected) in golden["steps"].as_array().unwrap().iter().enumerate() {
        let loss = forward(&mut model, true);
        within("loss", (loss / expected["loss"].as_f64().unwrap() - 1.0).abs(), LOSS);
        let parameters = model.encoder_mut().parameters_mut();
        if number == 0 {
            for entry in parameters.entries().iter().filter(|entry| !cancels(&entry.name)) {
                let theirs = tensors.floats(&golden_name(&tensors, "grad.", &entry.name).unwrap());
                within(&entry.name, relative_distance(&parameters.grad(&entry.name).unwrap(), &theirs), GRADIENT);
            }
        }
        let norm = adamw(parameters, moments.get_or_insert_with(Vec::new), number as i32 + 1);
        within("norm", (norm / expected["grad_norm_before_clip"].as_f64().unwrap() - 1.0).abs(), NORM);
    }
    let parameters = model.encoder().parameters();
    let mut compared = 0;
    for entry in parameters.entries().iter().filter(|entry| !cancels(&entry.name)) {
        let Some(name) = golden_name(&tensors, "final.", &entry.name) else { continue };
        let rounding = golden["f32_minus_f64"]["final_max_abs"][name.trim_start_matches("final.")].as_f64().unwrap();
        let off = distance(parameters.values(&entry.name).unwrap(), &tensors.floats(&name));
        within(&name, off, (rounding * ROUNDING).max(SMALLEST));
        compared += 1;
    }
    assert_eq!(compared, golden["final_parameters"].as_array().unwrap().len());
    let after = forward(&mut model, false) / golden["loss_after_last_step"].as_f64().unwrap();
    within("loss after the last step", (after - 1.0).abs(), LOSS);
}

/// The mean of `-(w y log σ(x) + (1 - y) log(1 - σ(x)))`, from the softplus of `-x`, which does not overflow.
fn binary_cross_entropy(logits: &Tensor, labels: &Tensor, weight: f64) -> Tensor {
    let negative = logits.neg().unwrap();
    let softplus = (negative.relu().unwrap()
        + logits.abs().unwrap().neg().unwrap().exp().unwrap().affine(1.0, 1.0).unwrap().log().unwrap())
    .unwrap();
    let weights = labels.affine(weight - 1.0, 1.0).unwrap();
    let off = (labels.affine(-1.0, 1.0).unwrap() * logits).unwrap();
    (off + (weights * softplus).unwrap()).unwrap().mean_all().unwrap()
}

/// A step at rate 1e-3 with decay 0.01 and gradients clipped to norm 1; returns the norm before.
fn adamw(parameters: &mut Parameters, moments: &mut Vec<Vec<[f64; 2]>>, step: i32) -> f64 {
    let entries = parameters.entries().to_vec();
    let grads: Vec<Vec<f32>> = entries.iter().map(|entry| parameters.grad(&entry.name).unwrap()).collect();
    let norm = grads.iter().flatten().map(|grad| f64::from(*grad).powi(2)).sum::<f64>().sqrt();
    let clip = (1.0 / (norm + 1e-6)).min(1.0);
    moments.resize(entries.len(), Vec::new());
    for ((entry, grads), moments) in entries.iter().zip(&grads).zip(moments) {
        moments.resize(grads.len(), [0.0; 2]);
        let values = parameters.values_mut(&entry.name).unwrap();
        for ((value, grad), [first, second]) in values.iter_mut().zip(grads).zip(moments) {
            let grad = f64::from(*grad) * clip;
            *first = 0.9 * *first + 0.1 * grad;
            *second = 0.999 * *second + 0.001 * grad * grad;
            let update =
                (*first / (1.0 - 0.9_f64.powi(step))) / ((*second / (1.0 - 0.999_f64.powi(step))).sqrt() + 1e-8);
            let decay = if entry.decay { 1.0 - 1e-3 * 0.01 } else { 1.0 };
            *value = (f64::from(*value) * decay - 1e-3 * update) as f32;
        }
    }
    norm
}

/// What a golden file calls a parameter of ours: `grad.0.model.bert.` and so on stand before it.
fn golden_name(tensors: &Tensors, prefix: &str, ours: &str) -> Option<String> {
    let ends = |name: &&str| {
        name.strip_prefix(prefix).and_then(|name| name.strip_prefix("0.model.")).is_some_and(|name| plain(name) == ours)
    };
    tensors.names().find(ends).map(str::to_owned)
}
