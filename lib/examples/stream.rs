//! How fast a stream of Parquet files is read, shuffled and cut into batches, beside a scan of Polars that looks at the same
//! texts.
//!
//! ```text
//! cargo run --release -p kensaku --example stream -- FOLDER [--megabytes 1000] [--group 100000] [--batch 1024]
//!     [--buffer 100000]
//! ```
//!
//! It writes pairs of about 250 bytes a text to `FOLDER/pairs.parquet`, unless that is there.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use kensaku::data::{StreamConfig, TrainingStream};
use kensaku::polars::prelude::*;
use kensaku::random::Philox;

/// Words of a text.
const WORDS: usize = 42;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, options) = arguments.split_first().context("no folder")?;
    let options: HashMap<&str, &str> = options.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1])).collect();
    let number = |name: &str, default: usize| options.get(name).map_or(Ok(default), |value| value.parse());
    let path = Path::new(folder).join("pairs.parquet");
    if !path.exists() {
        write(&path, number("--megabytes", 1_000)?, number("--group", 100_000)?)?;
    }

    let (buffer, batch) = (number("--buffer", 100_000)?, number("--batch", 1_024)?);
    for _ in 0..3 {
        let start = Instant::now();
        let bytes = |name: &str| col(name).str().len_bytes().sum();
        let scan =
            LazyFrame::scan_parquet(PlRefPath::new(path.to_str().context("a path of UTF-8")?), Default::default())?;
        let sums = scan.select([bytes("query"), bytes("positive")]).collect()?;
        let scanned = start.elapsed().as_secs_f64();

        let start = Instant::now();
        let stream = TrainingStream::open([&path], StreamConfig { buffer, ..Default::default() })?;
        let (mut rows, mut read) = (0, [0; 2]);
        for found in stream.batches(batch, 42, 0) {
            let found = found?;
            let columns = found.columns();
            rows += columns[0].len();
            read.iter_mut()
                .zip(&columns)
                .for_each(|(sum, column)| *sum += column.iter().map(|text| text.len()).sum::<usize>());
        }
        let streamed = start.elapsed().as_secs_f64();
        let expected: Vec<u64> = sums
            .columns()
            .iter()
            .map(|sum| sum.get(0).map(|sum| sum.extract().unwrap_or(0)))
            .collect::<Result<_, _>>()?;
        anyhow::ensure!(expected == read.map(|sum| sum as u64), "{expected:?} bytes scanned, {read:?} streamed");
        println!(
            "{rows} pairs, {:.0} MB of texts: scan {scanned:.2} s, stream {streamed:.2} s, {:.2} times",
            read.iter().sum::<usize>() as f64 / 1e6,
            streamed / scanned
        );
    }
    Ok(())
}

fn write(path: &Path, megabytes: usize, group: usize) -> Result<()> {
    let mut rng = Philox::new(3);
    let vocabulary: Vec<String> = (0..30_000).map(|word| format!("w{word:04}")).collect();
    let mut text =
        || (0..WORDS).map(|_| vocabulary[rng.below(vocabulary.len())].as_str()).collect::<Vec<_>>().join(" ");
    let rows = megabytes * 1_000_000 / (2 * WORDS * 6);
    let mut column = |name: &str| Column::new(name.into(), (0..rows).map(|_| text()).collect::<Vec<_>>());
    let mut frame = DataFrame::new(rows, vec![column("query"), column("positive")])?;
    ParquetWriter::new(File::create(path)?).with_row_group_size(Some(group)).finish(&mut frame)?;
    Ok(())
}
