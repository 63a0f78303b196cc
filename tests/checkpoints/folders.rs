//! The folder of a training: whose it is, and which checkpoints it keeps.

use std::fs;
use std::path::PathBuf;

use kensaku::loss::MultipleNegativesRanking;
use kensaku::model::{BiEncoder, Role};
use kensaku::train::{CheckpointConfig, Every, Optimizer, TrainConfig, Trainer, ValidationConfig};
use kensaku::{Error, Result, interrupt};

use super::{names, saving, ten_steps, trainer};
use crate::golden::floats;
use crate::training::{config, losses, small, weights, words};

/// Whichever way a trainer comes to write, it does not touch the checkpoints of another one.
pub(super) fn own_folder() -> Result<()> {
    let (dir, data) = ten_steps()?;
    let theirs = names(dir.path());
    let (elsewhere, _) = ten_steps()?;
    let refused = |error: Error| {
        let error = error.to_string();
        assert!(error.contains("step-00000010: it belongs to another training"), "{error}");
    };
    // By hand before the first step, and then by steps.
    let mut early = trainer(&data, 2, saving(dir.path(), 1))?;
    refused(early.checkpoint().unwrap_err());
    refused(early.mark_best(0.5).unwrap_err());
    refused(losses(&mut early, &data, 1).unwrap_err());
    // From a checkpoint that is somewhere else.
    let mut resumed = trainer(&data, 2, saving(dir.path(), 1))?;
    resumed.resume(elsewhere.path())?;
    refused(resumed.mark_best(0.5).unwrap_err());
    refused(losses(&mut resumed, &data, 1).unwrap_err());
    assert_eq!(names(dir.path()), theirs);
    // By another name of the folder, its own are its own.
    let mut own = trainer(&data, 2, saving(&dir.path().join("step-00000010/.."), 1))?;
    own.resume(dir.path())?;
    losses(&mut own, &data, 1)?;
    assert_eq!(names(dir.path()), ["step-00000010", "step-00000011"]);
    Ok(())
}

/// Both began while the folder was empty: the later one has it.
pub(super) fn shared_folder() -> Result<()> {
    let (dir, data) = (tempfile::tempdir().unwrap(), words()?);
    let (mut first, mut second) =
        (trainer(&data, 1, saving(dir.path(), 9))?, trainer(&data, 2, saving(dir.path(), 1))?);
    losses(&mut first, &data, 1)?;
    losses(&mut second, &data, 1)?;
    let error = losses(&mut first, &data, 1).unwrap_err().to_string();
    assert!(error.contains("another training now writes its checkpoints here"), "{error}");
    losses(&mut second, &data, 2)?;
    assert_eq!(names(dir.path()), ["step-00000002", "step-00000003"]);
    Ok(())
}

/// The update that breaks the weights is the second one: the checkpoint before it stays.
pub(super) fn diverged() -> Result<()> {
    let (dir, data) = (tempfile::tempdir().unwrap(), words()?);
    let checkpoint = Some(CheckpointConfig { dir: dir.path().to_owned(), every: 1, keep: 1 });
    let settings = TrainConfig { checkpoint, learning_rate: 1e38, warmup_steps: Some(1), ..config() };
    let mut broken = trainer(&data, 1, settings.clone())?;
    let error = losses(&mut broken, &data, usize::MAX).unwrap_err().to_string();
    assert!(error.contains("expected finite weights") || error.contains("NaN"), "{error}");
    let whole = names(dir.path());
    assert_eq!(whole.len(), 1, "{whole:?}");
    let resumed = trainer(&data, 1, settings)?.resume(dir.path())?;
    assert_eq!((resumed.passed_over.len(), resumed.path.ends_with(&whole[0])), (0, true));
    let folder = tempfile::tempdir().unwrap();
    let error = broken.model().save(folder.path().join("model")).unwrap_err().to_string();
    assert!(error.contains("expected finite weights"), "{error}");
    Ok(())
}

/// The third validation was the best, until the training went back to before it.
pub(super) fn gone_back() -> Result<()> {
    let (dir, data) = (tempfile::tempdir().unwrap(), words()?);
    let checkpoint = Some(CheckpointConfig { dir: dir.path().to_owned(), every: 1, keep: 9 });
    let validation = ValidationConfig { every: Every::Steps(1), ..Default::default() };
    let settings = TrainConfig { checkpoint, validation, ..config() };
    let scored = |scores: &'static [f64]| -> Result<Trainer> {
        let mut trainer = trainer(&data, 1, settings.clone())?;
        let next = std::cell::Cell::new(0);
        trainer.validate_with("score", move |_| {
            next.set(next.get() + 1);
            Ok(scores[next.get() - 1])
        })?;
        Ok(trainer)
    };
    losses(&mut scored(&[0.5, 0.1, 0.9, 0.2])?, &data, 4)?;
    let mut back = scored(&[0.3])?;
    back.resume(dir.path().join("step-00000002"))?;
    losses(&mut back, &data, 1)?;
    assert_eq!(back.best().map(|best| best.step), Some(1));
    let first = dir.path().join("step-00000001");
    assert_eq!(back.best_checkpoint()?, Some(first.clone()));
    assert!(weights(&back.into_best_model()?) == weights(&BiEncoder::load(first)?));
    Ok(())
}

