//! Measures how long a user waits: `cargo bench -p kensaku-kernel --bench latency`.
//!
//! Prints medians, and fails if one misses its goal; the machine should be idle.

#[path = "../tests/kernel/client/mod.rs"]
#[allow(dead_code)]
mod client;

use std::time::{Duration, Instant};

use anyhow::Result;

use client::Client;

const ROUNDS: usize = 20;

#[tokio::main]
async fn main() -> Result<()> {
    client::build_dylib();
    let mut reached = growth().await?;
    let starts = first_results().await?;
    reached &= report("process start to the first result of 1 + 1", &starts, Duration::from_millis(2500));

    let mut kernel = Client::start().await?;
    kernel
        .execute("use kensaku::polars::prelude::*;\nuse kensaku::candle_core::{DType, Device, Tensor};")
        .await?
        .expect_ok();
    kernel.execute("let df = df!(\"a\" => [1, 2, 3])?;").await?.expect_ok();
    let printed = time(&mut kernel, |_| "println!(\"{}\", df.height());".to_owned()).await?;
    reached &= report("println!(\"{}\", df.height())", &printed, Duration::from_millis(500));
    let candle = |round| format!("let t{round} = Tensor::ones(({}, 2), DType::F32, &Device::Cpu)?;", round + 1);
    let candle = time(&mut kernel, candle).await?;
    reached &= report("a new variable of a candle type", &candle, Duration::from_millis(900));
    let polars = |round| format!("let l{round} = df.clone().lazy().filter(col(\"a\").gt(lit({round})));");
    let polars = time(&mut kernel, polars).await?;
    reached &= report("a new variable of a Polars type", &polars, Duration::from_millis(900));
    println!("memory of the kernel process: {} MB", memory(kernel.process())? / 1000);
    kernel.shutdown().await?;
    anyhow::ensure!(reached, "a goal was missed");
    Ok(())
}

/// How much longer a cell takes in a session with many types than in an empty one, measured alternately.
async fn growth() -> Result<bool> {
    const STRUCTS: usize = 150;
    const GOAL: f64 = 1.5;
    let (mut empty, mut crowded) = (Client::start().await?, Client::start().await?);
    for number in 0..STRUCTS {
        let code = format!(
            "#[derive(Debug, Clone, kensaku::serde::Serialize, kensaku::serde::Deserialize)]\n\
             #[serde(crate = \"kensaku::serde\")]\n\
             struct Record{number} {{ id: u64, name: String, scores: Vec<f32>, parent: Option<Box<Record{number}>> }}"
        );
        crowded.execute(&code).await?.expect_ok();
    }
    let mut reached = true;
    for code in ["1 + 1", "let q = 1;"] {
        let (mut alone, mut among) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            alone.extend(time_once(&mut empty, code).await);
            among.extend(time_once(&mut crowded, code).await);
        }
        let ratio = median(&among).as_secs_f64() / median(&alone).as_secs_f64();
        println!("`{code}` among {STRUCTS} types: {ratio:.2} times as long as without them (goal {GOAL})");
        reached &= ratio <= GOAL;
    }
    empty.shutdown().await?;
    crowded.shutdown().await?;
    Ok(reached)
}

async fn time_once(kernel: &mut Client, code: &str) -> Result<Duration> {
    let start = Instant::now();
    kernel.execute(code).await?.expect_ok();
    Ok(start.elapsed())
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

async fn first_results() -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let mut kernel = Client::start().await?;
        kernel.execute("1 + 1").await?.expect_ok();
        times.push(start.elapsed());
        kernel.shutdown().await?;
    }
    Ok(times)
}

async fn time(kernel: &mut Client, code: impl Fn(usize) -> String) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for round in 0..=ROUNDS {
        let start = Instant::now();
        kernel.execute(&code(round)).await?.expect_ok();
        // The first one is for warm-up.
        if round > 0 {
            times.push(start.elapsed());
        }
    }
    Ok(times)
}

/// Whether the median reaches the goal.
fn report(what: &str, times: &[Duration], goal: Duration) -> bool {
    let median = median(times);
    let worst = times.iter().max().copied().unwrap_or_default();
    println!("{what}: median {median:.2?}, worst {worst:.2?} (goal {goal:.2?})");
    median <= goal
}

/// Resident memory in kB.
fn memory(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    Ok(line.trim().split(' ').next().unwrap_or("0").parse()?)
}
