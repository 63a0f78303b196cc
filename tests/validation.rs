//! Validation during the training, early stopping, the best model.

use std::cell::Cell;

use kensaku::data::TrainingSet;
use kensaku::loss::MultipleNegativesRanking;
use kensaku::model::BiEncoder;
use kensaku::train::{CheckpointConfig, Evaluation, Every, KeepBest, TrainConfig, Trainer, ValidationConfig};
use kensaku::{Error, Result, interrupt};

use crate::shared::{Trials, test};
use crate::training::{config, losses, small, words};

pub fn trials() -> Trials {
    vec![
        test("validation::comes_with_the_steps", || with_steps().unwrap()),
        test("validation::does_not_disturb", || undisturbed().unwrap()),
        test("validation::stops_early_and_keeps_the_best", || early().unwrap()),
        test("validation::an_early_stop_leaves_a_checkpoint", || stopped().unwrap()),
        test("validation::patience_begins_anew_with_a_round", || patience().unwrap()),
        test("validation::the_best_in_a_directory", || directory().unwrap()),
        test("validation::an_interrupted_one_is_made_up_for", || interrupted().unwrap()),
        test("validation::goes_on_from_a_checkpoint", || resumed().unwrap()),
        test("validation::says_what_is_wrong", || mistakes().unwrap()),
        test("validation::settings_without_a_validation_are_refused", || unasked().unwrap()),
    ]
}

fn trainer(data: &TrainingSet, validation: ValidationConfig) -> Result<Trainer> {
    Trainer::new(small(data, 1)?, MultipleNegativesRanking::default(), TrainConfig { validation, ..config() })
}

fn held_out(data: &TrainingSet) -> Result<TrainingSet> {
    TrainingSet::new(data.frame().slice(0, 24))
}

fn with_steps() -> Result<()> {
    let data = words()?;
    let mut every_epoch = trainer(&data, ValidationConfig::default())?;
    every_epoch.validate_on(&held_out(&data)?)?;
    let before = every_epoch.evaluate()?;
    assert_eq!((before.step, before.best), (0, true));
    let steps = every_epoch.steps(&data)?.collect::<Result<Vec<_>>>()?;
    let found: Vec<usize> = steps.iter().filter(|step| step.evaluation.is_some()).map(|step| step.step).collect();
    assert_eq!(found, [5, 10, 15, 20, 25, 30]);
    let values: Vec<f64> = every_epoch.evaluations().iter().map(|evaluation| evaluation.values[0].1).collect();
    assert!(values.len() == 7 && values[6] < 0.7 * values[0], "{values:?}");
    let last = steps[29].to_string();
    assert!(last.contains("\nvalidation after step 30  loss 0."), "{last}");

    let every = Every::Steps(7);
    let mut every_seven = trainer(&data, ValidationConfig { every, ..Default::default() })?;
    every_seven.validate_with("constant", |_| Ok(1.0))?;
    let found: Vec<Evaluation> = every_seven.steps(&data)?.filter_map(|step| step.unwrap().evaluation).collect();
    let steps: Vec<(usize, bool)> = found.iter().map(|evaluation| (evaluation.step, evaluation.best)).collect();
    assert_eq!(steps, [(7, true), (14, false), (21, false), (28, false), (30, false)]);
    Ok(())
}

fn undisturbed() -> Result<()> {
    let data = words()?;
    let alone = losses(&mut trainer(&data, ValidationConfig::default())?, &data, usize::MAX)?;
    let mut watched = trainer(&data, ValidationConfig { every: Every::Steps(2), ..Default::default() })?;
    watched.validate_on(&held_out(&data)?)?;
    watched.validate_with("length", |model| Ok(model.dim() as f64))?;
    assert_eq!(losses(&mut watched, &data, usize::MAX)?, alone);
    // No dropout: the same model, the same value.
    let (first, second) = (watched.evaluate()?, watched.evaluate()?);
    assert_eq!(first.values, second.values);
    Ok(())
}

