//! Values and gradients of the losses against sentence-transformers.

use candle_core::{DType, Device, Tensor, Var};
use kensaku::data::{LabelKind, Labels};
use kensaku::loss::{
    AnglE, Batch, BatchAllTriplet, BatchHardSoftMarginTriplet, BatchHardTriplet, BatchSemiHardTriplet, CoSENT,
    Contrastive, CosineSimilarity, Difference, Direction, Distance, DistillKLDiv, EmbedDistill, GISTEmbed,
    GlobalOrthogonalRegularization, Hardness, InfoNCE, Loss, MSE, MarginMSE, MarginStrategy, Matryoshka,
    MegaBatchMargin, MultipleNegativesRanking, NTXent, Needs, OnlineContrastive, Partition, Reduction, Similarity,
    TeacherDistance, Triplet, cosine, custom, pairwise_cosine,
};
use kensaku::random::Philox;
use serde_json::Value;

use crate::golden::{Tensors, fixture, floats, json, within};
use crate::shared::{Trials, test};

/// Tolerances: relative for the loss; for gradients absolute plus relative.
const LOSS: f64 = 1e-5;
const GRADIENT: (f64, f64) = (1e-5, 1e-4);

/// A loss with the parameters of a case.
type Make = fn(&Value) -> Box<dyn Loss>;

pub fn trials() -> Trials {
    let golden: Vec<(&str, usize, Make)> = vec![
        ("multiple_negatives_ranking", 16, |params| Box::new(mnrl(params))),
        ("cached_multiple_negatives_ranking", 16, |params| Box::new(mnrl(params))),
        ("multiple_negatives_symmetric_ranking", 2, |_| Box::new(symmetric())),
        ("gist_embed", 9, |params| Box::new(gist(params))),
        ("cached_gist_embed", 10, |params| Box::new(gist(params))),
        ("cosent", 5, |params| Box::new(cosent(params))),
        ("angle", 6, |params| Box::new(AnglE { scale: number(params, "scale", 20.0) })),
        ("cosine_similarity", 3, cosine_similarity),
        ("contrastive", 5, |params| Box::new(contrastive(params))),
        ("online_contrastive", 5, |params| {
            Box::new(OnlineContrastive {
                distance: distance(params, Distance::Cosine),
                margin: number(params, "margin", 0.5),
            })
        }),
        ("triplet", 4, |params| {
            let margin = number(params, "triplet_margin", Triplet::default().margin);
            Box::new(Triplet { distance: distance(params, Distance::Euclidean), margin })
        }),
        ("batch_all_triplet", 4, |params| {
            let margin = number(params, "margin", 5.0);
            Box::new(BatchAllTriplet { distance: distance(params, Distance::Euclidean), margin })
        }),
        ("batch_hard_triplet", 4, |params| {
            let margin = number(params, "margin", 5.0);
            Box::new(BatchHardTriplet { distance: distance(params, Distance::Euclidean), margin })
        }),
        ("batch_semi_hard_triplet", 4, |params| {
            let margin = number(params, "margin", 5.0);
            Box::new(BatchSemiHardTriplet { distance: distance(params, Distance::Euclidean), margin })
        }),
        ("batch_hard_soft_margin_triplet", 2, |params| {
            Box::new(BatchHardSoftMarginTriplet { distance: distance(params, Distance::Euclidean) })
        }),
        ("mega_batch_margin", 4, |params| {
            Box::new(MegaBatchMargin {
                positive_margin: number(params, "positive_margin", 0.8),
                negative_margin: number(params, "negative_margin", 0.3),
            })
        }),
        ("mse_and_embed_distill", 6, distillation),
        ("margin_mse", 5, |params| Box::new(MarginMSE { similarity: similarity(params, Similarity::Dot) })),
        ("distill_kl_div", 5, |params| Box::new(kl_div(params))),
        ("global_orthogonal_regularization", 4, |params| Box::new(orthogonal(params))),
        ("matryoshka", 7, matryoshka),
    ];
    let mut trials: Trials = golden
        .into_iter()
        .map(|(name, count, loss)| {
            test(&format!("losses::{name}"), move || assert_eq!(cases(&format!("dense_{name}"), loss), count))
        })
        .collect();
    trials.extend([
        test("losses::settings_are_checked", settings),
        test("losses::refuse_batches_that_cannot_be", odd_batches),
        test("losses::are_finite_for_a_single_example", single),
        test("losses::sums_are_sums_of_their_terms", sums),
        test("losses::gradients_are_slopes", slopes),
    ]);
    trials
}

