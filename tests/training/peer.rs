//! Whole chains against sentence-transformers: token ids, encoder, pooling, loss, gradients, AdamW.

use kensaku::loss::{CoSENT, Loss, MultipleNegativesRanking, Similarity, SpladeLoss};
use kensaku::model::{BiEncoder, Model, Splade};
use kensaku::nn::{PackedBatch, Parameters};
use kensaku::train::{MicroBatch, TokenBatch, TrainConfig, Trainer};
use serde_json::Value;

use crate::families::{cancels, plain};
use crate::golden::{Tensors, distance, fixture, json, relative_distance, within};

/// Tolerances: loss per step relative; parameters ten times the rounding of the peer's own f32.
const LOSS: f64 = 1e-4;
const NORM: f64 = 1e-4;
const GRADIENT: f64 = 1e-5;
const ZERO_GRADIENT: f64 = 1e-4;
const ROUNDING: f64 = 10.0;
const RATE: f64 = 1e-3;
/// One unit in the last place of the parameters, whose size is about 1.
const SMALLEST: f64 = 1.2e-7;

pub(super) fn bi_encoder(name: &str, micro_batch: Option<MicroBatch>) {
    let model = BiEncoder::load(fixture("models/st62_bi_mean_normalize")).unwrap();
    chain(name, model, MultipleNegativesRanking::default(), micro_batch);
}

pub(super) fn splade(micro_batch: Option<MicroBatch>) {
    let model = Splade::load(fixture("models/st62_splade_max")).unwrap();
    let ranking = MultipleNegativesRanking { scale: 1.0, similarity: Similarity::Dot, ..Default::default() };
    chain("splade_mnrl", model, SpladeLoss::new(ranking, 3e-2, Some(5e-2)), micro_batch);
}

fn chain<M: Model>(name: &str, model: M, loss: impl Loss + 'static, micro_batch: Option<MicroBatch>) {
    let (golden, tensors) = read(name);
    let column = |n: usize| tensors.unpadded(&format!("in.{n}.input_ids"), &format!("in.{n}.attention_mask"));
    let columns = (0..3).map(|n| PackedBatch::new(column(n)));
    let batch = TokenBatch { columns: columns.collect(), ..Default::default() };
    equals(&mut trainer(model, loss, micro_batch), &batch, &golden, &tensors);
}

/// A map with tanh after pooling, CoSENT.
pub(super) fn dense(micro_batch: Option<MicroBatch>) {
    let (golden, tensors) = read("bi_encoder_dense_cosent");
    let model = BiEncoder::load(fixture("models/st62_bi_mean_dense")).unwrap();
    let column = |n: usize| tensors.unpadded(&format!("in.{n}.input_ids"), &format!("in.{n}.attention_mask"));
    let columns = (0..2).map(|n| PackedBatch::new(column(n))).collect();
    let labels = golden["labels"].as_array().unwrap().iter().map(|label| label.as_f64().unwrap() as f32);
    let labels: Vec<f32> = labels.collect();
    let batch = TokenBatch { columns, labels: Some(labels.into()), ..Default::default() };
    equals(&mut trainer(model, CoSENT::default(), micro_batch), &batch, &golden, &tensors);
}

/// What the peer computed in a training.
pub fn read(name: &str) -> (Value, Tensors) {
    let file = |extension: &str| fixture("training").join(format!("{name}.{extension}"));
    (json(&file("json")), Tensors::read(&file("safetensors")))
}

/// A trainer as the peer's: a constant rate, no dropout.
pub fn trainer<M: Model>(model: M, loss: impl Loss + 'static, micro_batch: Option<MicroBatch>) -> Trainer<M> {
    let config =
        TrainConfig { learning_rate: RATE, dropout: false, total_steps: None, micro_batch, ..Default::default() };
    Trainer::new(model, loss, config).unwrap()
}

