//! The ends of processes: what is said, what is left.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::client::Client;

#[tokio::test]
async fn a_dead_process_is_explained_and_replaced() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("fn kept() -> i32 { 5 }\nlet lost = 1;").await?.expect_ok();
    let deaths = [
        ("std::process::abort();", "SIGABRT"),
        ("unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };", "SIG"),
        (
            "fn deep(n: u64) -> u64 { if n == u64::MAX { 0 } else { deep(std::hint::black_box(n + 1)) + 1 } }\ndeep(0)",
            "SIG",
        ),
        ("let big: Vec<u8> = Vec::with_capacity(1 << 46);\nbig.capacity()", "SIGABRT"),
        ("std::process::exit(3);", "std::process::exit(3)"),
    ];
    for (code, signal) in deaths {
        let dead = kernel.execute(code).await?;
        assert_eq!(dead.reply["ename"], "ProcessEnded", "{code}: {dead:#?}");
        let told = dead.reply["evalue"].as_str().unwrap_or_default();
        assert!(told.contains(signal) && told.contains("variables are lost"), "{code}: {told}");
        assert_eq!(kernel.execute("kept()").await?.expect_ok().value(), Some("5"));
    }
    assert!(kernel.execute("lost").await?.traceback().contains("E0425"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_killed_kernel_leaves_no_process_behind() -> Result<()> {
    let mut kernel = Client::start().await?;
    let value = kernel.execute("std::process::id()").await?.expect_ok();
    let child: u32 = value.value().unwrap_or_default().parse()?;
    let id = kernel.begin("println!(\"busy\");\nloop { std::hint::black_box(1); }").await?;
    kernel.wait_for(&id, "stream").await?;
    Command::new("kill").args(["-9", &kernel.process().to_string()]).status()?;
    for _ in 0..100 {
        if !runs(child)? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("process {child} runs on")
}

#[tokio::test]
async fn folders_are_removed() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("1").await?.expect_ok();
    let process = kernel.process();
    assert_eq!(folders_of(process)?.len(), 1);
    kernel.shutdown().await?;
    assert_eq!(folders_of(process)?, Vec::<PathBuf>::new());

    let mut killed = Client::start().await?;
    killed.execute("1").await?.expect_ok();
    let process = killed.process();
    drop(killed);
    assert_eq!(folders_of(process)?.len(), 1);
    // The next kernel sweeps.
    let mut next = Client::start().await?;
    next.execute("1").await?.expect_ok();
    assert_eq!(folders_of(process)?, Vec::<PathBuf>::new());
    next.shutdown().await
}

#[tokio::test]
async fn two_kernels_do_not_wait_for_each_other() -> Result<()> {
    let mut first = Client::start().await?;
    let mut second = Client::start().await?;
    first.execute("let x = 1;").await?.expect_ok();
    let id = first.begin("println!(\"long\");\nstd::thread::sleep(std::time::Duration::from_secs(4));\nx").await?;
    first.wait_for(&id, "stream").await?;
    let asked = Instant::now();
    second.execute("let x = 2;").await?.expect_ok();
    assert_eq!(second.execute("x").await?.expect_ok().value(), Some("2"));
    assert!(asked.elapsed() < Duration::from_secs(4), "the second waited for the first");
    assert_eq!(first.finish(&id).await?.expect_ok().value(), Some("1"));
    first.shutdown().await?;
    second.shutdown().await
}

#[tokio::test]
async fn without_a_place_for_files_the_kernel_says_so() -> Result<()> {
    let mut kernel = Client::start_with(&[("TMPDIR", "/nonexistent")]).await?;
    let failed = kernel.execute("1").await?;
    let told = failed.reply["evalue"].as_str().unwrap_or_default().to_owned();
    assert!(told.contains("/nonexistent") && told.contains("TMPDIR"), "{told}");
    kernel.shutdown().await
}

fn folders_of(process: u32) -> Result<Vec<PathBuf>> {
    let prefix = format!("kensaku-session-{process}-");
    let entries = std::fs::read_dir(std::env::temp_dir())?.map_while(|entry| Some(entry.ok()?.path()));
    let ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
    Ok(entries.filter(ours).collect())
}

/// Whether a process is there and no zombie.
fn runs(process: u32) -> Result<bool> {
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", &process.to_string()])
        .stderr(Stdio::null())
        .output()
        .context("running ps")?;
    let state = String::from_utf8(output.stdout)?;
    Ok(!state.trim().is_empty() && !state.trim().starts_with('Z'))
}
