//! One optimiser step on the real batches that `train_step.py` of the peers wrote (`--plan`, `--tokens`), to
//! set side by side with its record: prints one JSON line, and `ratio=` if the record is given.
//!
//! ```text
//! cargo run --release -p kensaku --example train_step -- --model DIR --tokens tokens.json --plan plan.json
//!     [--peer record.json] [--dropout 0] [--warmup 2]
//! ```
//!
//! The loss is the plan's. As there: constant rate 2e-5, no decay, gradients clipped to norm 1, the first
//! `warmup` batches not timed, matrix products counted at two operations a multiply-add, backward as twice
//! the forward, real tokens only.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail};
use kensaku::loss::{Batch, MultipleNegativesRanking, custom};
use kensaku::model::BiEncoder;
use kensaku::prelude::*;
use kensaku::serde_json::{self, Value, json};
use kensaku::train::{AdamWConfig, TokenBatch};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options: HashMap<&str, &str> = arguments.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1])).collect();
    let option = |name: &str| options.get(name).copied();
    let path = |name: &str| option(name).map(Path::new).with_context(|| format!("{name} is missing"));
    let plan = read(path("--plan")?)?;
    let batches = batches(&read(path("--tokens")?)?, &plan)?;
    let warmup: usize = option("--warmup").unwrap_or("2").parse()?;
    let name = plan["loss"].as_str().context("no loss in the plan")?;

    let config = TrainConfig {
        learning_rate: 2e-5,
        dropout: option("--dropout") != Some("0"),
        adamw: AdamWConfig { weight_decay: 0.0, ..Default::default() },
        ..Default::default()
    };
    let model = BiEncoder::load(path("--model")?)?;
    let shape = read(&path("--model")?.join("config.json"))?;
    let mut trainer = match name {
        "mnrl" => Trainer::new(model, MultipleNegativesRanking::default(), config)?,
        "margin_mse" => Trainer::new(model, custom(margin_mse), config)?,
        other => bail!("the plan's loss is `{other}`: expected mnrl or margin_mse"),
    };
    let mut steps = Vec::new();
    for batch in &batches {
        let step = trainer.step(batch)?;
        eprintln!("{step}");
        steps.push(step);
    }

    let timed = &steps[warmup..];
    let seconds = median(timed.iter().map(|step| step.seconds));
    let gflop = median(batches[warmup..].iter().map(|batch| 3.0 * forward_flop(&shape, batch) / 1e9));
    let record = json!({
        "bench": "train_step", "loss": name, "dropout": option("--dropout").unwrap_or("model's own"),
        "step_s": seconds, "tokens": median(timed.iter().map(|step| step.tokens as f64)),
        "gflops_real": gflop / seconds, "peak_rss_mib": peak_rss_mib(),
        "loss_per_step": steps.iter().map(|step| step.loss).collect::<Vec<_>>(),
        "grad_norm_per_step": steps.iter().map(|step| step.grad_norm).collect::<Vec<_>>(),
    });
    println!("{record}");
    if let Some(peer) = option("--peer") {
        let peer = read(Path::new(peer))?;
        let theirs = peer["step_s"]["median"].as_f64().context("no step_s in the peer's record")?;
        let gemm = peer["gemm_gflops"].as_object().into_iter().flatten();
        let best = gemm.filter(|(name, _)| !name.ends_with("_per_cpu_s")).filter_map(|(_, rate)| rate.as_f64());
        let share = gflop / seconds / best.fold(0.0, f64::max);
        println!(
            "ours {seconds:.3} s  peer {theirs:.3} s  share of the peer's GEMM {share:.2}  ratio={:.2}",
            theirs / seconds
        );
    }
    Ok(())
}

fn read(path: &Path) -> Result<Value> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_reader(std::io::BufReader::new(file))?)
}

/// The token ids without padding, and the teacher's margins where the loss wants them.
fn batches(tokens: &Value, plan: &Value) -> Result<Vec<TokenBatch>> {
    let unpadded = |features: &Value| -> Option<Vec<Vec<u32>>> {
        let rows = features["input_ids"].as_array()?.iter().zip(features["attention_mask"].as_array()?);
        let row = |(ids, mask): (&Value, &Value)| {
            let pairs = ids.as_array()?.iter().zip(mask.as_array()?);
            pairs.filter(|(_, mask)| **mask == 1).map(|(id, _)| Some(id.as_u64()? as u32)).collect()
        };
        rows.map(row).collect()
    };
    let batch = |(features, rows): (&Value, &Value)| {
        let columns = features.as_array()?.iter().map(unpadded).collect::<Option<_>>()?;
        let margins = rows.as_array()?.iter().map(|row| Some(row["margin"].as_f64()? as f32));
        let scores = if plan["loss"] == "margin_mse" { Some(margins.collect::<Option<_>>()?) } else { None };
        Some(TokenBatch { columns, scores })
    };
    let all = tokens.as_array().zip(plan["batches"].as_array()).context("tokens and plan are not lists")?;
    all.0
        .iter()
        .zip(all.1)
        .map(batch)
        .collect::<Option<_>>()
        .context("tokens or plan are not what train_step.py writes")
}

/// `mean((q·p - q·n - margin)²)`
fn margin_mse(batch: &Batch) -> kensaku::Result<Tensor> {
    let dot = |docs: &Tensor| -> kensaku::Result<Tensor> { Ok((&batch.queries * docs)?.sum(1)?) };
    let margins = (dot(&batch.positives)? - dot(&batch.negatives[0])?)?;
    let teacher = batch.scores.as_ref().ok_or_else(|| kensaku::Error::Setting {
        field: "scores",
        value: "none".to_owned(),
        expected: "the teacher's margins".to_owned(),
    })?;
    Ok((margins - teacher)?.sqr()?.mean_all()?)
}

/// Operations of the matrix products of one forward pass.
fn forward_flop(shape: &Value, batch: &TokenBatch) -> f64 {
    let size = |name: &str| shape[name].as_f64().unwrap_or(0.0);
    let (hidden, inner, layers) = (size("hidden_size"), size("intermediate_size"), size("num_hidden_layers"));
    let matrices = if shape["model_type"] == "modernbert" { 3.0 } else { 2.0 };
    let lengths = batch.columns.iter().flatten().map(|ids| ids.len() as f64);
    lengths
        .map(|length| {
            layers * length * (2.0 * (4.0 * hidden * hidden + matrices * hidden * inner) + 4.0 * length * hidden)
        })
        .sum()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The most memory this process has held (Linux).
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
