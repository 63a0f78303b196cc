//! Losses of tokens against sentence-transformers and PyLate: those of scores, whatever the model is.

use candle_core::{D, DType, Device, Tensor, Var};
use kensaku::loss::{
    Batch, DistillKLDiv, Interaction, Loss, MarginMSE, MultipleNegativesRanking, XTR, custom, kl_divergence, normalize,
};
use serde_json::Value;

use crate::golden::{Tensors, fixture, floats, json, within};
use crate::shared::{Trials, test};

/// Tolerances: relative for the loss; for gradients absolute plus relative.
const LOSS: f64 = 1e-5;
const GRADIENT: (f64, f64) = (1e-5, 1e-4);

pub(super) fn trials() -> Trials {
    vec![
        test("colbert::losses_mv_multiple_negatives_ranking", || {
            let loss = |params: &Value| retrieving(params, Box::new(ranking(params)));
            assert_eq!(masked("mv_multiple_negatives_ranking", loss), 5);
        }),
        test("colbert::losses_mv_distill_kl_div", || {
            assert_eq!(masked("mv_distill_kl_div", |params| retrieving(params, Box::new(distill(params)))), 4);
        }),
        test("colbert::losses_mv_margin_mse", || {
            assert_eq!(masked("mv_margin_mse", |_| Box::new(MarginMSE::default())), 3);
        }),
        // Cached losses are those of one pass.
        test("colbert::losses_mv_cached_multiple_negatives_ranking", || {
            assert_eq!(masked("mv_cached_multiple_negatives_ranking", |params| Box::new(ranking(params))), 2);
        }),
        test("colbert::losses_pylate_cached_contrastive", || {
            assert_eq!(pylate("pylate_cached_contrastive", cached_contrastive), 3);
        }),
        test("colbert::losses_pylate_contrastive", || assert_eq!(pylate("pylate_contrastive", contrastive), 4)),
        test("colbert::losses_pylate_distillation", || assert_eq!(pylate("pylate_distillation", distillation), 4)),
    ]
}

fn number(params: &Value, name: &str, default: f64) -> f64 {
    params[name].as_f64().unwrap_or(default)
}

fn ranking(params: &Value) -> MultipleNegativesRanking {
    MultipleNegativesRanking { scale: number(params, "scale", 1.0), ..Default::default() }
}

fn distill(params: &Value) -> DistillKLDiv {
    let both = number(params, "temperature", 1.0);
    DistillKLDiv {
        student_temperature: number(params, "student_temperature", both),
        teacher_temperature: number(params, "teacher_temperature", both),
        ..Default::default()
    }
}

/// The loss with the scores of `XTRScores(top_k=6)`, if a case has them.
fn retrieving(params: &Value, loss: Box<dyn Loss>) -> Box<dyn Loss> {
    match params["similarity_fct"].as_str().and_then(|name| name.split_once("top_k=")) {
        Some((_, k)) => Box::new(XTR::new(loss, k.trim_end_matches(')').parse().unwrap())),
        None => loss,
    }
}

struct Golden {
    cases: Vec<Value>,
    tensors: Tensors,
}

impl Golden {
    fn read(file: &str) -> Self {
        let dir = fixture("losses");
        let cases = json(&dir.join(format!("{file}.json")))["cases"].as_array().unwrap().clone();
        Self { cases, tensors: Tensors::read(&dir.join(format!("{file}.safetensors"))) }
    }

    /// The loss and its gradients against those of the file.
    fn compare(&self, case: &Value, value: &Tensor, inputs: &[(String, Var)]) {
        let name = case["name"].as_str().unwrap();
        let (found, expected) = (f64::from(value.to_scalar::<f32>().unwrap()), case["loss"].as_f64().unwrap());
        within(&format!("{name}: loss {found}, expected {expected}"), (found / expected - 1.0).abs(), LOSS);
        let grads = value.backward().unwrap();
        for (input, variable) in inputs {
            let ours = floats(grads.get(variable).unwrap());
            let theirs = self.tensors.floats(case["grads"][input].as_str().unwrap());
            for (ours, theirs) in ours.iter().zip(theirs) {
                let limit = GRADIENT.0 + GRADIENT.1 * f64::from(theirs.abs());
                within(&format!("{name}: gradient of {input}"), (ours - theirs).abs(), limit);
            }
        }
    }
}

