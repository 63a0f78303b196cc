//! The losses of cross-encoders against sentence-transformers.

use candle_core::{DType, Device, Tensor, Var};
use kensaku::loss::{
    ADRMSE, Batch, BinaryCrossEntropy, CrossEntropy, LambdaLoss, ListMLE, ListNet, Logarithm, Loss, MSE, MarginMSE,
    MultipleNegativesRanking, PListMLE, PairWeight, RankNet, RankWeight, sigmoid,
};
use serde_json::Value;

use super::Make;
use super::golden::{compare, number};
use crate::golden::{Tensors, fixture, json};
use crate::shared::{Trials, test};

/// What a loss sees of a case: the columns of its input, labels, bounds of lists.
type See = fn(&Value, &Value, &Tensor, Option<Tensor>) -> Batch;

pub(super) fn trials() -> Trials {
    let golden: Vec<(&str, usize, See, Make)> = vec![
        ("pointwise", 7, pointwise, |params| match params["class"].as_str().unwrap() {
            "BinaryCrossEntropyLoss" => Box::new(BinaryCrossEntropy { pos_weight: number(params, "pos_weight", 1.0) }),
            "CrossEntropyLoss" => Box::new(CrossEntropy { label_smoothing: number(params, "label_smoothing", 0.0) }),
            _ => activated(params, MSE),
        }),
        ("margin_mse", 4, columns, |params| activated(params, MarginMSE::default())),
        ("multiple_negatives_ranking", 6, candidates, |params| {
            let loss = MultipleNegativesRanking { scale: number(params, "scale", 10.0), ..Default::default() };
            if params["activation_fn"] == "Identity" { Box::new(loss) } else { Box::new(sigmoid(loss)) }
        }),
        ("cached_multiple_negatives_ranking", 6, candidates, |params| {
            let loss = MultipleNegativesRanking { scale: number(params, "scale", 10.0), ..Default::default() };
            if params["activation_fn"] == "Identity" { Box::new(loss) } else { Box::new(sigmoid(loss)) }
        }),
        ("list_net", 3, lists, |params| activated(params, ListNet)),
        ("list_mle_and_plist_mle", 5, lists, list_mle),
        ("lambda_loss", 15, lists, lambda),
        ("adr_mse", 3, lists, |params| Box::new(ADRMSE { alpha: number(params, "alpha", 1.0) })),
    ];
    let cases = golden.into_iter().map(|(name, count, see, loss)| {
        test(&format!("losses::of_pairs_{name}"), move || assert_eq!(run(&format!("ce_{name}"), see, loss), count))
    });
    cases.collect()
}

fn run(file: &str, see: See, loss: Make) -> usize {
    let dir = fixture("losses");
    let golden = json(&dir.join(format!("{file}.json")));
    let tensors = Tensors::read(&dir.join(format!("{file}.safetensors")));
    let cases = golden["cases"].as_array().unwrap();
    for case in cases {
        let input = case["inputs"][0].as_str().unwrap();
        let variable = Var::from_tensor(tensors.tensor(input)).unwrap();
        let labels = case["labels"].as_str().map(|labels| tensors.tensor(labels).to_dtype(DType::F32).unwrap());
        let batch = see(&golden, case, variable.as_tensor(), labels);
        compare(case, &tensors, &*loss(&case["params"]), &batch, &[(input, &variable)]);
    }
    cases.len()
}

fn activated(params: &Value, loss: impl Loss + 'static) -> Box<dyn Loss> {
    if params["activation_fn"] == "Sigmoid" { Box::new(sigmoid(loss)) } else { Box::new(loss) }
}

fn list_mle(params: &Value) -> Box<dyn Loss> {
    let respect_input_order = params["respect_input_order"].as_bool().unwrap_or(true);
    if params["class"] == "ListMLELoss" {
        return Box::new(ListMLE { respect_input_order });
    }
    let discounted = params["lambda_weight"].as_str().is_some_and(|weight| weight.starts_with("1/log2"));
    let weight = if discounted { RankWeight::Discount } else { RankWeight::Halving };
    Box::new(PListMLE { weight, respect_input_order })
}

fn lambda(params: &Value) -> Box<dyn Loss> {
    let (sigma, k) = (number(params, "sigma", 1.0), params["k"].as_u64().map(|k| k as usize));
    if params["class"] == "RankNetLoss" {
        return Box::new(RankNet { sigma, k });
    }
    let weight = match params["weighting_scheme"].as_str() {
        Some("NoWeightingScheme") => PairWeight::One,
        Some("NDCGLoss1Scheme") => PairWeight::NdcgLoss1,
        Some("NDCGLoss2Scheme") => PairWeight::NdcgLoss2,
        Some("LambdaRankScheme") => PairWeight::LambdaRank,
        None | Some("NDCGLoss2PPScheme") => PairWeight::NdcgLoss2PP,
        Some(other) => panic!("{other}"),
    };
    let log = if params["reduction_log"] == "natural" { Logarithm::Natural } else { Logarithm::Binary };
    Box::new(LambdaLoss { weight, mu: number(params, "mu", 10.0), sigma, k, log })
}

/// One column of pairs.
fn pointwise(_: &Value, _: &Value, logits: &Tensor, labels: Option<Tensor>) -> Batch {
    Batch { labels, ..Batch::read_pairs(vec![logits.clone()]) }
}

/// A column for each document of a query.
fn columns(_: &Value, _: &Value, logits: &Tensor, labels: Option<Tensor>) -> Batch {
    let column = |index| logits.narrow(1, index, 1).unwrap();
    // One margin per query is that of the first negative.
    let docs = if labels.as_ref().is_some_and(|labels| labels.rank() == 1) { 2 } else { logits.dim(1).unwrap() };
    Batch { labels, ..Batch::read_pairs((0..docs).map(column).collect()) }
}

/// All pairs one after the other.
fn lists(golden: &Value, _: &Value, logits: &Tensor, labels: Option<Tensor>) -> Batch {
    let lengths = golden["list_lengths"].as_array().unwrap().iter().map(|length| length.as_u64().unwrap() as usize);
    let mut lists = vec![0];
    lengths.for_each(|length| lists.push(lists.last().unwrap() + length));
    Batch { labels, lists, ..Batch::read_pairs(vec![logits.unsqueeze(1).unwrap()]) }
}

/// Of a table of all queries and documents, the documents that each query is read with: its positive, those that were
/// sampled for it, its own negatives.
fn candidates(_: &Value, case: &Value, table: &Tensor, _: Option<Tensor>) -> Batch {
    let (rows, hard) = (table.dim(0).unwrap(), case["columns"].as_u64().unwrap() as usize - 1);
    let sampled = case["in_batch_negatives_per_row"].as_array().unwrap();
    let docs: Vec<Vec<u32>> = (0..rows)
        .map(|row| {
            let own = (1..=hard).map(|column| (column * rows + row) as u32);
            let others = sampled[row].as_array().unwrap().iter().map(|doc| doc.as_u64().unwrap() as u32);
            std::iter::once(row as u32).chain(others).chain(own).collect()
        })
        .collect();
    let chosen = table.gather(&Tensor::new(docs, &Device::Cpu).unwrap(), 1).unwrap();
    columns(&Value::Null, case, &chosen, None)
}
