//! One checkpoint: a folder that a training resumes from.
//!
//! It is a sentence-transformers directory of the model, `optimizer.safetensors` with the moments,
//! `state.json` with all other numbers and the settings, and the list of all files. It is written aside,
//! synced and renamed: it is whole or not there.

mod folder;
mod manifest;
mod moments;
mod resume;
mod state;

use std::path::Path;

use moments::{NAME as MOMENTS, OWN};
use state::TrainState;

use super::trainer::Training;
use crate::model::Model;
use crate::{Error, Result, files};

pub use folder::CheckpointConfig;
pub(super) use resume::CheckpointLog;
pub use resume::Resumed;

const STATE: &str = "state.json";

/// A checkpoint that was read.
struct Restored {
    state: TrainState,
    model: Box<dyn Model>,
    moments: Vec<Vec<f32>>,
    /// Of the loss's parameters, with those themselves.
    own: Vec<Vec<f32>>,
}

/// Why a checkpoint cannot be used.
#[derive(Debug)]
enum Problem {
    /// The one before it may be whole.
    Damaged(String),
    /// It is of another training, and so is the one before it.
    Foreign(String),
}

/// Writes a checkpoint to `path`, in place of one that may be there.
fn write(path: &Path, trainer: &Training) -> Result<()> {
    files::write_folder(path, |aside| {
        trainer.model.save_to(aside)?;
        moments::write(&aside.join(MOMENTS), &trainer.optimizer, trainer.model.parameters())?;
        if !trainer.own.table.is_empty() {
            moments::write_own(&aside.join(OWN), &trainer.own)?;
        }
        files::write_json(&aside.join(STATE), &TrainState::of(trainer)?)?;
        manifest::write(aside)
    })
}

/// Reads a checkpoint for a trainer, which it does not touch.
fn read(path: &Path, trainer: &Training) -> Result<Restored, Problem> {
    manifest::check(path, &[STATE, MOMENTS]).map_err(Problem::Damaged)?;
    let damaged = |error: Error| Problem::Damaged(error.to_string());
    let state: TrainState = files::read_json(&path.join(STATE)).map_err(damaged)?;
    state.check(trainer).map_err(Problem::Foreign)?;
    let parameters = trainer.model.parameters();
    let moments = moments::read(path, &trainer.optimizer, parameters).map_err(Problem::Damaged)?;
    let own = match trainer.own.table.is_empty() {
        true => Vec::new(),
        false => moments::read_own(path, &trainer.own).map_err(Problem::Damaged)?,
    };
    let model = trainer.model.load_from(path).map_err(damaged)?;
    let stored = model.parameters();
    if stored.entries() != parameters.entries() {
        return Err(Problem::Foreign("its weights are of another model".to_owned()));
    }
    match stored.not_finite() {
        Some((name, value)) => Err(Problem::Damaged(format!("model.safetensors: `{name}` holds {value}"))),
        None => Ok(Restored { state, model, moments, own }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::loss::MultipleNegativesRanking;
    use crate::model::{BiEncoder, BiEncoderConfig};
    use crate::nn::BertConfig;
    use crate::text::{Tokenizer, WordPieceConfig};
    use crate::train::{TrainConfig, Trainer};

    pub(super) fn trainer(loss: MultipleNegativesRanking, words: &str, config: TrainConfig) -> Trainer {
        let tokenizer = Tokenizer::train_wordpiece(&[words], &WordPieceConfig::default()).unwrap();
        let encoder = BertConfig { hidden_size: 8, intermediate_size: 16, ..Default::default() };
        let model = BiEncoder::new(encoder, tokenizer, BiEncoderConfig::default(), 1).unwrap();
        Trainer::new(model, loss, config).unwrap()
    }

    /// The checksums match, but no training writes such files.
    #[test]
    fn lying_headers_and_numbers_that_are_none_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let trainer = trainer(MultipleNegativesRanking::default(), "a few words", TrainConfig::default());
        let path = dir.path().join("step-00000003");
        write(&path, &trainer.training).unwrap();
        let read = || read(&path, &trainer.training);
        assert_eq!(read().ok().unwrap().state, TrainState::of(&trainer.training).unwrap());
        let whole = fs::read(path.join(MOMENTS)).unwrap();
        let text = String::from_utf8_lossy(&whole).replace("[8,8]", "[8,9]");
        let longer = |length: u64| [&length.to_le_bytes(), &whole[8..]].concat();
        let end = |bytes: f32| [&whole[..whole.len() - 4], &bytes.to_le_bytes()].concat();
        let lies = [longer(1 << 60), longer(50_000_000), longer(7), text.into_bytes(), whole[..6].to_vec()];
        for lie in lies.into_iter().chain([end(f32::NAN), end(f32::INFINITY), end(-1.0)]) {
            fs::write(path.join(MOMENTS), &lie).unwrap();
            manifest::write(&path).unwrap();
            let Err(Problem::Damaged(problem)) = read() else { panic!("{} bytes were read", lie.len()) };
            assert!(problem.starts_with("optimizer.safetensors: "), "{problem}");
        }
        fs::write(path.join(MOMENTS), &whole).unwrap();
        let weights = fs::read(path.join("model.safetensors")).unwrap();
        let nan = [&weights[..weights.len() - 4], &f32::NAN.to_le_bytes()].concat();
        for lie in [longer(1 << 60), nan] {
            fs::write(path.join("model.safetensors"), lie).unwrap();
            manifest::write(&path).unwrap();
            assert!(matches!(read(), Err(Problem::Damaged(_))));
        }
    }
}
