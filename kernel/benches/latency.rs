//! How long a user waits: `cargo bench -p kensaku-kernel --bench latency`.
//!
//! Prints medians; the machine should have nothing else to do.

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
    let starts = first_results().await?;
    report("process start to the first result of 1 + 1", &starts, Duration::from_millis(2500));

    let mut kernel = Client::start().await?;
    kernel
        .execute("use kensaku::polars::prelude::*;\nuse kensaku::candle_core::{DType, Device, Tensor};")
        .await?
        .expect_ok();
    kernel.execute("let df = df!(\"a\" => [1, 2, 3])?;").await?.expect_ok();
    let printed = time(&mut kernel, |_| "println!(\"{}\", df.height());".to_owned()).await?;
    report("println!(\"{}\", df.height())", &printed, Duration::from_millis(500));
    let candle = |round| format!("let t{round} = Tensor::ones(({}, 2), DType::F32, &Device::Cpu)?;", round + 1);
    let candle = time(&mut kernel, candle).await?;
    report("a new variable of a candle type", &candle, Duration::from_millis(900));
    let polars = |round| format!("let l{round} = df.clone().lazy().filter(col(\"a\").gt(lit({round})));");
    let polars = time(&mut kernel, polars).await?;
    report("a new variable of a Polars type", &polars, Duration::from_millis(900));
    println!("memory of the kernel process: {} MB", memory(kernel.process())? / 1000);
    kernel.shutdown().await
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
        // The first one warms up.
        if round > 0 {
            times.push(start.elapsed());
        }
    }
    Ok(times)
}

fn report(what: &str, times: &[Duration], goal: Duration) {
    let mut sorted = times.to_vec();
    sorted.sort();
    let median = sorted[sorted.len() / 2];
    let worst = sorted[sorted.len() - 1];
    println!("{what}: median {median:.2?}, worst {worst:.2?} (goal {goal:.2?})");
}

/// Resident memory in kB.
fn memory(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    Ok(line.trim().split(' ').next().unwrap_or("0").parse()?)
}
