//! The folder of a training's checkpoints.

use std::path::Path;

use kensaku::Result;
use kensaku::data::TrainingSet;
use kensaku::loss::MultipleNegativesRanking;
use kensaku::model::{BiEncoder, BiEncoderConfig};
use kensaku::nn::BertConfig;
use kensaku::text::{Tokenizer, WordPieceConfig};
use kensaku::train::{CheckpointConfig, TrainConfig, Trainer};
use polars::prelude::df;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use crate::run::below;

fn data() -> Result<TrainingSet> {
    let queries: Vec<String> = (0..8).map(|row| format!("where is house {row}")).collect();
    let positives: Vec<String> = (0..8).map(|row| format!("house {row} is over there")).collect();
    TrainingSet::new(df!("query" => queries, "positive" => positives)?)
}

fn trainer(dir: &Path) -> Result<Trainer> {
    let texts = ["where is house over there 0 1 2 3 4 5 6 7"];
    let tokenizer = Tokenizer::train_wordpiece(&texts, &WordPieceConfig { vocab_size: 60, ..Default::default() })?;
    let bert = BertConfig { hidden_size: 8, num_attention_heads: 2, intermediate_size: 16, ..Default::default() };
    let model = BiEncoder::new(bert, tokenizer, BiEncoderConfig { max_length: 8, ..Default::default() }, 1)?;
    let checkpoint = Some(CheckpointConfig { dir: dir.to_owned(), every: 1, keep: 2 });
    let config = TrainConfig { batch_size: 4, epochs: 2, checkpoint, ..Default::default() };
    Trainer::new(model, MultipleNegativesRanking::default(), config)
}

/// The checkpoints after steps 2 and 3 of 4, the later one marked as the best.
pub fn write(folder: &Path) {
    let mut trainer = trainer(folder).unwrap();
    trainer.steps(&data().unwrap()).unwrap().take(3).for_each(|step| drop(step.unwrap()));
    trainer.mark_best(0.5).unwrap();
}

/// A training resumes from them, or reports why it cannot and still trains in another folder.
pub fn read(folder: &Path) -> Result<()> {
    let mut resumed = trainer(folder)?;
    let went_on = resumed.resume(folder).and_then(|_| {
        resumed.best_checkpoint()?;
        resumed.steps(&data()?)?.try_for_each(|step| step.map(drop))
    });
    if went_on.is_err() {
        let elsewhere = folder.join("elsewhere");
        trainer(&elsewhere).unwrap().steps(&data()?).unwrap().for_each(|step| drop(step.unwrap()));
    }
    Ok(())
}

/// Updates the lengths and checksums of every checkpoint, so that its files are read.
pub fn relist(folder: &Path) {
    for list in below(folder).into_iter().filter(|path| path.ends_with("checkpoint.json")) {
        let Ok(mut manifest) = serde_json::from_slice::<Value>(&std::fs::read(&list).unwrap()) else { continue };
        for entry in manifest["files"].as_array_mut().into_iter().flatten() {
            let Some(path) = entry["path"].as_str() else { continue };
            let Ok(bytes) = std::fs::read(list.with_file_name(path)) else { continue };
            entry["bytes"] = json!(bytes.len());
            entry["xxh3"] = json!(format!("{:016x}", xxh3_64(&bytes)));
        }
        std::fs::write(&list, manifest.to_string()).unwrap();
    }
}