/// Gives one value after the other.
fn scripted(values: &'static [f64]) -> impl Fn(&BiEncoder) -> Result<f64> + 'static {
    let next = Cell::new(0);
    move |_| {
        next.set(next.get() + 1);
        Ok(values[(next.get() - 1).min(values.len() - 1)])
    }
}

fn early() -> Result<()> {
    let data = words()?;
    let validation =
        ValidationConfig { every: Every::Steps(3), patience: Some(2), min_delta: 0.01, ..Default::default() };
    let mut trainer = trainer(&data, validation)?;
    trainer.validate_with("nDCG@10", scripted(&[0.3, 0.5, 0.505, 0.4, 0.9]))?;
    let mut best = Vec::new();
    let mut steps = trainer.steps(&data)?;
    let mut count = 0;
    while let Some(step) = steps.next() {
        count += 1;
        if step?.step == 9 {
            best = steps.model().encoder().parameters().values("embeddings.LayerNorm.weight")?.to_vec();
        }
    }
    // 0.505 is the best, but not by enough for more patience.
    assert_eq!(count, 12);
    assert_eq!(trainer.best().map(|best| (best.step, best.values[0].1)), Some((9, 0.505)));
    let stays = trainer.steps(&data).err().unwrap().to_string();
    let said = "stopped early after step 12: 2 validations without improvement by more than 0.01; the best is step 9: nDCG@10 0.5050";
    assert!(stays.contains(said), "{stays}");
    let last = trainer.model().encoder().parameters().values("embeddings.LayerNorm.weight")?.to_vec();
    assert_ne!(last, best);
    let model = trainer.into_best_model()?;
    assert_eq!(model.encoder().parameters().values("embeddings.LayerNorm.weight")?, best);
    Ok(())
}

/// It is said, and the last step has its checkpoint; a resumed training stays stopped, without an error.
fn stopped() -> Result<()> {
    let data = words()?;
    let folder = tempfile::tempdir().unwrap();
    let trainer = || -> Result<Trainer> {
        let checkpoint = CheckpointConfig { dir: folder.path().to_owned(), every: 1_000, keep: 2 };
        let validation = ValidationConfig { every: Every::Steps(3), patience: Some(1), ..Default::default() };
        let config = TrainConfig { checkpoint: Some(checkpoint), validation, ..config() };
        let mut trainer = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config)?;
        trainer.validate_with("score", scripted(&[0.3, 0.2]))?;
        Ok(trainer)
    };
    assert_eq!(losses(&mut trainer()?, &data, usize::MAX)?.len(), 6);
    let mut again = trainer()?;
    assert_eq!(again.resume(folder.path())?.step, 6);
    assert_eq!(losses(&mut again, &data, usize::MAX)?, [] as [f64; 0]);
    assert!(again.steps(&data).is_err());
    Ok(())
}

fn patience() -> Result<()> {
    let data = words()?;
    let validation = ValidationConfig { every: Every::Steps(3), patience: Some(2), ..Default::default() };
    let mut trainer = trainer(&data, validation)?;
    trainer.validate_with("score", scripted(&[0.5, 0.4]))?;
    assert_eq!(losses(&mut trainer, &data, usize::MAX)?.len(), 9);
    trainer.begin_round(trainer.config().clone())?;
    assert_eq!(losses(&mut trainer, &data, usize::MAX)?.len(), 6, "as many validations as without the first round");
    assert_eq!(trainer.best().map(|best| best.step), Some(3));
    Ok(())
}

fn directory() -> Result<()> {
    let data = words()?;
    let folder = tempfile::tempdir().unwrap();
    let keep_best = KeepBest::Directory(folder.path().join("best"));
    let values = |model: &BiEncoder| model.encoder().parameters().values("embeddings.LayerNorm.bias").unwrap().to_vec();
    let mut trainer = trainer(&data, ValidationConfig { keep_best, ..Default::default() })?;
    trainer.validate_with("score", scripted(&[0.1, 0.7, 0.2]))?;
    let mut best = Vec::new();
    let mut steps = trainer.steps(&data)?;
    while let Some(step) = steps.next() {
        if step?.step == 10 {
            best = values(steps.model());
        }
    }
    assert_eq!(values(&trainer.into_best_model()?), best);
    Ok(())
}

fn interrupted() -> Result<()> {
    let data = words()?;
    let mut trainer = trainer(&data, ValidationConfig::default())?;
    let calls = Cell::new(0);
    trainer.validate_with("slow", move |_| {
        calls.set(calls.get() + 1);
        if calls.get() == 1 { Err(Error::Interrupted { during: "encoding" }) } else { Ok(0.5) }
    })?;
    let stopped = trainer.steps(&data)?.find_map(Result::err);
    assert!(matches!(stopped, Some(Error::Interrupted { .. })) && !interrupt::requested());
    let rest = trainer.steps(&data)?.collect::<Result<Vec<_>>>()?;
    assert_eq!((rest[0].step, rest[0].evaluation.as_ref().map(|found| found.step)), (5, Some(5)));
    assert_eq!((rest[1].step, rest.len()), (6, 26));
    Ok(())
}

