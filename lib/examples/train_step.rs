//! One optimiser step on the real batches that `train_step.py` of the peers wrote (`--plan`, `--tokens`), to
//! set side by side with its record: prints one JSON line, and `ratio=` if the record is given.
//!
//! ```text
//! cargo run --release -p kensaku --example train_step -- --model DIR --tokens tokens.json --plan plan.json
//!     [--peer record.json] [--dropout 0] [--warmup 2] [--storage bf16] [--checkpointing true] [--freeze PATTERN]
//! ```
//!
//! The loss is the plan's. As there: constant rate 2e-5, no decay, gradients clipped to norm 1, the first
//! `warmup` batches not timed, matrix products counted at two operations a multiply-add, backward as twice
//! the forward, real tokens only.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use kensaku::candle_core::{Device, Var};
use kensaku::loss::{MarginMSE, MultipleNegativesRanking};
use kensaku::model::Model;
use kensaku::nn::{Activations, Classifier, Dropout, Memory, PackedBatch, Storage};
use kensaku::prelude::*;
use kensaku::serde_json::{self, Value, json};
use kensaku::train::{AdamWConfig, Optimizer, Schedule, TokenBatch};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options: HashMap<&str, &str> = arguments.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1])).collect();
    let option = |name: &str| options.get(name).copied();
    let path = |name: &str| option(name).map(Path::new).with_context(|| format!("{name} is missing"));
    let (model, plan, tokens) = (path("--model")?, read(path("--plan")?)?, read(path("--tokens")?)?);
    let storage = if option("--storage") == Some("bf16") { Storage::Bf16 } else { Storage::F32 };
    let config = TrainConfig {
        learning_rate: 2e-5,
        dropout: option("--dropout") != Some("0"),
        memory: Memory { checkpointing: option("--checkpointing") == Some("true"), storage },
        optimizer: AdamWConfig { weight_decay: 0.0, ..Default::default() }.into(),
        schedule: Schedule::Constant,
        freeze: option("--freeze").map(str::to_owned).into_iter().collect(),
        ..Default::default()
    };

    let steps = match plan["loss"].as_str() {
        Some("bce-cross") => cross_encoder(model, &config, &tokens)?,
        Some("mnrl") => train(BiEncoder::load(model)?, MultipleNegativesRanking::default(), config, &tokens, &plan)?,
        Some("margin_mse") => train(BiEncoder::load(model)?, MarginMSE::default(), config, &tokens, &plan)?,
        Some("splade") => train(Splade::load(model)?, SpladeLoss::default(), config, &tokens, &plan)?,
        Some("colbert") => {
            // As the peer's: no markers, no expansion, a vector for every token.
            let plain = ColBertConfig {
                dim: PROJECTED,
                query_marker: String::new(),
                doc_marker: String::new(),
                expand_queries: false,
                skip_words: Vec::new(),
                ..Default::default()
            };
            let loss = MultipleNegativesRanking { scale: 1.0, ..Default::default() };
            train(ColBert::from_encoder(model, plain, 42)?, loss, config, &tokens, &plan)?
        }
        other => bail!("the plan's loss is {other:?}: expected mnrl, margin_mse, bce-cross, splade or colbert"),
    };
    let shape = read(&model.join("config.json"))?;
    let timed = &steps[option("--warmup").unwrap_or("2").parse()?..];
    let seconds = median(timed.iter().map(|step| step.seconds));
    let gflop = median(timed.iter().map(|step| 3.0 * forward_flop(&shape, &plan["loss"], &step.lengths) / 1e9));
    let record = json!({
        "step_s": seconds, "step_cpu_s": median(timed.iter().map(|step| step.cpu)), "gflops_real": gflop / seconds, "peak_rss_mib": peak_rss_mib(),
        "tokens": median(timed.iter().map(|step| step.lengths.iter().sum::<usize>() as f64)),
        "loss_per_step": steps.iter().map(|step| step.loss).collect::<Vec<_>>(),
        "grad_norm_per_step": steps.iter().map(|step| step.grad_norm).collect::<Vec<_>>(),
    });
    println!("{record}");
    if let Some(peer) = option("--peer") {
        let peer = read(Path::new(peer))?;
        let number = |value: &Value| value.as_f64().context("the peer's record lacks a number");
        let (theirs, memory) = (number(&peer["step_s"]["median"])?, number(&peer["peak_rss_mib"])?);
        let gemm = peer["gemm_gflops"].as_object().into_iter().flatten();
        let best = gemm.filter(|(name, _)| !name.ends_with("_per_cpu_s")).filter_map(|(_, rate)| rate.as_f64());
        let best = best.fold(0.0, f64::max);
        println!(
            "ours {seconds:.3} s {:.0} MiB  peer {theirs:.3} s {memory:.0} MiB  share of the peer's GEMM {:.2} (peer's own \
             {:.2})  ratio={:.2}",
            peak_rss_mib().unwrap_or(f64::NAN),
            gflop / seconds / best,
            number(&peer["gflops_real"]["median"])? / best,
            theirs / seconds,
        );
    }
    Ok(())
}

/// What a step was.
struct Record {
    seconds: f64,
    /// Those of all threads.
    cpu: f64,
    loss: f64,
    grad_norm: f64,
    lengths: Vec<usize>,
}

