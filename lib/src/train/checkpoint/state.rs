//! What a checkpoint records about its training, and whether a trainer may resume from it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::STATE;
use crate::model::Model;
use crate::nn::Parameters;
use crate::text::Tokenizer;
use crate::train::round::Round;
use crate::train::trainer::Training;
use crate::train::{Evaluation, TrainConfig};
use crate::{Error, Result};

/// What a training needs to go on, except weights and moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TrainState {
    /// Finished steps: the counter of dropout's generator.
    pub(super) step: usize,
    /// Updates of the optimiser.
    pub(super) updates: u64,
    /// The place in the plan of all epochs, and in the schedule.
    pub(super) round: Option<Round>,
    /// What validations have found so far.
    #[serde(default)]
    pub(super) evaluations: Vec<Evaluation>,
    config: TrainConfig,
    loss: LossMark,
    model: Value,
    /// A hash of `tokenizer.json`, or two where queries have another one.
    tokenizer: String,
    /// Name and shape of every parameter.
    parameters: Vec<(String, Vec<usize>)>,
}

/// What a loss is recognised by; nothing is known of a closure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct LossMark {
    name: String,
    settings: Value,
}

impl TrainState {
    pub(super) fn of(trainer: &Training) -> Result<Self> {
        let Training { model, loss, config, .. } = trainer;
        Ok(Self {
            step: trainer.done,
            updates: trainer.optimizer.updates(),
            round: trainer.round,
            evaluations: reread(&trainer.evaluations().to_vec())?,
            config: reread(config)?,
            loss: LossMark { name: loss.needs().name.to_owned(), settings: reread(&loss.settings())? },
            model: model.settings().map_err(json)?,
            tokenizer: tokenizer_hash(&**model)?,
            parameters: [model.parameters(), &trainer.own.table].into_iter().flat_map(shapes).collect(),
        })
    }

    /// Whether a trainer may go on from here; the error says what is in the way.
    pub(super) fn check(&self, trainer: &Training) -> Result<(), String> {
        let ours = Self::of(trainer).map_err(|error| error.to_string())?;
        self.check_shapes(&ours)?;
        let settings = |state: &Self| trainer.model.complete(&state.model).map_err(|error| error.to_string());
        if let Some((key, theirs, ours)) = difference(&settings(self)?, &settings(&ours)?) {
            return Err(format!("its model has `{key}: {theirs}`, this one `{key}: {ours}`"));
        }
        if self.tokenizer != ours.tokenizer {
            return Err("its model has another tokenizer".to_owned());
        }
        let called = |name: &str| if name.is_empty() { "a closure".to_owned() } else { format!("`{name}`") };
        let (theirs, own) = (&self.loss, &ours.loss);
        if theirs.name != own.name {
            return Err(format!("its loss is {}, here it is {}", called(&theirs.name), called(&own.name)));
        }
        if let Some((key, theirs, ours)) = difference(&theirs.settings, &own.settings) {
            return Err(format!("its loss has `{key}: {theirs}`, this one `{key}: {ours}`"));
        }
        let course = |state: &Self| course(&state.config).map_err(|error| error.to_string());
        if let Some((key, theirs, ours)) = difference(&course(self)?, &course(&ours)?) {
            return Err(format!("its `{key}` is {theirs}, here it is {ours}"));
        }
        let (theirs, ours) = (self.config.epochs, ours.config.epochs);
        if self.round.is_some() && theirs > ours {
            return Err(format!(
                "its `epochs` is {theirs}, here it is {ours}; there may be more of them, but not fewer"
            ));
        }
        Ok(())
    }

    fn check_shapes(&self, ours: &Self) -> Result<(), String> {
        let theirs = |name: &str| self.parameters.iter().find(|(theirs, _)| theirs == name).map(|(_, shape)| shape);
        for (name, shape) in &ours.parameters {
            match theirs(name) {
                Some(theirs) if theirs == shape => {}
                Some(theirs) => return Err(format!("its `{name}` has shape {theirs:?}, that of this model {shape:?}")),
                None => return Err(format!("its model has no `{name}`")),
            }
        }
        if self.parameters != ours.parameters {
            return Err("its model has parameters that this one lacks, or another order of them".to_owned());
        }
        Ok(())
    }
}

/// The settings that decide the course of a training: not those of memory, of validation and of checkpoints, nor how
/// long it is.
fn course(config: &TrainConfig) -> Result<Value> {
    let mut course = reread::<Value>(&serde_json::to_value(config).map_err(json)?)?;
    if let Value::Object(course) = &mut course {
        for free in
            ["checkpoint", "epochs", "max_steps", "memory", "micro_batch", "prefetch", "total_steps", "validation"]
        {
            course.remove(free);
        }
    }
    Ok(course)
}

/// The first key in which two tables differ, with both values: `query.normalize` where those are tables of the same keys.
fn difference(theirs: &Value, ours: &Value) -> Option<(String, Value, Value)> {
    let keys = [ours, theirs].into_iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys);
    let key = keys.into_iter().find(|key| theirs[*key] != ours[*key])?;
    let (theirs, ours) = (&theirs[key], &ours[key]);
    let inner = match (theirs.as_object(), ours.as_object()) {
        (Some(a), Some(b)) if a.keys().eq(b.keys()) => difference(theirs, ours),
        _ => None,
    };
    match inner {
        Some((inner, theirs, ours)) => Some((format!("{key}.{inner}"), theirs, ours)),
        None => Some((key.clone(), theirs.clone(), ours.clone())),
    }
}