/// What was found before the checkpoint counts on, and the best checkpoint is the best model.
fn resumed() -> Result<()> {
    let data = words()?;
    let folder = tempfile::tempdir().unwrap();
    let values = |model: &BiEncoder| model.encoder().parameters().values("embeddings.LayerNorm.bias").unwrap().to_vec();
    let trainer = || -> Result<Trainer> {
        let checkpoint = CheckpointConfig { dir: folder.path().join("checkpoints"), every: 5, keep: 1 };
        let validation = ValidationConfig { patience: Some(3), ..Default::default() };
        let config = TrainConfig { checkpoint: Some(checkpoint), validation, ..config() };
        Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config)
    };
    let mut first = trainer()?;
    first.validate_with("score", scripted(&[0.1, 0.7, 0.2]))?;
    let mut best = Vec::new();
    let mut steps = first.steps(&data)?;
    for _ in 0..15 {
        let step = steps.next().unwrap()?;
        if step.step == 10 {
            best = values(steps.model());
        }
    }
    let mut second = trainer()?;
    assert_eq!(second.resume(folder.path().join("checkpoints"))?.step, 15);
    assert_eq!(second.evaluations(), first.evaluations());
    second.validate_with("score", scripted(&[0.3, 0.4]))?;
    let rest = second.steps(&data)?.collect::<Result<Vec<_>>>()?;
    assert_eq!(rest.len(), 10, "the third one without a gain is after step 25");
    assert_eq!(second.best().map(|best| best.step), Some(10));
    assert_eq!(values(&second.into_best_model()?), best);
    Ok(())
}

fn mistakes() -> Result<()> {
    let data = words()?;
    let setting = |validation| trainer(&data, validation).unwrap_err().to_string();
    assert!(setting(ValidationConfig { every: Every::Steps(0), ..Default::default() }).starts_with("every = Steps(0)"));
    assert!(setting(ValidationConfig { patience: Some(0), ..Default::default() }).starts_with("patience = 0"));
    assert!(setting(ValidationConfig { min_delta: f64::NAN, ..Default::default() }).starts_with("min_delta = NaN"));
    let monitor = Some("AP".to_owned());
    let mut trainer = trainer(&data, ValidationConfig { monitor, ..Default::default() })?;
    trainer.validate_with("nDCG@10", |_| Ok(f64::NAN))?;
    assert!(trainer.validate_with("loss", |_| Ok(0.0)).unwrap_err().to_string().contains("that is the held-out loss"));
    let nan = trainer.evaluate().unwrap_err().to_string();
    assert_eq!(nan, "step 0: the validation's `nDCG@10` is NaN");
    let mut other = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), trainer.config().clone())?;
    other.validate_with("nDCG@10", |_| Ok(0.5))?;
    assert_eq!(other.evaluate().unwrap_err().to_string(), "monitor = AP: expected nDCG@10");
    Ok(())
}

/// What would never take effect is an error before the first step.
fn unasked() -> Result<()> {
    let data = words()?;
    let refused = |trainer: &mut Trainer| trainer.steps(&data).err().unwrap().to_string();
    let expected = "expected something to validate with: `validate_on` or `validate_with`";
    let patient = ValidationConfig { patience: Some(2), ..Default::default() };
    assert_eq!(refused(&mut trainer(&data, patient)?), format!("patience = 2: {expected}"));
    let monitor = ValidationConfig { monitor: Some("ndcg@10".to_owned()), ..Default::default() };
    let mut watched = trainer(&data, monitor)?;
    assert_eq!(refused(&mut watched), format!("monitor = ndcg@10: {expected}"));
    watched.validate_with("nDCG@10", |_| Ok(0.5))?;
    watched.validate_on(&held_out(&data)?)?;
    assert_eq!(refused(&mut watched), "monitor = ndcg@10: expected nDCG@10 or loss");
    // A cell that runs again replaces its evaluator.
    watched.validate_with("ndcg@10", |_| Ok(0.25))?;
    watched.validate_with("ndcg@10", |_| Ok(0.75))?;
    assert_eq!(
        watched.evaluate()?.values.iter().filter(|(name, value)| name == "ndcg@10" && *value == 0.75).count(),
        1
    );
    assert!(watched.steps(&data).is_ok());
    Ok(())
}
