//! The cases of a golden file, and the losses of their parameters.

use candle_core::{DType, Var};
use kensaku::loss::{
    AnglE, Batch, CoSENT, Contrastive, CosineSimilarity, Difference, Direction, Distance, DistillKLDiv, EmbedDistill,
    GISTEmbed, GlobalOrthogonalRegularization, Hardness, Loss, MSE, MarginMSE, MarginStrategy, Matryoshka,
    MultipleNegativesRanking, Partition, Reduction, Similarity, SpladeLoss, Triplet, custom, pairwise_cosine,
};
use serde_json::Value;

use crate::golden::{Tensors, fixture, floats, json, within};

/// Tolerances: relative for the loss; for gradients absolute plus relative.
const LOSS: f64 = 1e-5;
const GRADIENT: (f64, f64) = (1e-5, 1e-4);

/// Runs every case of a golden file; returns how many there are.
pub(super) fn cases(file: &str, loss: impl Fn(&Value) -> Box<dyn Loss>) -> usize {
    let dir = fixture("losses");
    let golden = json(&dir.join(format!("{file}.json")));
    let tensors = Tensors::read(&dir.join(format!("{file}.safetensors")));
    let cases = golden["cases"].as_array().unwrap();
    for case in cases {
        let inputs = case["inputs"].as_array().unwrap().iter().map(|input| input.as_str().unwrap());
        let (guide, inputs): (Vec<&str>, Vec<&str>) = inputs.partition(|input| input.starts_with("in.g_"));
        let own = |input: &&str| ["weight", "bias"].into_iter().find(|name| input.starts_with(&format!("in.{name}_")));
        let loss = loss(&case["params"]);
        let variables: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(tensors.tensor(input)).unwrap()).collect();
        let labels = case["labels"].as_str().map(|labels| tensors.tensor(labels).to_dtype(DType::F32).unwrap());
        let mut batch = Batch {
            labels,
            guide: guide.iter().map(|input| tensors.tensor(input).clone()).collect(),
            parameters: loss.parameters(16, 42).unwrap().into_iter().map(|own| (own.name, own.value)).collect(),
            ..Batch::default()
        };
        for (input, variable) in inputs.iter().zip(&variables) {
            let value = variable.as_tensor().clone();
            match own(input) {
                None => batch.columns.push(value),
                Some(name) => batch.parameters.iter_mut().find(|(own, _)| own == name).unwrap().1 = value,
            }
        }
        let inputs: Vec<(&str, &Var)> = inputs.into_iter().zip(&variables).collect();
        compare(case, &tensors, &*loss, &batch, &inputs);
    }
    cases.len()
}

/// Value and gradients of one case.
pub(super) fn compare(case: &Value, tensors: &Tensors, loss: &dyn Loss, batch: &Batch, inputs: &[(&str, &Var)]) {
    let name = case["name"].as_str().unwrap();
    let value = loss.loss(batch).unwrap();
    let expected = case["loss"].as_f64().unwrap();
    let found = f64::from(value.to_scalar::<f32>().unwrap());
    let deviation = if expected == 0.0 { found.abs() } else { (found / expected - 1.0).abs() };
    within(&format!("{name}: loss {found}, expected {expected}"), deviation, LOSS);
    let grads = value.backward().unwrap();
    for (input, variable) in inputs {
        let ours = floats(grads.get(variable).unwrap());
        let theirs = tensors.floats(case["grads"][*input].as_str().unwrap());
        for (ours, theirs) in ours.iter().zip(theirs) {
            let limit = GRADIENT.0 + GRADIENT.1 * f64::from(theirs.abs());
            within(&format!("{name}: gradient of {input}"), (ours - theirs).abs(), limit);
        }
    }
}

pub(super) fn number(params: &Value, name: &str, default: f64) -> f64 {
    params[name].as_f64().unwrap_or(default)
}

pub(super) fn distance(params: &Value, default: Distance) -> Distance {
    match params["distance_metric"].as_str() {
        None => default,
        Some("COSINE" | "cosine_distance") => Distance::Cosine,
        Some("EUCLIDEAN") => Distance::Euclidean,
        Some("euclidean_distance(squared=True)") => Distance::SquaredEuclidean,
        Some("MANHATTAN") => Distance::Manhattan,
        Some(other) => panic!("{other}"),
    }
}

