//! Whole chains against sentence-transformers: token ids, encoder, pooling, loss, gradients, AdamW.

use kensaku::loss::{Loss, MultipleNegativesRanking, Similarity, SpladeLoss};
use kensaku::model::{BiEncoder, Model, Splade};
use kensaku::nn::PackedBatch;
use kensaku::train::{MicroBatch, TokenBatch, TrainConfig, Trainer};

use crate::families::{cancels, plain};
use crate::golden::{Tensors, distance, fixture, json, relative_distance, within};

/// Tolerances: loss per step relative; parameters ten times the rounding of the peer's own f32.
const LOSS: f64 = 1e-4;
const NORM: f64 = 1e-4;
const GRADIENT: f64 = 1e-5;
const ROUNDING: f64 = 10.0;
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
    let golden = json(&fixture("training").join(format!("{name}.json")));
    let tensors = Tensors::read(&fixture("training").join(format!("{name}.safetensors")));
    let column = |n: usize| tensors.unpadded(&format!("in.{n}.input_ids"), &format!("in.{n}.attention_mask"));
    let columns = (0..3).map(|n| PackedBatch::new(column(n)));
    let batch = TokenBatch { columns: columns.collect(), ..Default::default() };
    // A constant rate: the golden run has no schedule.
    let config =
        TrainConfig { learning_rate: 1e-3, dropout: false, total_steps: None, micro_batch, ..Default::default() };
    let mut trainer = Trainer::new(model, loss, config).unwrap();
    for (number, expected) in golden["steps"].as_array().unwrap().iter().enumerate() {
        let step = trainer.step(&batch).unwrap();
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
        if number == 0 {
            for (golden, name) in shared_names(&tensors, "grad.") {
                within(&golden, relative_distance(&parameters.grad(name).unwrap(), &tensors.floats(&golden)), GRADIENT);
            }
        }
    }
    let parameters = trainer.model().parameters();
    for (name, ours) in shared_names(&tensors, "final.") {
        let rounding = golden["f32_minus_f64"]["final_max_abs"][name.trim_start_matches("final.")].as_f64().unwrap();
        let limit = (rounding * ROUNDING).max(SMALLEST);
        within(&name, distance(parameters.values(ours).unwrap(), &tensors.floats(&name)), limit);
    }
    let after = trainer.step(&batch).unwrap().loss / golden["loss_after_last_step"].as_f64().unwrap();
    within("loss after the last step", (after - 1.0).abs(), LOSS);
}

/// The names in the golden file that start with `prefix`, each with that of our table.
fn shared_names<'a>(tensors: &'a Tensors, prefix: &str) -> Vec<(String, &'a str)> {
    // The gradient of a key bias is zero in exact arithmetic, and the pooler is not ours.
    let ours = |name: &&str| name.starts_with(prefix) && !cancels(name) && !name.contains("pooler");
    let names = tensors.names().filter(ours);
    let names: Vec<_> = names.map(|name| (name.to_owned(), plain(name.split("0.model.").nth(1).unwrap()))).collect();
    assert!(!names.is_empty(), "no golden {prefix}");
    names
}
