//! Values and gradients of the losses against sentence-transformers.

use candle_core::{DType, Device, Tensor, Var};
use kensaku::loss::{
    Batch, CosineSimilarity, Difference, Direction, Distance, Hardness, Loss, MultipleNegativesRanking, Partition,
    Similarity, Triplet, custom, pairwise_cosine,
};
use serde_json::Value;

use crate::golden::{Tensors, fixture, floats, json, within};
use crate::shared::{Trials, test};

/// Tolerances: relative for the loss; for gradients absolute plus relative.
const LOSS: f64 = 1e-5;
const GRADIENT: (f64, f64) = (1e-5, 1e-4);

pub fn trials() -> Trials {
    vec![
        test("losses::multiple_negatives_ranking", || {
            assert_eq!(cases("dense_multiple_negatives_ranking", |params, _| Box::new(mnrl(params))), 16);
        }),
        test("losses::cosine_similarity", || {
            assert_eq!(cases("dense_cosine_similarity", |params, _| cosine_similarity(params)), 3);
        }),
        test("losses::triplet", || {
            assert_eq!(cases("dense_triplet", |params, _| Box::new(triplet(params))), 4);
        }),
        test("losses::settings_are_checked", settings),
        test("losses::refuse_batches_that_cannot_be", odd_batches),
        test("losses::are_finite_for_a_single_example", single),
    ]
}

/// Runs every case of a golden file; returns how many there are.
fn cases(file: &str, loss: impl Fn(&Value, &str) -> Box<dyn Loss>) -> usize {
    let dir = fixture("losses");
    let golden = json(&dir.join(format!("{file}.json")));
    let tensors = Tensors::read(&dir.join(format!("{file}.safetensors")));
    let cases = golden["cases"].as_array().unwrap();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let inputs: Vec<&str> =
            case["inputs"].as_array().unwrap().iter().map(|input| input.as_str().unwrap()).collect();
        let variables: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(tensors.tensor(input)).unwrap()).collect();
        let batch = Batch {
            queries: variables[0].as_tensor().clone(),
            positives: variables[1].as_tensor().clone(),
            negatives: variables[2..].iter().map(|variable| variable.as_tensor().clone()).collect(),
            scores: case["labels"].as_str().map(|labels| tensors.tensor(labels).clone()),
        };
        let value = loss(&case["params"], name).loss(&batch).unwrap();
        let expected = case["loss"].as_f64().unwrap();
        let found = f64::from(value.to_scalar::<f32>().unwrap());
        within(&format!("{name}: loss {found}, expected {expected}"), (found / expected - 1.0).abs(), LOSS);
        let grads = value.backward().unwrap();
        for (input, variable) in inputs.iter().zip(&variables) {
            let ours = floats(grads.get(variable).unwrap());
            let theirs = tensors.floats(case["grads"][*input].as_str().unwrap());
            for (ours, theirs) in ours.iter().zip(theirs) {
                let limit = GRADIENT.0 + GRADIENT.1 * f64::from(theirs.abs());
                within(&format!("{name}: gradient of {input}"), (ours - theirs).abs(), limit);
            }
        }
    }
    cases.len()
}

fn mnrl(params: &Value) -> MultipleNegativesRanking {
    let default = MultipleNegativesRanking::default();
    MultipleNegativesRanking {
        scale: params["scale"].as_f64().unwrap_or(default.scale),
        similarity: if params["similarity_fct"] == "dot_score" { Similarity::Dot } else { Similarity::Cosine },
        directions: serde_json::from_value::<Option<Vec<Direction>>>(params["directions"].clone())
            .unwrap()
            .unwrap_or(default.directions),
        partition: serde_json::from_value::<Option<Partition>>(params["partition_mode"].clone())
            .unwrap()
            .unwrap_or_default(),
        hardness: serde_json::from_value::<Option<Hardness>>(params["hardness_mode"].clone()).unwrap(),
        hardness_strength: params["hardness_strength"].as_f64().unwrap_or_default(),
    }
}