pub(super) fn similarity(params: &Value, default: Similarity) -> Similarity {
    match params["similarity_fct"].as_str() {
        None => default,
        Some("dot_score" | "pairwise_dot_score") => Similarity::Dot,
        Some("pairwise_cos_sim") => Similarity::Cosine,
        Some(other) => panic!("{other}"),
    }
}

pub(super) fn gist(params: &Value) -> GISTEmbed {
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

pub(super) fn cosent(params: &Value) -> CoSENT {
    CoSENT { scale: number(params, "scale", 20.0), similarity: similarity(params, Similarity::Cosine) }
}

pub(super) fn contrastive(params: &Value) -> Contrastive {
    Contrastive {
        distance: distance(params, Distance::Cosine),
        margin: number(params, "margin", 0.5),
        reduction: if params["size_average"] == false { Reduction::Sum } else { Reduction::Mean },
    }
}

pub(super) fn distillation(params: &Value) -> Box<dyn Loss> {
    if params["class"] == "MSELoss" {
        return Box::new(MSE);
    }
    Box::new(EmbedDistill { distance: serde_json::from_value(params["distance_metric"].clone()).unwrap() })
}

pub(super) fn kl_div(params: &Value) -> DistillKLDiv {
    let both = number(params, "temperature", 1.0);
    DistillKLDiv {
        similarity: similarity(params, Similarity::Dot),
        student_temperature: number(params, "student_temperature", both),
        teacher_temperature: number(params, "teacher_temperature", both),
    }
}

pub(super) fn orthogonal(params: &Value) -> GlobalOrthogonalRegularization {
    // A null, unlike a missing key, leaves the term out.
    let weight = |name: &str| params.get(name).map_or(1.0, |weight| weight.as_f64().unwrap_or(0.0));
    GlobalOrthogonalRegularization {
        similarity: similarity(params, Similarity::Cosine),
        mean_weight: weight("mean_weight"),
        second_moment_weight: weight("second_moment_weight"),
        reduction: if params["aggregation"] == "sum" { Reduction::Sum } else { Reduction::Mean },
    }
}

pub(super) fn matryoshka(params: &Value) -> Box<dyn Loss> {
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

/// The losses of sparse vectors are those of dense ones, with defaults of their own.
pub(super) fn sparse(class: &Value, params: &Value) -> Box<dyn Loss> {
    match class.as_str().unwrap() {
        "SparseMultipleNegativesRankingLoss" => {
            let scale = number(params, "scale", 1.0);
            Box::new(MultipleNegativesRanking { scale, similarity: Similarity::Dot, ..mnrl(params) })
        }
        "SparseMarginMSELoss" => Box::new(MarginMSE { similarity: Similarity::Dot }),
        "SparseDistillKLDivLoss" => Box::new(kl_div(params)),
        "SparseTripletLoss" => Box::new(Triplet { distance: Distance::Euclidean, margin: 5.0 }),
        "SparseCoSENTLoss" => Box::new(CoSENT::default()),
        "SparseAnglELoss" => Box::new(AnglE::default()),
        "SparseCosineSimilarityLoss" => Box::new(CosineSimilarity::default()),
        "SparseMSELoss" => Box::new(MSE),
        other => panic!("{other}"),
    }
}

pub(super) fn splade(params: &Value) -> SpladeLoss<Box<dyn Loss>> {
    let threshold = |name: &str| params[name].as_u64().map(|threshold| threshold as usize);
    let inner = sparse(&params["loss"], params);
    let weight = params["document_regularizer_weight"].as_f64().unwrap();
    SpladeLoss {
        document_regularizer_threshold: threshold("document_regularizer_threshold"),
        query_regularizer_threshold: threshold("query_regularizer_threshold"),
        use_document_regularizer_only: params["use_document_regularizer_only"] == true,
        ..SpladeLoss::new(inner, weight, params["query_regularizer_weight"].as_f64())
    }
}

pub(super) fn mnrl(params: &Value) -> MultipleNegativesRanking {
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

pub(super) fn cosine_similarity(params: &Value) -> Box<dyn Loss> {
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