/// Runs every case of a golden file; returns how many there are.
fn cases(file: &str, loss: impl Fn(&Value) -> Box<dyn Loss>) -> usize {
    let dir = fixture("losses");
    let golden = json(&dir.join(format!("{file}.json")));
    let tensors = Tensors::read(&dir.join(format!("{file}.safetensors")));
    let cases = golden["cases"].as_array().unwrap();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let inputs = case["inputs"].as_array().unwrap().iter().map(|input| input.as_str().unwrap());
        let (guide, inputs): (Vec<&str>, Vec<&str>) = inputs.partition(|input| input.starts_with("in.g_"));
        let variables: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(tensors.tensor(input)).unwrap()).collect();
        let labels = case["labels"].as_str().map(|labels| tensors.tensor(labels).to_dtype(DType::F32).unwrap());
        let batch = Batch {
            labels,
            guide: guide.iter().map(|input| tensors.tensor(input).clone()).collect(),
            ..Batch::new(variables.iter().map(|variable| variable.as_tensor().clone()).collect())
        };
        let value = loss(&case["params"]).loss(&batch).unwrap();
        let expected = case["loss"].as_f64().unwrap();
        let found = f64::from(value.to_scalar::<f32>().unwrap());
        let deviation = if expected == 0.0 { found.abs() } else { (found / expected - 1.0).abs() };
        within(&format!("{name}: loss {found}, expected {expected}"), deviation, LOSS);
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

fn number(params: &Value, name: &str, default: f64) -> f64 {
    params[name].as_f64().unwrap_or(default)
}

fn distance(params: &Value, default: Distance) -> Distance {
    match params["distance_metric"].as_str() {
        None => default,
        Some("COSINE" | "cosine_distance") => Distance::Cosine,
        Some("EUCLIDEAN") => Distance::Euclidean,
        Some("euclidean_distance(squared=True)") => Distance::SquaredEuclidean,
        Some("MANHATTAN") => Distance::Manhattan,
        Some(other) => panic!("{other}"),
    }
}

fn similarity(params: &Value, default: Similarity) -> Similarity {
    match params["similarity_fct"].as_str() {
        None => default,
        Some("dot_score" | "pairwise_dot_score") => Similarity::Dot,
        Some("pairwise_cos_sim") => Similarity::Cosine,
        Some(other) => panic!("{other}"),
    }
}

fn symmetric() -> MultipleNegativesRanking {
    MultipleNegativesRanking {
        directions: vec![Direction::QueryToDoc, Direction::DocToQuery],
        partition: Partition::PerDirection,
        ..Default::default()
    }
}

fn gist(params: &Value) -> GISTEmbed {
    let flag = |name: &str| params[name].as_bool().unwrap_or(true);
    GISTEmbed {
        temperature: number(params, "temperature", 0.01),
        margin: number(params, "margin", 0.0),
        margin_strategy: if params["margin_strategy"] == "relative" {
            MarginStrategy::Relative
        } else {
            MarginStrategy::Absolute
        },
        contrast_queries: flag("contrast_anchors"),
        contrast_positives: flag("contrast_positives"),
    }
}

fn cosent(params: &Value) -> CoSENT {
    CoSENT { scale: number(params, "scale", 20.0), similarity: similarity(params, Similarity::Cosine) }
}

fn contrastive(params: &Value) -> Contrastive {
    Contrastive {
        distance: distance(params, Distance::Cosine),
        margin: number(params, "margin", 0.5),
        reduction: if params["size_average"] == false { Reduction::Sum } else { Reduction::Mean },
    }
}

fn distillation(params: &Value) -> Box<dyn Loss> {
    if params["class"] == "MSELoss" {
        return Box::new(MSE);
    }
    Box::new(EmbedDistill { distance: serde_json::from_value(params["distance_metric"].clone()).unwrap() })
}