/// Cases of sentence-transformers, whose masked tokens take no part. Returns how many there are.
fn masked(file: &str, loss: impl Fn(&Value) -> Box<dyn Loss>) -> usize {
    let golden = Golden::read(file);
    for case in &golden.cases {
        let names = case["inputs"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let names: Vec<&str> = names.filter(|name| !name.ends_with("_mask")).collect();
        let inputs: Vec<(String, Var)> = names
            .iter()
            .map(|name| ((*name).to_owned(), Var::from_tensor(golden.tensors.tensor(name)).unwrap()))
            .collect();
        let columns = inputs.iter().map(|(name, rows)| {
            let mask = golden.tensors.tensor(&format!("{name}_mask")).to_vec2::<i64>().unwrap();
            let (mut kept, mut bounds) = (Vec::new(), vec![0]);
            for (text, mask) in mask.iter().enumerate() {
                let rows = mask.iter().enumerate().filter(|(_, mask)| **mask == 1);
                kept.extend(rows.map(|(row, _)| (text * mask.len() + row) as u32));
                bounds.push(kept.len());
            }
            let kept = Tensor::new(kept, &Device::Cpu).unwrap();
            (rows.flatten(0, 1).unwrap().index_select(&kept, 0).unwrap(), bounds)
        });
        let mean = case["params"]["similarity_fct"] == "mean_colbert_scores";
        let labels = case["labels"].as_str().map(|labels| golden.tensors.tensor(labels).to_dtype(DType::F32).unwrap());
        let interaction = if mean { Interaction::Mean } else { Interaction::Sum };
        let batch = Batch { labels, ..Batch::tokens(columns.collect(), interaction) };
        golden.compare(case, &loss(&case["params"]).loss(&batch).unwrap(), &inputs);
    }
    golden.cases.len()
}

/// Cases of PyLate: the loss normalises, and masked tokens become 0, which may win.
fn pylate(file: &str, loss: fn(&Value, usize) -> Box<dyn Loss>) -> usize {
    let golden = Golden::read(file);
    for case in &golden.cases {
        let expanded = case["params"]["do_query_expansion"] == true;
        let columns = case["columns"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let (mut inputs, mut texts) = (Vec::new(), Vec::new());
        for column in columns {
            let input = Var::from_tensor(golden.tensors.tensor(&format!("in.{column}.emb"))).unwrap();
            let [ids, mask] = ["ids", "mask"]
                .map(|kind| golden.tensors.tensor(&format!("in.{column}.{kind}")).to_vec2::<i64>().unwrap());
            let counts = |id: i64, mask: i64| match column {
                "q" => expanded || mask == 1,
                _ => mask == 1 && ![90, 91].contains(&id),
            };
            let counted =
                ids.iter().flatten().zip(mask.iter().flatten()).map(|(id, mask)| f32::from(counts(*id, *mask)));
            let counted =
                Tensor::from_vec(counted.collect::<Vec<_>>(), (ids.len(), ids[0].len(), 1), &Device::Cpu).unwrap();
            texts.push(normalize(&input).unwrap().broadcast_mul(&counted).unwrap());
            inputs.push((format!("in.{column}.emb"), input));
        }
        // Row `i * ways + j` of `docs` is document `j` of query `i`.
        if case["columns"][1] == "docs" {
            let docs = texts.pop().unwrap();
            let (all, tokens, dim) = docs.dims3().unwrap();
            let examples = texts[0].dim(0).unwrap();
            let docs = docs.reshape((examples, all / examples, tokens, dim)).unwrap();
            texts.extend((0..all / examples).map(|way| docs.narrow(1, way, 1).unwrap().squeeze(1).unwrap()));
        }
        let columns = texts.iter().map(|texts| {
            let (count, tokens, _) = texts.dims3().unwrap();
            (texts.flatten(0, 1).unwrap(), (0..=count).map(|text| text * tokens).collect())
        });
        let labels = case["labels"].as_str().map(|labels| golden.tensors.tensor(labels).to_dtype(DType::F32).unwrap());
        let batch = Batch { labels, ..Batch::tokens(columns.collect(), Interaction::Sum) };
        let examples = batch.examples().unwrap();
        golden.compare(case, &loss(&case["params"], examples).loss(&batch).unwrap(), &inputs);
    }
    golden.cases.len()
}

/// A sum over examples instead of their mean.
fn summed(params: &Value, examples: usize) -> f64 {
    if params["size_average"] == false { examples as f64 } else { 1.0 }
}

fn contrastive(params: &Value, examples: usize) -> Box<dyn Loss> {
    let ranking = MultipleNegativesRanking { scale: 1.0 / number(params, "temperature", 1.0), ..Default::default() };
    let weight = summed(params, examples);
    Box::new(custom(move |batch| Ok((ranking.loss(batch)? * weight)?)))
}

/// Its mean has the gradient of the sum: a fault of PyLate's that its file holds as it is.
fn cached_contrastive(params: &Value, examples: usize) -> Box<dyn Loss> {
    let ranking = contrastive(params, examples);
    let excess = examples as f64 / summed(params, examples) - 1.0;
    Box::new(custom(move |batch| {
        let loss = ranking.loss(batch)?;
        Ok(((&loss + (&loss * excess)?)? - (loss.detach() * excess)?)?)
    }))
}

fn distillation(params: &Value, examples: usize) -> Box<dyn Loss> {
    let weight = summed(params, examples);
    if params["normalize_scores"] == false {
        return Box::new(DistillKLDiv::default());
    }
    // Scores from 0 to 1 within the documents of a query: by hand, of the model's own.
    Box::new(custom(move |batch| {
        let scores = batch.own_scores()?;
        let (low, high) = (scores.min_keepdim(D::Minus1)?, scores.max_keepdim(D::Minus1)?);
        let range = ((high - &low)? + 1e-8)?;
        let scores = scores.broadcast_sub(&low)?.broadcast_div(&range)?;
        Ok((kl_divergence(&scores, batch.labels()?)? * weight)?)
    }))
}
