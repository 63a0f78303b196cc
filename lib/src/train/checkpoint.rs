//! One checkpoint: a folder that a training goes on from.
//!
//! It is a sentence-transformers directory of the model, `optimizer.safetensors` with the moments,
//! `state.json` with all other numbers and the settings, and the list of all files. It is written aside,
//! synced and renamed: it is whole or not there.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::Xxh3;

use super::moments::{self, NAME as MOMENTS};
use super::{Evaluation, Optimizer, TrainConfig, manifest};
use crate::data::Texts;
use crate::files;
use crate::model::{BiEncoder, Precision};
use crate::nn::Parameters;
use crate::{Error, Result};

const STATE: &str = "state.json";

/// What a training needs to go on, but weights and moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Finished steps: the place in the plan of all epochs, in the schedule, and the counter of dropout's
    /// generator.
    pub(super) step: usize,
    pub(super) total_steps: Option<usize>,
    /// Updates of the optimiser.
    pub(super) updates: u64,
    pub(super) data: Option<DataMark>,
    /// What validations have found so far.
    #[serde(default)]
    pub(super) evaluations: Vec<Evaluation>,
    /// The settings of the training, without those that do not change its course.
    config: Value,
    /// The settings of the model.
    model: String,
    /// Name and shape of every parameter.
    parameters: Vec<(String, Vec<usize>)>,
}

/// By which a training set is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DataMark {
    pub(super) examples: usize,
    fingerprint: u64,
}

/// A checkpoint that was read.
pub(super) struct Loaded {
    pub(super) state: State,
    pub(super) model: BiEncoder,
    pub(super) moments: Vec<Vec<f32>>,
}

/// Why a checkpoint cannot be used.
#[derive(Debug)]
pub(super) enum Problem {
    /// The one before it may be whole.
    Damaged(String),
    /// It is of another training, and so is the one before it.
    Foreign(String),
}

impl DataMark {
    pub(super) fn of(columns: &[Texts], scores: Option<&[f32]>) -> Self {
        let mut hash = Xxh3::new();
        for column in columns {
            hash.update(&(column.len() as u64).to_le_bytes());
            for text in column.iter() {
                hash.update(&(text.len() as u64).to_le_bytes());
                hash.update(text.as_bytes());
            }
        }
        for score in scores.unwrap_or_default() {
            hash.update(&score.to_le_bytes());
        }
        Self { examples: columns.first().map_or(0, Texts::len), fingerprint: hash.digest() }
    }
}

impl State {
    pub(super) fn new(
        step: usize,
        config: &TrainConfig,
        model: &BiEncoder,
        updates: u64,
        data: Option<DataMark>,
    ) -> Result<Self> {
        let total_steps = config.total_steps;
        let (config, parameters) = (settings(config)?, shapes(model.encoder().parameters()));
        Ok(Self {
            step,
            total_steps,
            updates,
            data,
            evaluations: Vec::new(),
            config,
            model: describe(model),
            parameters,
        })
    }

    /// Whether a training with these settings and this model may go on from here.
    fn check(&self, config: &TrainConfig, model: &BiEncoder) -> Result<(), String> {
        let parameters = shapes(model.encoder().parameters());
        let theirs = |name: &str| self.parameters.iter().find(|(theirs, _)| theirs == name).map(|(_, shape)| shape);
        for (name, shape) in &parameters {
            match theirs(name) {
                Some(theirs) if theirs == shape => {}
                Some(theirs) => return Err(format!("its `{name}` has shape {theirs:?}, that of this model {shape:?}")),
                None => return Err(format!("its model has no `{name}`")),
            }
        }
        if self.parameters != parameters {
            return Err("its model has parameters that this one lacks, or another order of them".to_owned());
        }
        let ours = describe(model);
        if let Some((theirs, ours)) = self.model.split(", ").zip(ours.split(", ")).find(|(a, b)| a != b) {
            return Err(format!("its model has `{theirs}`, this one `{ours}`"));
        }
        let (theirs, ours) = (&self.config, settings(config).map_err(|error| error.to_string())?);
        let keys = ours.as_object().into_iter().chain(theirs.as_object()).flat_map(|object| object.keys());
        match keys.into_iter().find(|key| ours[*key] != theirs[*key]) {
            Some(key) => Err(format!("its `{key}` is {}, here it is {}", theirs[key], ours[key])),
            None => Ok(()),
        }
    }
}

/// Writes a checkpoint to `path`, in place of one that may be there.
pub(super) fn write(path: &Path, state: &State, model: &BiEncoder, optimizer: &Optimizer) -> Result<()> {
    let aside = hidden(path, "new");
    let written = create(&aside, state, model, optimizer).and_then(|()| replace(&aside, path));
    if written.is_err() {
        // What was written aside is of no use; that it could not be removed would hide the cause.
        let _ = fs::remove_dir_all(&aside);
    }
    written
}