fn kl_div(params: &Value) -> DistillKLDiv {
    let both = number(params, "temperature", 1.0);
    DistillKLDiv {
        similarity: similarity(params, Similarity::Dot),
        student_temperature: number(params, "student_temperature", both),
        teacher_temperature: number(params, "teacher_temperature", both),
    }
}

fn orthogonal(params: &Value) -> GlobalOrthogonalRegularization {
    // A null, unlike a missing key, leaves the term out.
    let weight = |name: &str| params.get(name).map_or(1.0, |weight| weight.as_f64().unwrap_or(0.0));
    GlobalOrthogonalRegularization {
        similarity: similarity(params, Similarity::Cosine),
        mean_weight: weight("mean_weight"),
        second_moment_weight: weight("second_moment_weight"),
        reduction: if params["aggregation"] == "sum" { Reduction::Sum } else { Reduction::Mean },
    }
}

fn matryoshka(params: &Value) -> Box<dyn Loss> {
    let dims: Vec<usize> = serde_json::from_value(params["matryoshka_dims"].clone()).unwrap();
    let inner: Box<dyn Loss> = match params["loss"].as_str().unwrap() {
        "CoSENTLoss" => Box::new(CoSENT::default()),
        "TripletLoss" => Box::new(Triplet::default()),
        "MSELoss" => Box::new(MSE),
        name => {
            assert!(name.ends_with("MultipleNegativesRankingLoss"), "{name}");
            Box::new(MultipleNegativesRanking::default())
        }
    };
    let weights = serde_json::from_value::<Option<Vec<f64>>>(params["matryoshka_weights"].clone()).unwrap();
    let loss = Matryoshka::new(inner, dims);
    Box::new(Matryoshka { weights: weights.unwrap_or(loss.weights.clone()), ..loss })
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
            let cosine = candle_nn::ops::sigmoid(&pairwise_cosine(batch.queries()?, batch.positives()?)?)?;
            Ok((cosine - batch.labels()?)?.sqr()?.mean(0)?)
        }));
    }
    let absolute = params["loss_fct"] == "L1Loss";
    Box::new(CosineSimilarity { difference: if absolute { Difference::Absolute } else { Difference::Squared } })
}