fn train(
    model: impl Model,
    loss: impl kensaku::loss::Loss + 'static,
    config: TrainConfig,
    tokens: &Value,
    plan: &Value,
) -> Result<Vec<Record>> {
    let mut trainer = Trainer::new(model, loss, config)?;
    let rows = plan["batches"].as_array().context("no batches in the plan")?;
    let batch = |(features, rows): (&Value, &Value)| -> Result<Record> {
        let columns = features
            .as_array()
            .context("no columns")?
            .iter()
            .map(|column| Ok(PackedBatch::new(unpadded(column, "input_ids")?)));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let margins = rows.as_array().into_iter().flatten().filter_map(|row| Some(row["margin"].as_f64()? as f32));
        let labels = (plan["loss"] == "margin_mse").then(|| margins.collect::<Vec<f32>>().into());
        let lengths = columns.iter().flat_map(PackedBatch::lengths).collect();
        let before = cpu_seconds();
        let step = trainer.step(&TokenBatch { columns, labels, ..Default::default() })?;
        let cpu = cpu_seconds() - before;
        eprintln!("{step}");
        Ok(Record { seconds: step.seconds, cpu, loss: step.loss, grad_norm: step.grad_norm, lengths })
    };
    tokens.as_array().context("no batches of tokens")?.iter().zip(rows).map(batch).collect()
}

/// Pairs in one text, one score, binary cross-entropy; even rows are relevant.
fn cross_encoder(model: &Path, config: &TrainConfig, tokens: &Value) -> Result<Vec<Record>> {
    let mut model = Classifier::load_for(model, 1, 42)?;
    let mut optimizer = Optimizer::new(config, model.encoder().parameters())?;
    let mut activations = Activations::with(config.memory);
    activations.set_frozen(model.encoder().parameters(), |index| optimizer.is_frozen(index));
    let mut records = Vec::new();
    for features in tokens.as_array().context("no batches of tokens")? {
        let features = &features[0];
        let mut batch = PackedBatch::new(unpadded(features, "input_ids")?);
        batch.token_types = unpadded(features, "token_type_ids")?.concat();
        let (start, before) = (Instant::now(), cpu_seconds());
        let dropout = Dropout { seed: config.seed, step: records.len() as u32, first_token: 0 };
        activations.set_dropout(config.dropout.then_some(dropout));
        model.encoder_mut().parameters_mut().zero_grads();
        model.forward(&batch, &mut activations)?;
        let logits = Var::from_slice(activations.logits(), batch.sequences(), &Device::Cpu)?;
        let relevant: Vec<f32> = (0..batch.sequences()).map(|row| if row % 2 == 0 { 1.0 } else { 0.0 }).collect();
        let relevant = Tensor::from_vec(relevant, batch.sequences(), &Device::Cpu)?;
        // max(x, 0) - x y + ln(1 + e^-|x|)
        let softplus = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
        let loss = ((logits.relu()? - (logits.as_tensor() * relevant)?)? + softplus)?.mean_all()?;
        let grads = loss.backward()?;
        let d_logits = grads.get(&logits).context("no gradient")?.to_vec1::<f32>()?;
        model.backward(&batch, &mut activations, &d_logits)?;
        let grad_norm = optimizer.step(model.encoder_mut().parameters_mut(), config.learning_rate)?;
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - before);
        let loss = f64::from(loss.to_scalar::<f32>()?);
        eprintln!("loss {loss:.4}  grad norm {grad_norm:.3}  {} tokens  {seconds:.3} s", batch.tokens());
        records.push(Record {
            seconds,
            cpu,
            loss,
            grad_norm,
            lengths: batch.ranges().map(|range| range.len()).collect(),
        });
    }
    Ok(records)
}

fn read(path: &Path) -> Result<Value> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_reader(std::io::BufReader::new(file))?)
}

/// The rows of a matrix where the attention mask is 1.
fn unpadded(features: &Value, name: &str) -> Result<Vec<Vec<u32>>> {
    let rows = |name: &str| features[name].as_array().with_context(|| format!("no {name}"));
    let row = |(ids, mask): (&Value, &Value)| {
        let pairs = ids.as_array().into_iter().flatten().zip(mask.as_array().into_iter().flatten());
        pairs.filter(|(_, mask)| **mask == 1).filter_map(|(id, _)| Some(id.as_u64()? as u32)).collect()
    };
    Ok(rows(name)?.iter().zip(rows("attention_mask")?).map(row).collect())
}

/// The width of a token's vector in a late-interaction model.
const PROJECTED: usize = 128;

/// Operations of the matrix products of one forward pass.
fn forward_flop(shape: &Value, loss: &Value, lengths: &[usize]) -> f64 {
    let size = |name: &str| shape[name].as_f64().unwrap_or(0.0);
    let (hidden, inner, layers) = (size("hidden_size"), size("intermediate_size"), size("num_hidden_layers"));
    let matrices = if shape["model_type"] == "modernbert" { 3.0 } else { 2.0 };
    let of_token = 2.0 * (4.0 * hidden * hidden + matrices * hidden * inner);
    let head = match loss.as_str() {
        Some("splade") => 2.0 * hidden * (hidden + size("vocab_size")),
        Some("colbert") => 2.0 * hidden * PROJECTED as f64,
        _ => 0.0,
    };
    let of_text = |length: f64| length * (layers * (of_token + 4.0 * length * hidden) + head);
    lengths.iter().map(|length| of_text(*length as f64)).sum()
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

/// Seconds that the threads of this process have run (Linux; NaN elsewhere).
fn cpu_seconds() -> f64 {
    let ticks = || -> Option<f64> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
    };
    ticks().map_or(f64::NAN, |ticks| ticks / 100.0)
}