/// Trains on a batch and compares every step, every gradient of the first one and every parameter after the last.
pub fn equals<M: Model>(trainer: &mut Trainer<M>, batch: &TokenBatch, golden: &Value, tensors: &Tensors) {
    let names = shared_names(trainer.model().parameters(), tensors);
    let rounding = &golden["f32_minus_f64"];
    // The gradient of a loss of differences is zero for what is added to all scores: theirs is stored as zero.
    let is_noise = |name: &str| tensors.floats(&format!("grad.{name}")).iter().all(|grad| *grad == 0.0);
    for (number, expected) in golden["steps"].as_array().unwrap().iter().enumerate() {
        let step = trainer.step(batch).unwrap();
        let number_of = |key: &str| expected[key].as_f64().unwrap();
        within("loss", (step.loss / number_of("loss") - 1.0).abs(), LOSS);
        for (term, value) in &step.terms {
            let (key, weight) = match term.as_str() {
                "document regularizer" => ("document_regularizer_loss", 3e-2),
                "query regularizer" => ("query_regularizer_loss", 5e-2),
                _ => ("base_loss", 1.0),
            };
            within(term, (weight * value / expected["components"][key].as_f64().unwrap() - 1.0).abs(), LOSS);
        }
        within("norm", (step.grad_norm / number_of("grad_norm_before_clip") - 1.0).abs(), NORM);
        let parameters = trainer.model().parameters();
        for (ours, theirs) in names.iter().filter(|_| number == 0) {
            let (grad, expected) = (parameters.grad(ours).unwrap(), tensors.floats(&format!("grad.{theirs}")));
            let off = distance(&grad, &expected);
            if is_noise(theirs) {
                within(theirs, off, ZERO_GRADIENT);
            } else if f64::from(off) > rounding["grad_max_abs"].as_f64().unwrap() {
                // Closer than the peer's own f32 is to its f64, nothing is to be seen.
                within(theirs, relative_distance(&grad, &expected), GRADIENT);
            }
        }
    }
    let parameters = trainer.model().parameters();
    let is_stored = |(_, theirs): &&(String, String)| !rounding["final_max_abs"][theirs].is_null();
    let stored: Vec<_> = names.iter().filter(is_stored).collect();
    assert_eq!(stored.len(), golden["final_parameters"].as_array().unwrap().len());
    for (ours, theirs) in stored {
        let rounding = rounding["final_max_abs"][theirs].as_f64().unwrap();
        // Adam makes whole steps of noise, either way.
        let noise = if is_noise(theirs) { 2.0 * 3.0 * RATE } else { 0.0 };
        let limit = (rounding * ROUNDING).max(SMALLEST).max(noise);
        within(theirs, distance(parameters.values(ours).unwrap(), &tensors.floats(&format!("final.{theirs}"))), limit);
    }
    let after = trainer.step(batch).unwrap().loss / golden["loss_after_last_step"].as_f64().unwrap();
    within("loss after the last step", (after - 1.0).abs(), LOSS);
}

/// Every parameter of ours with its name in the golden file. Those whose gradient is zero in exact arithmetic are left out.
fn shared_names(parameters: &Parameters, tensors: &Tensors) -> Vec<(String, String)> {
    let theirs: Vec<&str> = tensors.names().filter_map(|name| name.strip_prefix("grad.")).collect();
    // Modules are numbered: `0.model.` is the encoder, `1.` the projection, `2.` a map after pooling.
    let is = |theirs: &str, ours: &str| {
        theirs.strip_prefix("0.model.").is_some_and(|name| name == ours || plain(name) == ours)
            || theirs.strip_prefix("1.") == Some(ours)
            || theirs.strip_prefix("2.").is_some_and(|name| ours.strip_prefix("2_Dense.") == Some(name))
    };
    let ours = parameters.entries().iter().map(|entry| entry.name.as_str()).filter(|name| !cancels(name));
    let pair = |ours: &str| {
        let found = theirs.iter().find(|theirs| is(theirs, ours));
        (ours.to_owned(), (*found.unwrap_or_else(|| panic!("no golden gradient of {ours}"))).to_owned())
    };
    ours.map(pair).collect()
}