fn settings() {
    let rows = candle_core::Tensor::ones((2, 3), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
    let batch = Batch::pairs(rows.clone(), rows);
    let message = |loss: &dyn Loss| loss.loss(&batch).unwrap_err().to_string();
    let no_scale = MultipleNegativesRanking { scale: 0.0, ..Default::default() };
    assert_eq!(message(&no_scale), "scale = 0: expected a number above 0");
    let refused: Vec<(Box<dyn Loss>, &str)> = vec![
        (Box::new(Triplet { margin: f64::NAN, ..Default::default() }), "margin = NaN"),
        (Box::new(Triplet { margin: -1.0, ..Default::default() }), "margin = -1"),
        (Box::new(Contrastive { margin: f64::INFINITY, ..Default::default() }), "margin = inf"),
        (Box::new(BatchHardTriplet { margin: f64::NAN, ..Default::default() }), "margin = NaN"),
        (Box::new(CoSENT { scale: -1.0, ..Default::default() }), "scale = -1"),
        (Box::new(GISTEmbed { temperature: 0.0, ..Default::default() }), "temperature = 0"),
        (Box::new(InfoNCE { temperature: f64::NAN }), "temperature = NaN"),
        (Box::new(MegaBatchMargin { positive_margin: 3.0, ..Default::default() }), "positive_margin = 3"),
        (Box::new(MultipleNegativesRanking { hardness_strength: f64::NAN, ..Default::default() }), "hardness_strength"),
        (Box::new(f64::NAN * MSE), "weight = NaN"),
        (Box::new(Matryoshka { weights: Vec::new(), ..Matryoshka::new(MSE, [2]) }), "weights = []"),
    ];
    for (loss, expected) in refused {
        let error = loss.check().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let whole = Tensor::new(&[[1u8, 2]], &Device::Cpu).unwrap();
    for error in [cosine(&whole, &whole), pairwise_cosine(&whole, &whole), Distance::Manhattan.pairwise(&whole, &whole)]
    {
        assert_eq!(
            error.unwrap_err().to_string(),
            "dtype = u8: expected floats, such as `.to_dtype(DType::F32)?` makes"
        );
    }
    let no_candidates = MultipleNegativesRanking { directions: vec![Direction::QueryToQuery], ..Default::default() };
    assert_eq!(message(&no_candidates), "directions = [QueryToQuery]: expected QueryToDoc among them");
    assert!(message(&Triplet::default()).contains("`negative`"));
    assert!(message(&CosineSimilarity::default()).contains("`label`"));
}

fn odd_batches() {
    let zeros = |rows: usize, dim: usize| Tensor::zeros((rows, dim), DType::F32, &Device::Cpu).unwrap();
    let labels = |rows: usize| Some(Tensor::zeros(rows, DType::F32, &Device::Cpu).unwrap());
    let flat = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
    let columns = |columns: [Tensor; 3]| Batch::new(columns.to_vec());
    let three = || zeros(3, 4);
    let batches = [
        (columns([zeros(0, 4), zeros(0, 4), zeros(0, 4)]), "at least one example"),
        (columns([flat.clone(), three(), three()]), "(B, dim)"),
        (columns([three(), zeros(2, 4), three()]), "that of the queries, [3, 4]"),
        (columns([three(), zeros(3, 5), three()]), "that of the queries, [3, 4]"),
        (columns([three(), three(), zeros(2, 4)]), "that of the queries, [3, 4]"),
        (Batch { labels: labels(2), ..columns([three(), three(), three()]) }, "[3], one per example"),
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
                let mut columns = vec![queries.as_tensor().clone(), positives.as_tensor().clone()];
                columns.extend(vec![negative.as_tensor().clone(); negatives]);
                let batch = Batch::new(columns);
                let value = loss.loss(&batch).unwrap();
                assert!(value.to_scalar::<f32>().unwrap().is_finite(), "{loss:?}, {negatives} negatives");
                let grads = value.backward().unwrap();
                assert!(floats(grads.get(&queries).unwrap()).iter().all(|grad| grad.is_finite()), "{loss:?}");
            }
        }
    }
}

fn random(seed: u64, rows: usize) -> Tensor {
    let mut rng = Philox::new(seed);
    let numbers: Vec<f64> = (0..rows * 6).map(|_| rng.normal()).collect();
    Tensor::from_vec(numbers, (rows, 6), &Device::Cpu).unwrap()
}

fn sums() {
    let columns: Vec<Tensor> = (0..3).map(|seed| random(seed, 5)).collect();
    let batch = Batch::new(columns);
    let value = |loss: &dyn Loss| loss.loss(&batch).unwrap().to_scalar::<f64>().unwrap();
    let (ranking, triplet) = (MultipleNegativesRanking::default(), Triplet { margin: 1.0, ..Default::default() });
    let closure = custom(|batch| Ok(batch.queries()?.sqr()?.mean_all()?));
    let sum = 0.7 * ranking.clone() + 0.3 * triplet + closure.clone() + 2.0 * GlobalOrthogonalRegularization::default();
    let expected = 0.7 * value(&ranking)
        + 0.3 * value(&triplet)
        + value(&closure)
        + 2.0 * value(&GlobalOrthogonalRegularization::default());
    assert!((value(&sum) - expected).abs() < 1e-12);
    let terms = sum.terms(&batch).unwrap();
    let named: Vec<(&str, f64)> = terms.iter().map(|term| (term.name.as_str(), term.weight)).collect();
    let second =
        [("MultipleNegativesRanking", 0.7), ("Triplet", 0.3), ("", 1.0), ("mean", 2.0), ("second moment", 2.0)];
    assert_eq!(named, second);
    assert_eq!(format!("{sum:?}").split(" + ").count(), 4);
    // What any of them needs, all need.
    assert_eq!((*sum.needs().columns.start(), sum.needs().in_batch), (3, true));
    assert_eq!(value(&Matryoshka::new(ranking.clone(), [6])), value(&ranking));
    assert!(Matryoshka::new(ranking, [7]).loss(&batch).unwrap_err().to_string().starts_with("dims = 7"));
}

