//! Reads a run and judgements in the TREC format, and evaluates: how long each takes, and how much memory. Prints one JSON
//! line, to set beside `metrics.py` of the peers, whose `--write` makes the files.
//!
//! ```text
//! cargo run --release -p kensaku --example evaluate -- run.txt qrels.txt [measures]
//! ```

use std::time::Instant;

use anyhow::{Context, Result};
use kensaku::prelude::*;
use kensaku::serde_json::{Map, Value, json};

const MEASURES: &str = "nDCG@10,nDCG@100,AP,RR,R@100,R@1000,P@10";

fn main() -> Result<()> {
    let mut paths = std::env::args().skip(1);
    let (run, qrels) = (paths.next().context("no run")?, paths.next().context("no qrels")?);
    let measures = paths.next().unwrap_or_else(|| MEASURES.to_owned());
    let measures: Vec<&str> = measures.split(',').collect();

    let (read_run, run) = timed(|| Run::read_trec(&run))?;
    let (read_qrels, qrels) = timed(|| Qrels::read_trec(&qrels))?;
    let mut seconds = Vec::new();
    let (first, report) = timed(|| evaluate(&qrels, &run, &measures))?;
    seconds.push(first);
    for _ in 0..4 {
        seconds.push(timed(|| evaluate(&qrels, &run, &measures))?.0);
    }
    seconds.sort_by(f64::total_cmp);
    let means = measures.iter().map(|name| Ok((name.to_string(), json!(report.mean(name)?))));
    let means = means.collect::<Result<Map<String, Value>>>()?;
    let record = json!({
        "queries": run.len(), "read_run_s": read_run, "read_qrels_s": read_qrels, "evaluate_s": seconds[2],
        "peak_mib": peak_mib(), "means": means,
    });
    println!("{record}");
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> kensaku::Result<T>) -> Result<(f64, T)> {
    let start = Instant::now();
    let done = work()?;
    Ok((start.elapsed().as_secs_f64(), done))
}

/// The most memory that the process has held, in MiB; 0 where the system does not say.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) / 1024
}
