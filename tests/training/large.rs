//! A large training set: `KENSAKU_LONG` asks for it.

use kensaku::Result;
use kensaku::data::TrainingSet;
use kensaku::loss::MultipleNegativesRanking;
use kensaku::train::{TrainConfig, Trainer};
use polars::prelude::*;

use super::{config, small, words};
use crate::shared::test;

/// 380 MB of texts and their plan.
pub(super) fn five_million() -> libtest_mimic::Trial {
    let name = "training::five_million_pairs_start_within_10_s_and_2_gb";
    match std::env::var_os("KENSAKU_LONG") {
        Some(_) => test(name, || large_set().unwrap()),
        None => test(&format!("{name} (skipped: needs KENSAKU_LONG)"), || ()).with_ignored_flag(true),
    }
}

fn large_set() -> Result<()> {
    const PAIRS: usize = 5_000_000;
    let memory = |name: &str| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1e6
    };
    // Written straight into the columns: strings that were freed would hide what is taken later. Every twentieth
    // document answers two queries, so that texts repeat.
    let column = |name: &str, text: fn(usize) -> String| {
        StringChunked::from_iter_values(name.into(), (0..PAIRS).map(text)).into_series().into_column()
    };
    let queries = column("query", |n| format!("where is the red car number {n}"));
    let positives = column("positive", |n| format!("car number {} stands over there", n - n % 20 / 19));
    let data = TrainingSet::new(DataFrame::new(PAIRS, vec![queries, positives])?)?;
    let config = TrainConfig { batch_size: 32, epochs: 1, ..config() };
    let mut trainer = Trainer::new(small(&words()?, 1)?, MultipleNegativesRanking::default(), config)?;
    // The peak counts from here.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, start) = (memory("VmRSS:"), std::time::Instant::now());
    let step = trainer.steps(&data)?.next().unwrap()?;
    let (seconds, beyond) = (start.elapsed().as_secs_f64(), memory("VmHWM:") - before);
    println!("{step}\n{PAIRS} pairs in {before:.2} GB: first step after {seconds:.1} s, {beyond:.2} GB beyond");
    assert!(seconds < 10.0 && beyond < 2.0, "{seconds:.1} s, {beyond:.2} GB");
    Ok(())
}
