//! Our side of `tests/parity/models.sh`: what the models do beside the bi-encoder's step. Prints one JSON line: the seconds
//! of each repeat, those of all its threads, and the most memory of the process.
//!
//! ```text
//! cargo run --release -p kensaku --example models -- predict  --out DIR [--pairs short] [--count 1000]
//! cargo run --release -p kensaku --example models -- listwise --out DIR [--lists 16] [--docs 8] [--micro-batch TOKENS]
//! cargo run --release -p kensaku --example models -- max-sim  --out DIR [--queries 100] [--count 1000]
//! ```
//!
//! `DIR` is what `models.py prepare` wrote. `--steps 3` repeats are timed, after one that is not.

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use kensaku::data::Labels;
use kensaku::loss::ListNet;
use kensaku::model::Model;
use kensaku::prelude::*;
use kensaku::serde_json::{self, Value, json};
use kensaku::train::TokenBatch;

/// Numbers of a token, and tokens of a query and of a document.
const DIM: usize = 128;
const QUERY: usize = 32;
const DOC: usize = 180;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (work, rest) = arguments.split_first().context("predict, listwise or max-sim")?;
    let options = Options(rest.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1])).collect());
    let out = Path::new(options.0.get("--out").context("--out is missing")?);
    let mut record = match &**work {
        "predict" => predict(out, &options)?,
        "listwise" => listwise(out, &options)?,
        "max-sim" => max_sims(out, &options)?,
        other => bail!("`{other}`: expected predict, listwise or max-sim"),
    };
    record["peak_rss_mib"] = peak_rss_mib().into();
    println!("{record}");
    Ok(())
}

struct Options<'a>(HashMap<&'a str, &'a str>);

impl Options<'_> {
    fn number(&self, name: &str, default: usize) -> Result<usize> {
        self.0.get(name).map_or(Ok(default), |value| usize::from_str(value).with_context(|| format!("{name} {value}")))
    }
}

/// Scores of pairs, tokenization included.
fn predict(out: &Path, options: &Options) -> Result<Value> {
    let kind = options.0.get("--pairs").copied().unwrap_or("mixed");
    let pairs: Vec<(String, String)> = read(&out.join(format!("{kind}.json")))?;
    let pairs = &pairs[..options.number("--count", 1_000)?.min(pairs.len())];
    let model = CrossEncoder::load(out.join("cross"))?.with_max_length(256)?;
    let (times, scores) = repeat(options, |_| Ok(model.predict(pairs)?))?;
    save(&out.join(format!("predict-{kind}.ours.f32")), &scores)?;
    Ok(times)
}

/// Steps of a listwise loss.
fn listwise(out: &Path, options: &Options) -> Result<Value> {
    let (lists, docs) = (options.number("--lists", 16)?, options.number("--docs", 8)?);
    let micro_batch =
        options.0.get("--micro-batch").map(|tokens| tokens.parse().map(MicroBatch::Tokens)).transpose()?;
    let config = TrainConfig {
        learning_rate: 2e-5,
        micro_batch,
        optimizer: AdamWConfig { weight_decay: 0.0, ..Default::default() }.into(),
        schedule: Schedule::Constant,
        ..Default::default()
    };
    let model = CrossEncoder::load(out.join("cross"))?.with_max_length(128)?;
    let all: Vec<Value> = read(&out.join("lists.json"))?;
    let mut batches = Vec::new();
    for step in 0..=options.number("--steps", 3)? {
        let rows: Vec<&Value> = (0..lists).map(|row| &all[(step * lists + row) % all.len()]).collect();
        let column = |text: &dyn Fn(&Value) -> Option<&str>| -> Result<Vec<&str>> {
            rows.iter().map(|row| text(row).context("a list without its texts")).collect()
        };
        let mut columns = vec![column(&|row| row["query"].as_str())?];
        for doc in 0..docs {
            columns.push(column(&|row| row["docs"][doc].as_str())?);
        }
        let labels = (0..lists * docs).map(|place| if place % docs == 0 { 1.0 } else { 0.0 }).collect();
        let labels = Some(Labels::lists(labels, docs)?);
        batches.push(TokenBatch { columns: model.tokenize(&columns)?.columns, labels, ..Default::default() });
    }
    let mut trainer = Trainer::new(model, ListNet, config)?;
    let mut losses = Vec::new();
    let (mut record, _) = repeat(options, |step| {
        let step = trainer.step(&batches[step])?;
        losses.push(step.loss);
        Ok(step)
    })?;
    record["loss"] = losses.into();
    record["arena_mib"] = (trainer.arena_bytes() as f64 / 1_048_576.0).into();
    Ok(record)
}

/// Scores of every query with every document.
fn max_sims(out: &Path, options: &Options) -> Result<Value> {
    let texts = |name: &str, count: usize, tokens: usize| -> Result<(Tensor, Vec<usize>)> {
        let bytes = std::fs::read(out.join(name))?;
        let values = bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        let values: Vec<f32> = values.take(count * tokens * DIM).collect();
        let rows = values.len() / DIM;
        Ok((Tensor::from_vec(values, (rows, DIM), &Device::Cpu)?, (0..=rows).step_by(tokens).collect()))
    };
    let (queries, query_bounds) = texts("queries.f32", options.number("--queries", 100)?, QUERY)?;
    let (docs, doc_bounds) = texts("docs.f32", options.number("--count", 1_000)?, DOC)?;
    let (times, scores) = repeat(options, |_| Ok(max_sim(&queries, &query_bounds, &docs, &doc_bounds)?))?;
    save(&out.join("max-sim.ours.f32"), &scores)?;
    Ok(times)
}

/// The seconds of each repeat but the first, and what the last one gave.
fn repeat<T>(options: &Options, mut work: impl FnMut(usize) -> Result<T>) -> Result<(Value, T)> {
    let mut last = work(0)?;
    let (mut seconds, mut cpu) = (Vec::new(), Vec::new());
    for number in 1..=options.number("--steps", 3)? {
        let (start, before) = (Instant::now(), cpu_seconds());
        last = work(number)?;
        seconds.push(start.elapsed().as_secs_f64());
        cpu.extend(before.zip(cpu_seconds()).map(|(before, after)| after - before));
    }
    Ok((json!({ "seconds": seconds, "cpu": cpu }), last))
}

fn read<T: kensaku::serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_str(&text)?)
}

fn save(path: &Path, values: &Tensor) -> Result<()> {
    let values = values.flatten_all()?.to_vec1::<f32>()?;
    Ok(std::fs::write(path, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?)
}

/// The most memory this process has held (Linux).
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// Seconds that the threads of this process have run (Linux).
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}
