//! Whole chains against sentence-transformers: token ids, encoder, head, a loss in candle ops, gradients,
//! three steps of AdamW written out.

mod cases;
mod losses;

use candle_core::{Device, Tensor, Var};
use kensaku::nn::{Activations, Classifier, Encoder, MaskedLm, PackedBatch};
use serde_json::Value;

use crate::families::{cancels, plain};
use crate::golden::{Tensors, distance, fixture, floats, json, relative_distance, within};
use crate::shared::{Trials, test};

/// Tolerances: loss per step relative; parameters ten times the rounding of the peer's own f32.
const LOSS: f64 = 1e-4;
const NORM: f64 = 1e-4;
const GRADIENT: f64 = 1e-5;
const ZERO_GRADIENT: f64 = 1e-4;
const ROUNDING: f64 = 10.0;
const RATE: f64 = 1e-3;
/// One unit in the last place of the parameters, whose size is about 1.
const SMALLEST: f64 = 1.2e-7;

pub fn trials() -> Trials {
    let cases: [(&str, Build); 5] = [
        ("bi_encoder_dense_cosent", cases::dense),
        ("cross_encoder_bce", cases::cross_encoder),
        ("cross_encoder_lambda", cases::listwise),
        ("multi_vector_mnrl", cases::multi_vector),
        ("splade_mnrl", cases::splade),
    ];
    let equal = |(name, chain)| test(&format!("chains::{name}_equals_sentence_transformers"), move || run(name, chain));
    cases.into_iter().map(equal).collect()
}

/// What the peer computed.
struct Golden {
    case: Value,
    tensors: Tensors,
}

impl Golden {
    /// Is a parameter's gradient zero in exact arithmetic? A loss of differences does not see what a bias adds
    /// to all scores.
    fn is_noise(&self, name: &str) -> bool {
        self.tensors.floats(&format!("grad.{name}")).iter().all(|grad| *grad == 0.0)
    }
}

/// A model and its batch.
struct Chain {
    engine: Engine,
    batch: PackedBatch,
    /// Behind the engine, in candle, under the peer's names.
    head: Vec<(&'static str, Var)>,
    loss: Loss,
}

/// From the engine's output and the head's variables.
type Loss = Box<dyn Fn(&Tensor, &[Tensor]) -> candle_core::Result<Tensor>>;

type Build = fn(&Golden) -> Chain;

/// The part that has its own backward pass.
enum Engine {
    Hidden(Encoder),
    Words(MaskedLm),
    Classes(Classifier),
}

fn run(name: &str, chain: Build) {
    let golden = Golden {
        case: json(&fixture(&format!("training/{name}.json"))),
        tensors: Tensors::read(&fixture(&format!("training/{name}.safetensors"))),
    };
    let Golden { case, tensors } = &golden;
    let mut chain = chain(&golden);
    let mut moments = Vec::new();
    for (step, expected) in (1..).zip(case["steps"].as_array().unwrap()) {
        let (loss, mut weights) = chain.step(tensors);
        within("loss", (loss / expected["loss"].as_f64().unwrap() - 1.0).abs(), LOSS);
        if step == 1 {
            for weight in weights.iter().filter(|weight| !cancels(&weight.name)) {
                let theirs = tensors.floats(&format!("grad.{}", weight.name));
                if golden.is_noise(&weight.name) {
                    within(&weight.name, distance(&weight.grad, &theirs), ZERO_GRADIENT);
                } else {
                    within(&weight.name, relative_distance(&weight.grad, &theirs), GRADIENT);
                }
            }
        }
        let norm = adamw(&mut weights, &mut moments, step);
        within("norm", (norm / expected["grad_norm_before_clip"].as_f64().unwrap() - 1.0).abs(), NORM);
        chain.set(&weights);
    }
    let (after, weights) = chain.step(tensors);
    within("loss after the last step", (after / case["loss_after_last_step"].as_f64().unwrap() - 1.0).abs(), LOSS);
    for name in case["final_parameters"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()) {
        let weight = weights.iter().find(|weight| weight.name == name).unwrap();
        let rounding = case["f32_minus_f64"]["final_max_abs"][name].as_f64().unwrap();
        let off = distance(&weight.values, &tensors.floats(&format!("final.{name}")));
        // Adam makes whole steps of noise, either way.
        let noise = if golden.is_noise(name) { 2.0 * 3.0 * RATE } else { 0.0 };
        within(name, off, (rounding * ROUNDING).max(SMALLEST).max(noise));
    }
}

/// A parameter under the peer's name.
struct Weight {
    name: String,
    decay: bool,
    values: Vec<f32>,
    grad: Vec<f32>,
}

impl Chain {
    /// The loss, and every parameter with its gradient: the engine's first.
    fn step(&mut self, tensors: &Tensors) -> (f64, Vec<Weight>) {
        let mut activations = Activations::training();
        let output = Var::from_tensor(&self.engine.forward(&self.batch, &mut activations)).unwrap();
        let head: Vec<Tensor> = self.head.iter().map(|(_, var)| var.as_tensor().clone()).collect();
        let loss = (self.loss)(&output, &head).unwrap();
        let grads = loss.backward().unwrap();
        let upstream = floats(grads.get(&output).unwrap());
        self.engine.encoder().parameters_mut().zero_grads();
        self.engine.backward(&self.batch, &mut activations, &upstream);

        let parameters = self.engine.encoder().parameters_mut();
        let engine = parameters.entries().iter().map(|entry| Weight {
            name: golden_name(tensors, &entry.name),
            decay: entry.decay,
            values: parameters.values(&entry.name).unwrap().to_vec(),
            grad: parameters.grad(&entry.name).unwrap(),
        });
        let head = self.head.iter().map(|(name, var)| Weight {
            name: (*name).to_owned(),
            decay: !name.ends_with("bias"),
            values: floats(var),
            grad: floats(grads.get(var).unwrap()),
        });
        (f64::from(loss.to_scalar::<f32>().unwrap()), engine.chain(head).collect())
    }