/// Reads a checkpoint for a training with these settings and this model, which it does not touch.
pub(super) fn read(
    path: &Path,
    config: &TrainConfig,
    model: &BiEncoder,
    optimizer: &Optimizer,
) -> Result<Loaded, Problem> {
    manifest::check(path, &[STATE, MOMENTS]).map_err(Problem::Damaged)?;
    let damaged = |error: Error| Problem::Damaged(error.to_string());
    let state: State = files::read_json(&path.join(STATE)).map_err(damaged)?;
    state.check(config, model).map_err(Problem::Foreign)?;
    let parameters = model.encoder().parameters();
    let moments = moments::read(&path.join(MOMENTS), optimizer, parameters).map_err(Problem::Damaged)?;
    let loaded = BiEncoder::load(path).map_err(damaged)?;
    if loaded.encoder().parameters().entries() != parameters.entries() {
        return Err(Problem::Foreign("its weights are of another model".to_owned()));
    }
    Ok(Loaded { state, model: loaded, moments })
}

/// The hidden neighbour of a checkpoint that is not in its place yet, or any more.
pub(super) fn hidden(path: &Path, kind: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{kind}"))
}

fn create(aside: &Path, state: &State, model: &BiEncoder, optimizer: &Optimizer) -> Result<()> {
    if aside.exists() {
        fs::remove_dir_all(aside).map_err(Error::io(aside))?;
    }
    fs::create_dir_all(aside).map_err(Error::io(aside))?;
    model.save(aside)?;
    moments::write(&aside.join(MOMENTS), optimizer, model.encoder().parameters())?;
    files::write_json(&aside.join(STATE), state)?;
    manifest::write(aside)
}

fn replace(aside: &Path, path: &Path) -> Result<()> {
    let moved = || {
        let old = hidden(path, "old");
        if path.exists() {
            fs::rename(path, &old)?;
        }
        fs::rename(aside, path)?;
        manifest::sync_folder(path.parent().unwrap_or(path))?;
        if old.exists() { fs::remove_dir_all(&old) } else { Ok(()) }
    };
    moved().map_err(Error::io(path))
}

/// The settings that decide the course of a training, as they are read back: both sides of a comparison
/// have gone through the same parser.
fn settings(config: &TrainConfig) -> Result<Value> {
    let json = |source| Error::Json { path: STATE.into(), source };
    let text = serde_json::to_string(config).map_err(json)?;
    let mut settings: Value = serde_json::from_str(&text).map_err(json)?;
    if let Value::Object(settings) = &mut settings {
        settings.remove("checkpoint");
        settings.remove("total_steps");
    }
    Ok(settings)
}

fn describe(model: &BiEncoder) -> String {
    let mut config = model.config().clone();
    // How `encode` does its work changes nothing.
    (config.encode_tokens, config.precision) = (0, Precision::default());
    format!("{:?}, {config:?}", model.encoder().config())
}

fn shapes(parameters: &Parameters) -> Vec<(String, Vec<usize>)> {
    parameters.entries().iter().map(|entry| (entry.name.clone(), entry.shape.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BiEncoderConfig;
    use crate::nn::BertConfig;
    use crate::text::{Tokenizer, WordPieceConfig};

    fn model() -> BiEncoder {
        let tokenizer = Tokenizer::train_wordpiece(&["a few words"], &WordPieceConfig::default()).unwrap();
        let encoder = BertConfig { hidden_size: 8, intermediate_size: 16, ..Default::default() };
        BiEncoder::new(encoder, tokenizer, BiEncoderConfig::default(), 1).unwrap()
    }

    /// Someone has written the list anew over a file whose header claims more than there is.
    #[test]
    fn a_lying_header_is_refused() {
        let (dir, model, config) = (tempfile::tempdir().unwrap(), model(), TrainConfig::default());
        let optimizer = Optimizer::new(&config, model.encoder().parameters()).unwrap();
        let path = dir.path().join("step-00000003");
        let state = State::new(3, &config, &model, 3, None).unwrap();
        write(&path, &state, &model, &optimizer).unwrap();
        let read = || read(&path, &config, &model, &optimizer);
        assert_eq!(read().ok().unwrap().state, state);
        let whole = fs::read(path.join(MOMENTS)).unwrap();
        let text = String::from_utf8_lossy(&whole).replace("[8,8]", "[8,9]");
        let longer = |length: u64| [&length.to_le_bytes(), &whole[8..]].concat();
        for lie in [longer(1 << 60), longer(50_000_000), longer(7), text.into_bytes(), whole[..6].to_vec()] {
            fs::write(path.join(MOMENTS), &lie).unwrap();
            manifest::write(&path).unwrap();
            let Err(Problem::Damaged(problem)) = read() else { panic!("{} bytes were read", lie.len()) };
            assert!(problem.starts_with("optimizer.safetensors: "), "{problem}");
        }
        fs::write(path.join(MOMENTS), &whole).unwrap();
        fs::write(path.join("model.safetensors"), longer(1 << 60)).unwrap();
        manifest::write(&path).unwrap();
        assert!(matches!(read(), Err(Problem::Damaged(_))));
    }

    #[test]
    fn settings_that_do_not_change_the_course_may_differ() {
        let (model, config) = (model(), TrainConfig::default());
        let state = State::new(3, &config, &model, 3, None).unwrap();
        let checkpoint = Some(super::super::CheckpointConfig::default());
        let other = TrainConfig { checkpoint, total_steps: Some(9), ..config.clone() };
        assert_eq!(state.check(&other, &model), Ok(()));
        let other = TrainConfig { seed: 7, ..config };
        assert_eq!(state.check(&other, &model), Err("its `seed` is 42, here it is 7".to_owned()));
    }
}