fn cosine_similarity(params: &Value) -> Box<dyn Loss> {
    if params["cos_score_transformation"] == "Sigmoid" {
        // Not a setting of ours: a user writes it, and the engine must agree with the peer all the same.
        return Box::new(custom(|batch| {
            let cosine = candle_nn::ops::sigmoid(&pairwise_cosine(&batch.queries, &batch.positives)?)?;
            Ok((cosine - batch.scores.as_ref().unwrap())?.sqr()?.mean(0)?)
        }));
    }
    let absolute = params["loss_fct"] == "L1Loss";
    Box::new(CosineSimilarity { difference: if absolute { Difference::Absolute } else { Difference::Squared } })
}

fn triplet(params: &Value) -> Triplet {
    let distance = match params["distance_metric"].as_str() {
        Some("COSINE") => Distance::Cosine,
        Some("MANHATTAN") => Distance::Manhattan,
        _ => Distance::Euclidean,
    };
    Triplet { distance, margin: params["triplet_margin"].as_f64().unwrap_or(Triplet::default().margin) }
}

fn settings() {
    let rows = candle_core::Tensor::ones((2, 3), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
    let batch = Batch::pairs(rows.clone(), rows);
    let message = |loss: &dyn Loss| loss.loss(&batch).unwrap_err().to_string();
    let no_scale = MultipleNegativesRanking { scale: 0.0, ..Default::default() };
    assert_eq!(message(&no_scale), "scale = 0: expected a number above 0");
    let no_candidates = MultipleNegativesRanking { directions: vec![Direction::QueryToQuery], ..Default::default() };
    assert_eq!(message(&no_candidates), "directions = [QueryToQuery]: expected QueryToDoc among them");
    assert!(message(&Triplet::default()).contains("`negative`"));
    assert!(message(&CosineSimilarity::default()).contains("`score`"));
}

fn odd_batches() {
    let zeros = |rows: usize, dim: usize| Tensor::zeros((rows, dim), DType::F32, &Device::Cpu).unwrap();
    let scores = |rows: usize| Some(Tensor::zeros(rows, DType::F32, &Device::Cpu).unwrap());
    let flat = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
    let triples =
        |rows: usize| Batch { negatives: vec![zeros(rows, 4)], ..Batch::pairs(zeros(rows, 4), zeros(rows, 4)) };
    let batches = [
        (triples(0), "at least one example"),
        (Batch { queries: flat.clone(), ..triples(3) }, "(B, dim)"),
        (Batch { positives: zeros(2, 4), ..triples(3) }, "that of the queries, [3, 4]"),
        (Batch { positives: zeros(3, 5), ..triples(3) }, "that of the queries, [3, 4]"),
        (Batch { negatives: vec![zeros(2, 4)], ..triples(3) }, "that of the queries, [3, 4]"),
        (Batch { scores: scores(2), ..triples(3) }, "[3], one per example"),
    ];
    let losses: [&dyn Loss; 3] =
        [&MultipleNegativesRanking::default(), &Triplet::default(), &CosineSimilarity::default()];
    for loss in losses {
        for (batch, expected) in &batches {
            let error = loss.loss(batch).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{}: {error}", loss.needs().name);
        }
    }
}

/// The last batch of an epoch may be one example: of some directions it has no candidate.
fn single() {
    use Direction::{DocToDoc, DocToQuery, QueryToDoc, QueryToQuery};
    for directions in [
        vec![QueryToDoc, QueryToQuery],
        vec![QueryToDoc, DocToDoc],
        vec![QueryToQuery, QueryToDoc, DocToQuery, DocToDoc],
    ] {
        for partition in [Partition::PerDirection, Partition::Joint] {
            for negatives in [0, 1] {
                let loss = MultipleNegativesRanking { directions: directions.clone(), partition, ..Default::default() };
                let row = |x: f32| Var::new(&[[x, 0.5, -0.2]], &Device::Cpu).unwrap();
                let (queries, positives, negative) = (row(1.0), row(0.4), row(-0.3));
                let batch = Batch {
                    negatives: vec![negative.as_tensor().clone(); negatives],
                    ..Batch::pairs(queries.as_tensor().clone(), positives.as_tensor().clone())
                };
                let value = loss.loss(&batch).unwrap();
                assert!(value.to_scalar::<f32>().unwrap().is_finite(), "{loss:?}, {negatives} negatives");
                let grads = value.backward().unwrap();
                assert!(floats(grads.get(&queries).unwrap()).iter().all(|grad| grad.is_finite()), "{loss:?}");
            }
        }
    }
}