/// Every loss of the table, at random points in double precision, along a random direction.
fn slopes() {
    let rows = 5;
    let numbers = |values: &[f64], shape: &[usize]| Some(Tensor::from_slice(values, shape, &Device::Cpu).unwrap());
    let (scores, binary) = (numbers(&[0.1, 0.9, 0.4, 0.7, 0.2], &[rows]), numbers(&[1.0, 0.0, 1.0, 0.0, 0.0], &[rows]));
    let classes = numbers(&[1.0, 2.0, 1.0, 2.0, 3.0], &[rows]);
    let teacher = Some(random(9, rows).narrow(1, 0, 2).unwrap().contiguous().unwrap());
    let guide: Vec<Tensor> = (20..23).map(|seed| random(seed, rows)).collect();
    let losses: Vec<(Box<dyn Loss>, usize, Option<Tensor>)> = vec![
        (Box::new(AnglE { scale: 2.0 }), 2, scores.clone()),
        (Box::new(AnglE { scale: 2.0 }), 3, None),
        (Box::new(BatchAllTriplet::default()), 1, classes.clone()),
        (Box::new(BatchHardSoftMarginTriplet::default()), 1, classes.clone()),
        (Box::new(BatchHardTriplet { distance: Distance::Manhattan, margin: 9.0 }), 1, classes.clone()),
        (Box::new(BatchSemiHardTriplet::default()), 1, classes),
        (Box::new(Contrastive::default()), 2, binary.clone()),
        (Box::new(CoSENT { scale: 3.0, ..Default::default() }), 2, scores.clone()),
        (Box::new(CosineSimilarity::default()), 2, scores),
        (Box::new(DistillKLDiv::default()), 3, teacher.clone()),
        (Box::new(EmbedDistill { distance: TeacherDistance::L2 }), 2, Some(random(8, rows))),
        (Box::new(GISTEmbed { temperature: 1.0, ..Default::default() }), 3, None),
        (Box::new(GlobalOrthogonalRegularization::default()), 2, None),
        (Box::new(InfoNCE::default()), 3, None),
        (Box::new(MarginMSE::default()), 3, teacher),
        (Box::new(MegaBatchMargin::default()), 2, None),
        (Box::new(MSE), 2, Some(random(8, rows))),
        (Box::new(symmetric()), 3, None),
        (Box::new(NTXent::default()), 2, None),
        (Box::new(OnlineContrastive { margin: 1.5, ..Default::default() }), 2, binary),
        (Box::new(Triplet::default()), 3, None),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for (loss, columns, labels) in losses {
        let name = loss.needs().name;
        seen.insert(name);
        let kind = labels.as_ref().map(|labels| match labels.dims() {
            [_, width] => LabelKind::List(*width),
            _ => Labels::from(floats(labels)).kind(),
        });
        assert!(loss.needs().fits(columns, kind), "{name} with {columns} columns and {kind:?}");
        let inputs: Vec<Var> = (0..columns).map(|seed| Var::from_tensor(&random(seed as u64, rows)).unwrap()).collect();
        let value = |inputs: &[Tensor]| {
            let guide = if loss.needs().guide { guide.clone() } else { Vec::new() };
            loss.loss(&Batch { labels: labels.clone(), guide, ..Batch::new(inputs.to_vec()) }).unwrap()
        };
        let tensors: Vec<Tensor> = inputs.iter().map(|input| input.as_tensor().clone()).collect();
        let grads = value(&tensors).backward().unwrap();
        for (index, input) in inputs.iter().enumerate() {
            let direction = random(50 + index as u64, rows);
            let moved = |step: f64| {
                let mut moved = tensors.iter().map(Tensor::detach).collect::<Vec<_>>();
                moved[index] = (&moved[index] + (&direction * step).unwrap()).unwrap();
                value(&moved).to_scalar::<f64>().unwrap()
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let along =
                (grads.get(input).unwrap() * &direction).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap();
            within(
                &format!("{name}: slope {slope} of column {index}, gradient {along}"),
                (slope - along).abs(),
                1e-6 * (1.0 + slope.abs()),
            );
        }
    }
    let all: Vec<_> = Needs::all().map(|needs| needs.name).collect();
    assert_eq!(seen.len(), all.len(), "{seen:?} of {all:?}");
}