pub(super) fn broken_best() -> Result<()> {
    let (dir, data) = (tempfile::tempdir().unwrap(), words()?);
    let mut trainer = trainer(&data, 1, saving(dir.path(), 1))?;
    losses(&mut trainer, &data, 2)?;
    fs::write(dir.path().join("best.json"), "{").unwrap();
    losses(&mut trainer, &data, 2)?;
    assert_eq!(names(dir.path()).len(), 5, "none is removed: it might be the best");
    assert!(trainer.best_checkpoint().unwrap_err().to_string().contains("best.json"));
    // Nor is the best one a folder of someone else.
    let other = tempfile::tempdir().unwrap();
    let names_other = format!(r#"{{"checkpoint": "{}", "score": 1}}"#, other.path().display());
    fs::write(dir.path().join("best.json"), names_other).unwrap();
    let error = trainer.best_checkpoint().unwrap_err().to_string();
    assert!(error.contains("expected a checkpoint of this folder"), "{error}");
    trainer.mark_best(0.5)?;
    losses(&mut trainer, &data, 3)?;
    assert_eq!(names(dir.path()), ["best.json", "step-00000004", "step-00000006", "step-00000007"]);
    Ok(())
}

pub(super) fn kept() -> Result<()> {
    let (dir, data) = (tempfile::tempdir().unwrap(), words()?);
    let mut trainer = trainer(&data, 1, saving(dir.path(), 4))?;
    assert_eq!(trainer.best_checkpoint()?, None);
    let vectors = |model: &BiEncoder| Ok::<_, Error>(floats(&model.encode(&["where is the red car"], Role::Query)?));
    let mut best = Vec::new();
    for step in 1..=30 {
        losses(&mut trainer, &data, 1)?;
        if [4, 6].contains(&step) {
            trainer.mark_best(0.1 * step as f64)?;
            best = vectors(trainer.model())?;
        }
    }
    assert_eq!(names(dir.path()), ["best.json", "step-00000006", "step-00000028", "step-00000030"]);
    let path: PathBuf = trainer.best_checkpoint()?.unwrap();
    assert_eq!(path, dir.path().join("step-00000006"));
    assert_eq!(vectors(&BiEncoder::load(path)?)?, best, "a checkpoint is a model directory");
    assert_eq!(trainer.mark_best(f64::NAN).unwrap_err().to_string(), "score = NaN: expected a finite number");
    Ok(())
}

pub(super) fn interrupted() -> Result<()> {
    let (dir, data) = (tempfile::tempdir().unwrap(), words()?);
    let mut trainer = trainer(&data, 1, saving(dir.path(), 1))?;
    let batch = trainer.batch(&data, &[0, 1, 2])?;
    interrupt::set(true);
    let step = trainer.step(&batch);
    interrupt::set(false);
    step?;
    assert_eq!(names(dir.path()), ["step-00000001"]);
    assert_eq!(trainer.resume(dir.path())?.step, 1);
    Ok(())
}

pub(super) fn unwritable() -> Result<()> {
    let (dir, data) = (tempfile::tempdir().unwrap(), words()?);
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let first = |config| trainer(&data, 1, config)?.steps(&data)?.next().unwrap();
    let error = first(saving(&file.join("below"), 5)).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.starts_with(&file)), "{error}");

    // A write that fails half-way leaves the checkpoints there are, and the training can go on.
    let (dir, data) = ten_steps()?;
    let validation = ValidationConfig { every: Every::Steps(1), ..Default::default() };
    let mut trainer = trainer(&data, 2, TrainConfig { validation, ..saving(dir.path(), 1) })?;
    trainer.resume(dir.path())?;
    let elsewhere = tempfile::tempdir().unwrap();
    let away = elsewhere.path().join("away");
    let (from, to, first) = (dir.path().to_owned(), away.clone(), std::cell::Cell::new(true));
    // Between the step and its checkpoint.
    trainer.validate_with("move", move |_| {
        if first.replace(false) {
            fs::rename(&from, &to).unwrap();
            fs::write(&from, "").unwrap();
        }
        Ok(0.5)
    })?;
    let error = losses(&mut trainer, &data, 1).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.starts_with(dir.path())), "{error}");
    fs::remove_file(dir.path()).unwrap();
    fs::rename(&away, dir.path()).unwrap();
    // The step is yielded with its validation and its checkpoint.
    assert_eq!(trainer.steps(&data)?.next().unwrap()?.step, 11);
    assert_eq!(names(dir.path()), ["step-00000010", "step-00000011"]);

    let nowhere = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config())?
        .checkpoint()
        .unwrap_err()
        .to_string();
    assert_eq!(nowhere, "checkpoint = none: expected a folder for checkpoints");
    let bad = CheckpointConfig { every: 0, ..Default::default() };
    let bad = TrainConfig { checkpoint: Some(bad), ..config() };
    let message = Optimizer::new(&bad, small(&data, 1)?.encoder().parameters()).unwrap_err().to_string();
    assert_eq!(message, "checkpoint.every = 0: expected at least 1");
    Ok(())
}
