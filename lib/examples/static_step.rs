//! How fast a static embedding trains: pairs a second, tokenization included, and pairs a second of processor time, which
//! a busy machine does not change.
//!
//! ```text
//! cargo run --release -p kensaku --example static_step -- [--tokenizer DIR] [--dim 256] [--batch 1024] [--words 16]
//!     [--epochs 5]
//! ```
//!
//! The pairs are those of the embedded data set, each text cut to `words` words. Loss: MultipleNegativesRanking.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::Result;
use kensaku::prelude::*;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options: HashMap<&str, &str> = arguments.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1])).collect();
    let number = |name: &str, default: usize| options.get(name).map_or(Ok(default), |value| value.parse());
    let (dim, batch, words) = (number("--dim", 256)?, number("--batch", 1_024)?, number("--words", 16)?);

    let pairs = rustdoc()?.pairs("train")?;
    let cut = |text: &str| text.split_whitespace().take(words).collect::<Vec<_>>().join(" ");
    let column = |index: usize| pairs.columns()[index].iter().map(cut).collect::<Vec<String>>();
    let data = TrainingSet::new(df!("query" => column(0), "positive" => column(1))?)?;
    let tokenizer = match options.get("--tokenizer") {
        Some(dir) => Tokenizer::load(dir)?,
        None => Tokenizer::train_wordpiece(&[column(0), column(1)].concat(), &WordPieceConfig::default())?,
    };
    let model = StaticEmbedding::new(dim, tokenizer, StaticEmbeddingConfig::default(), 42)?;
    println!("{model:?}\n{} pairs", data.len());

    let epochs = number("--epochs", 5)?;
    let config = TrainConfig { batch_size: batch, epochs, learning_rate: 0.05, ..Default::default() };
    let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), config)?;
    let (mut seen, mut tokens, mut in_steps) = (0, 0, 0.0);
    let (mut start, mut before) = (Instant::now(), cpu_seconds());
    for (index, step) in trainer.steps(&data)?.enumerate() {
        let step = step?;
        if index % 10 == 0 {
            println!("{step}");
        }
        // The first step makes room for everything.
        if index == 0 {
            (start, before) = (Instant::now(), cpu_seconds());
            continue;
        }
        (seen, tokens, in_steps) = (seen + batch.min(data.len()), tokens + step.tokens, in_steps + step.seconds);
    }
    let seconds = start.elapsed().as_secs_f64();
    if let (Some(before), Some(after)) = (before, cpu_seconds()) {
        println!("{:.0} pairs in a second of one processor", seen as f64 / (after - before));
    }
    println!(
        "{:.0} pairs/s ({:.0} without tokenization), {:.1} tokens a pair, {seconds:.2} s",
        seen as f64 / seconds,
        seen as f64 / in_steps,
        tokens as f64 / seen as f64
    );
    Ok(())
}

/// Seconds that the threads of this process have run (Linux).
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}