fn tokenizer_hash(model: &dyn Model) -> Result<String> {
    let hash = |tokenizer: &Tokenizer| Ok::<_, Error>(format!("{:016x}", xxh3_64(tokenizer.to_json()?.as_bytes())));
    let (own, of_queries) = (hash(model.tokenizer())?, hash(model.query_tokenizer())?);
    Ok(if own == of_queries { own } else { format!("{own} {of_queries}") })
}

/// A value as it is read back: both sides of a comparison have gone through the same parser.
fn reread<T: Serialize + DeserializeOwned>(value: &T) -> Result<T> {
    let text = serde_json::to_string(value).map_err(json)?;
    serde_json::from_str(&text).map_err(json)
}

fn json(source: serde_json::Error) -> Error {
    Error::Json { path: STATE.into(), source }
}

fn shapes(parameters: &Parameters) -> impl Iterator<Item = (String, Vec<usize>)> {
    parameters.entries().iter().map(|entry| (entry.name.clone(), entry.shape.clone()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::trainer;
    use super::*;
    use crate::loss::MultipleNegativesRanking;
    use crate::nn::{Memory, Storage};
    use crate::train::{CheckpointConfig, Every, MicroBatch, Trainer, ValidationConfig};

    const WORDS: &str = "a few words";

    fn ranking() -> MultipleNegativesRanking {
        MultipleNegativesRanking::default()
    }

    #[test]
    fn settings_that_do_not_change_the_course_may_differ() {
        let config = TrainConfig { epochs: 3, ..Default::default() };
        let mut first = trainer(ranking(), WORDS, config.clone());
        first.training.round = Some(Round { data: None, done: 3, steps: 9, epochs: 3, first_epoch: 0, validations: 0 });
        let state = TrainState::of(&first.training).unwrap();
        let check = |config| state.check(&trainer(ranking(), WORDS, config).training);
        let other = TrainConfig {
            checkpoint: Some(CheckpointConfig::default()),
            total_steps: Some(9),
            micro_batch: Some(MicroBatch::Texts(4)),
            memory: Memory { checkpointing: true, storage: Storage::Bf16 },
            prefetch: 0,
            validation: ValidationConfig { every: Every::Steps(7), patience: Some(3), ..Default::default() },
            epochs: 5,
            ..config.clone()
        };
        assert_eq!(check(other), Ok(()));
        let fewer = check(TrainConfig { epochs: 2, ..config.clone() }).unwrap_err();
        assert_eq!(fewer, "its `epochs` is 3, here it is 2; there may be more of them, but not fewer");
        assert_eq!(check(TrainConfig { seed: 7, ..config }), Err("its `seed` is 42, here it is 7".to_owned()));
    }

    #[test]
    fn another_loss_and_another_tokenizer_are_refused() {
        let config = TrainConfig::default();
        let state = TrainState::of(&trainer(ranking(), WORDS, config.clone()).training).unwrap();
        let scaled = MultipleNegativesRanking { scale: 30.0, ..ranking() };
        let refused = state.check(&trainer(scaled, WORDS, config.clone()).training).unwrap_err();
        assert_eq!(refused, "its loss has `scale: 20.0`, this one `scale: 30.0`");
        let model = trainer(ranking(), WORDS, config.clone()).into_model();
        let triplet = Trainer::new(model.clone(), crate::loss::Triplet::default(), config.clone()).unwrap();
        let refused = state.check(&triplet.training).unwrap_err();
        assert_eq!(refused, "its loss is `MultipleNegativesRanking`, here it is `Triplet`");
        let closure = crate::loss::custom(|batch| Ok(batch.queries()?.sum_all()?));
        let refused = state.check(&Trainer::new(model, closure, config.clone()).unwrap().training).unwrap_err();
        assert_eq!(refused, "its loss is `MultipleNegativesRanking`, here it is a closure");
        // As many tokens, but others.
        let other = trainer(ranking(), "a few worms", config.clone());
        let words = trainer(ranking(), WORDS, config);
        assert_eq!(other.model().tokenizer().vocab_size(), words.model().tokenizer().vocab_size());
        assert_eq!(state.check(&other.training), Err("its model has another tokenizer".to_owned()));
    }

    /// A setting that a later version adds is not in older files.
    #[test]
    fn a_setting_that_is_missing_has_its_default() {
        let ours = trainer(ranking(), WORDS, TrainConfig::default());
        let mut file = serde_json::to_value(TrainState::of(&ours.training).unwrap()).unwrap();
        for (part, key) in [("config", "clip_norm"), ("model", "include_prompt"), ("model", "layer_norm_eps")] {
            assert!(file[part].as_object_mut().unwrap().remove(key).is_some(), "{part} has no {key}");
        }
        let state: TrainState = serde_json::from_value(file).unwrap();
        assert_eq!(state.check(&ours.training), Ok(()));
    }
}