    fn set(&mut self, weights: &[Weight]) {
        let parameters = self.engine.encoder().parameters_mut();
        let names: Vec<String> = parameters.entries().iter().map(|entry| entry.name.clone()).collect();
        let (engine, head) = weights.split_at(names.len());
        for (name, weight) in names.iter().zip(engine) {
            parameters.values_mut(name).unwrap().copy_from_slice(&weight.values);
        }
        for ((_, var), weight) in self.head.iter().zip(head) {
            var.set(&Tensor::from_slice(&weight.values, var.shape(), &Device::Cpu).unwrap()).unwrap();
        }
    }
}

impl Engine {
    fn encoder(&mut self) -> &mut Encoder {
        match self {
            Self::Hidden(encoder) => encoder,
            Self::Words(model) => model.encoder_mut(),
            Self::Classes(model) => model.encoder_mut(),
        }
    }

    /// `(T, H)`, `(T, vocab)` or `(B, classes)`.
    fn forward(&self, batch: &PackedBatch, activations: &mut Activations) -> Tensor {
        let (numbers, rows) = match self {
            Self::Hidden(encoder) => {
                encoder.forward(batch, activations).unwrap();
                (activations.hidden(), batch.tokens())
            }
            Self::Words(model) => {
                model.forward(batch, &all_tokens(batch), activations).unwrap();
                (activations.logits(), batch.tokens())
            }
            Self::Classes(model) => {
                model.forward(batch, activations).unwrap();
                (activations.logits(), batch.sequences())
            }
        };
        Tensor::from_slice(numbers, (rows, numbers.len() / rows), &Device::Cpu).unwrap()
    }

    fn backward(&mut self, batch: &PackedBatch, activations: &mut Activations, upstream: &[f32]) {
        match self {
            Self::Hidden(encoder) => encoder.backward(batch, activations, upstream),
            Self::Words(model) => model.backward(batch, &all_tokens(batch), activations, upstream),
            Self::Classes(model) => model.backward(batch, activations, upstream),
        }
        .unwrap();
    }
}

fn all_tokens(batch: &PackedBatch) -> Vec<usize> {
    (0..batch.tokens()).collect()
}

/// A step at [`RATE`] with decay 0.01 and gradients clipped to norm 1; returns the norm before.
fn adamw(weights: &mut [Weight], moments: &mut Vec<Vec<[f64; 2]>>, step: i32) -> f64 {
    let all = weights.iter().flat_map(|weight| &weight.grad);
    let norm = all.map(|grad| f64::from(*grad).powi(2)).sum::<f64>().sqrt();
    let clip = (1.0 / (norm + 1e-6)).min(1.0);
    moments.resize(weights.len(), Vec::new());
    for (Weight { decay, values, grad, .. }, moments) in weights.iter_mut().zip(moments) {
        moments.resize(grad.len(), [0.0; 2]);
        for ((value, grad), [first, second]) in values.iter_mut().zip(grad).zip(moments) {
            let grad = f64::from(*grad) * clip;
            *first = 0.9 * *first + 0.1 * grad;
            *second = 0.999 * *second + 0.001 * grad * grad;
            let update =
                (*first / (1.0 - 0.9_f64.powi(step))) / ((*second / (1.0 - 0.999_f64.powi(step))).sqrt() + 1e-8);
            let decay = if *decay { 1.0 - RATE * 0.01 } else { 1.0 };
            *value = (f64::from(*value) * decay - RATE * update) as f32;
        }
    }
    norm
}

/// What the golden file calls a parameter of ours: `0.model.bert.` and so on stand before it.
fn golden_name(tensors: &Tensors, ours: &str) -> String {
    let theirs = tensors.names().filter_map(|name| name.strip_prefix("grad."));
    let same = |name: &&str| name.strip_prefix("0.model.").is_some_and(|name| plain(name) == ours);
    theirs.into_iter().find(same).unwrap_or_else(|| panic!("no golden gradient of {ours}")).to_owned()
}
