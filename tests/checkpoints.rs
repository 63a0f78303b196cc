//! Checkpoints: resuming bit for bit, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use kensaku::data::TrainingSet;
use kensaku::loss::MultipleNegativesRanking;
use kensaku::model::{BiEncoder, BiEncoderConfig, Role};
use kensaku::nn::{BertConfig, EncoderConfig, Memory};
use kensaku::train::{
    CheckpointConfig, Every, MicroBatch, Optimizer, OptimizerConfig, SgdConfig, TrainConfig, Trainer, ValidationConfig,
};
use kensaku::{Error, Result, interrupt};
use tempfile::TempDir;

use crate::golden::floats;
use crate::shared::{Trials, test};
use crate::training::{config, losses, small, weights, words};

pub fn trials() -> Trials {
    vec![
        test("checkpoints::resume_bit_for_bit", || bit_for_bit().unwrap()),
        test("checkpoints::resume_after_a_crash", || crash().unwrap()),
        test("checkpoints::resume_with_other_means_and_for_longer", || longer().unwrap()),
        test("checkpoints::resume_in_a_second_round", || second_round().unwrap()),
        test("checkpoints::a_folder_belongs_to_one_training", || own_folder().unwrap()),
        test("checkpoints::two_trainings_do_not_share_a_folder", || shared_folder().unwrap()),
        test("checkpoints::weights_that_diverged_are_not_written", || diverged().unwrap()),
        test("checkpoints::the_best_is_of_the_way_that_was_taken", || gone_back().unwrap()),
        test("checkpoints::a_best_that_cannot_be_read_stops_nothing", || broken_best().unwrap()),
        test("checkpoints::damaged_ones_are_passed_over", || damaged().unwrap()),
        test("checkpoints::foreign_ones_are_refused", || foreign().unwrap()),
        test("checkpoints::keep_the_last_and_the_best", || kept().unwrap()),
        test("checkpoints::an_interrupt_leaves_them_whole", || interrupted().unwrap()),
        test("checkpoints::say_where_writing_failed", || unwritable().unwrap()),
    ]
}

fn saving(dir: &Path, every: usize) -> TrainConfig {
    TrainConfig { checkpoint: Some(CheckpointConfig { dir: dir.to_owned(), every, keep: 2 }), ..config() }
}

fn trainer(data: &TrainingSet, seed: u64, config: TrainConfig) -> Result<Trainer> {
    Trainer::new(small(data, seed)?, MultipleNegativesRanking::default(), config)
}

/// A folder with checkpoints after steps 5 and 10, and the training set.
fn ten_steps() -> Result<(TempDir, TrainingSet)> {
    let (dir, data) = (tempfile::tempdir().unwrap(), words()?);
    losses(&mut trainer(&data, 1, saving(dir.path(), 5))?, &data, 12)?;
    assert_eq!(names(dir.path()), ["step-00000005", "step-00000010"]);
    Ok((dir, data))
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    // The file that says whose folder it is.
    names.retain(|name| name != ".training");
    names.sort();
    names
}

/// 30 steps in one go, and 13, a new trainer from other weights, and 17; dropout is on.
fn bit_for_bit() -> Result<()> {
    let data = words()?;
    let in_pool = |threads: usize, run: &mut (dyn FnMut() -> Result<()> + Send)| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
    };
    let nesterov = SgdConfig { nesterov: true, weight_decay: 0.01, ..Default::default() };
    for optimizer in [OptimizerConfig::default(), nesterov.into()] {
        let with = |config: TrainConfig| TrainConfig {
            optimizer,
            learning_rate_mapping: vec![("word_embeddings".to_owned(), 1e-3)],
            ..config
        };
        for (first, second) in [(1, 1), (4, 4), (1, 4)] {
            let dir = tempfile::tempdir().unwrap();
            let (mut whole, mut expected) = (Vec::new(), Vec::new());
            in_pool(second, &mut || {
                let mut trainer = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), with(config()))?;
                whole = losses(&mut trainer, &data, usize::MAX)?;
                expected = weights(trainer.model());
                Ok(())
            })?;
            assert_eq!(whole.len(), 30);
            let mut parts = Vec::new();
            in_pool(first, &mut || {
                let mut trainer = trainer(&data, 1, with(saving(dir.path(), 13)))?;
                parts = losses(&mut trainer, &data, 13)?;
                Ok(())
            })?;
            in_pool(second, &mut || {
                let mut trainer = trainer(&data, 2, with(saving(dir.path(), 100)))?;
                let resumed = trainer.resume(dir.path())?;
                assert_eq!((resumed.step, resumed.passed_over.len()), (13, 0));
                parts.extend(losses(&mut trainer, &data, usize::MAX)?);
                assert!(weights(trainer.model()) == expected, "weights after the last step");
                Ok(())
            })?;
            assert_eq!(parts, whole, "{optimizer:?} with {first} and {second} threads");
            assert_eq!(names(dir.path()), ["step-00000013", "step-00000030"], "the last step is kept");
        }
    }
    Ok(())
}

/// What a crash leaves: steps after the last checkpoint are lost, a half-written one is cleared away.
fn crash() -> Result<()> {
    let (dir, data) = ten_steps()?;
    let whole = losses(&mut trainer(&data, 1, config())?, &data, usize::MAX)?;
    fs::create_dir(dir.path().join(".step-00000015.new")).unwrap();
    fs::write(dir.path().join(".step-00000015.new/model.safetensors"), "half").unwrap();
    let mut again = trainer(&data, 2, saving(dir.path(), 5))?;
    let resumed = again.resume(dir.path())?;
    assert_eq!(resumed.to_string(), format!("resuming after step 10 from {}/step-00000010", dir.path().display()));
    assert_eq!(losses(&mut again, &data, 7)?, whole[10..17]);
    assert_eq!(names(dir.path()), ["step-00000010", "step-00000015"]);
    // Twice in one session: back to the checkpoint, and the same again.
    assert_eq!(again.resume(dir.path().join("step-00000010"))?.step, 10);
    assert_eq!(losses(&mut again, &data, usize::MAX)?, whole[10..]);
    Ok(())
}

/// What does not change the course may change, and more epochs make the training longer.
fn longer() -> Result<()> {
    let (dir, data) = ten_steps()?;
    let validation = ValidationConfig { every: Every::Steps(7), patience: Some(9), ..Default::default() };
    let config = TrainConfig {
        micro_batch: Some(MicroBatch::Texts(5)),
        memory: Memory { checkpointing: true, ..Default::default() },
        validation,
        epochs: 8,
        ..saving(dir.path(), 1_000)
    };
    let mut again = trainer(&data, 2, config)?;
    again.validate_with("score", |_| Ok(0.5))?;
    assert!(!again.resume(dir.path())?.finished);
    let steps = again.steps(&data)?.collect::<Result<Vec<_>>>()?;
    assert_eq!((steps[0].step, steps.len(), steps[0].total), (11, 30, Some(40)));
    let rates = |step: usize| TrainConfig::default().schedule.rate(step, 4, 40, 5e-3);
    assert!(steps.iter().all(|step| (step.learning_rate - rates(step.step - 1)).abs() < 1e-12));

    // A training that is finished has no steps left, and a script that resumes it can run again.
    let mut finished = trainer(&data, 2, TrainConfig { epochs: 8, ..saving(dir.path(), 1_000) })?;
    let resumed = finished.resume(dir.path())?;
    assert!(resumed.finished && resumed.to_string().ends_with("step-00000040; the training was finished"), "{resumed}");
    assert_eq!(losses(&mut finished, &data, usize::MAX)?, [] as [f64; 0]);
    assert!(finished.steps(&data).is_err());
    // Once more, for an epoch longer.
    let mut longer = trainer(&data, 2, TrainConfig { epochs: 9, ..saving(dir.path(), 1_000) })?;
    assert!(!longer.resume(dir.path())?.finished);
    assert_eq!(losses(&mut longer, &data, usize::MAX)?.len(), 5);
    Ok(())
}

/// The checkpoint knows where in the second training set it is.
fn second_round() -> Result<()> {
    let (dir, data) = (tempfile::tempdir().unwrap(), words()?);
    let other = TrainingSet::new(data.frame().slice(10, 24))?;
    let mut whole = trainer(&data, 1, config())?;
    losses(&mut whole, &data, 8)?;
    let expected = losses(&mut whole, &other, usize::MAX)?;
    let mut first = trainer(&data, 1, saving(dir.path(), 13))?;
    losses(&mut first, &data, 8)?;
    let mut parts = losses(&mut first, &other, 5)?;
    let mut second = trainer(&data, 2, saving(dir.path(), 100))?;
    assert_eq!(second.resume(dir.path())?.step, 13);
    let error = second.steps(&data).err().unwrap().to_string();
    assert!(error.contains("its training set is another one (24 examples; this one has 60)"), "{error}");
    parts.extend(losses(&mut second, &other, usize::MAX)?);
    assert_eq!(parts, expected);
    assert!(weights(second.model()) == weights(whole.model()));
    Ok(())
}

/// Whichever way a trainer comes to write, it does not touch the checkpoints of another one.
fn own_folder() -> Result<()> {
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
fn shared_folder() -> Result<()> {
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
fn diverged() -> Result<()> {
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
fn gone_back() -> Result<()> {
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

fn broken_best() -> Result<()> {
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

/// What happens to the bytes of a file.
type Change<'a> = &'a dyn Fn(&mut Vec<u8>);

fn damaged() -> Result<()> {
    let (dir, data) = ten_steps()?;
    let [older, newer] = ["step-00000005", "step-00000010"].map(|name| dir.path().join(name));
    let spoil = |name: &str, change: Change| {
        let path = newer.join(name);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        (path, whole)
    };
    let flip = |place: usize| move |bytes: &mut Vec<u8>| bytes[place] ^= 4;
    let changes: [(&str, Change, &str); 6] = [
        ("model.safetensors", &flip(5_000), "model.safetensors is damaged: its checksum is"),
        ("model.safetensors", &|bytes| bytes.truncate(10_000), "model.safetensors has 10000 bytes"),
        ("optimizer.safetensors", &|bytes| bytes.push(0), "optimizer.safetensors has"),
        // The length of the header, 2^58 bytes more.
        ("optimizer.safetensors", &flip(7), "optimizer.safetensors is damaged"),
        ("state.json", &flip(40), "state.json is damaged"),
        ("checkpoint.json", &|bytes| bytes.clear(), "checkpoint.json cannot be read"),
    ];
    for (name, change, problem) in changes {
        let (path, whole) = spoil(name, change);
        let mut trainer = trainer(&data, 2, config())?;
        let before = weights(trainer.model());
        let error = trainer.resume(&newer).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: {problem}", newer.display())), "{error}");
        assert!(error.ends_with(&format!("the one before it can be resumed: {}", older.display())), "{error}");
        assert!(weights(trainer.model()) == before, "a refused checkpoint changes nothing");
        let resumed = trainer.resume(dir.path())?;
        assert_eq!((resumed.step, &resumed.path), (5, &older));
        assert!(resumed.passed_over[0].contains(problem), "{resumed}");
        fs::write(path, whole).unwrap();
    }
    // None is whole.
    for checkpoint in [&older, &newer] {
        fs::remove_file(checkpoint.join("checkpoint.json")).unwrap();
    }
    let error = trainer(&data, 2, config())?.resume(dir.path()).unwrap_err().to_string();
    assert_eq!(error, format!("{}: there is no checkpoint.json: it was never finished", newer.display()));
    Ok(())
}

fn foreign() -> Result<()> {
    let (dir, data) = ten_steps()?;
    let newer = dir.path().join("step-00000010");
    let problem = |trainer: &mut Trainer| match trainer.resume(dir.path()).unwrap_err() {
        Error::Checkpoint { path, problem, before: None } if path == newer => problem,
        other => panic!("{other}"),
    };
    let mut other = trainer(&data, 1, TrainConfig { learning_rate: 0.25, ..config() })?;
    assert_eq!(problem(&mut other), "its `learning_rate` is 0.005, here it is 0.25");
    let mut other = trainer(&data, 1, TrainConfig { optimizer: SgdConfig::default().into(), ..config() })?;
    assert!(problem(&mut other).starts_with("its `optimizer` is {\"adamw\":"));

    let model = small(&data, 1)?;
    let with = |encoder: BertConfig, pooling: BiEncoderConfig| {
        let model = BiEncoder::new(encoder, model.tokenizer().clone(), pooling, 1)?;
        Trainer::new(model, MultipleNegativesRanking::default(), config())
    };
    let (EncoderConfig::Bert(encoder), pooling) = (model.encoder().config().clone(), model.config().clone()) else {
        panic!("{:?}", model.encoder().config());
    };
    let found = problem(&mut with(BertConfig { intermediate_size: 60, ..encoder.clone() }, pooling.clone())?);
    assert!(found.contains("has shape [64, 32], that of this model [60, 32]"), "{found}");
    let found = problem(&mut with(BertConfig { num_hidden_layers: 1, ..encoder.clone() }, pooling.clone())?);
    assert!(found.starts_with("its model has parameters that this one lacks"), "{found}");
    let found = problem(&mut with(BertConfig { num_attention_heads: 2, ..encoder.clone() }, pooling.clone())?);
    assert_eq!(found, "its model has `num_attention_heads: 4`, this one `num_attention_heads: 2`");
    let found = problem(&mut with(encoder, BiEncoderConfig { normalize: false, ..pooling })?);
    assert_eq!(found, "its model has `normalize: true`, this one `normalize: false`");

    // Another training set shows when the steps begin.
    let mut resumed = trainer(&data, 1, config())?;
    resumed.resume(dir.path())?;
    let fewer = TrainingSet::new(data.frame().head(Some(50)))?;
    let error = resumed.steps(&fewer).err().unwrap().to_string();
    assert!(error.contains("its training set is another one (60 examples; this one has 50)"), "{error}");
    assert!(resumed.steps(&data)?.next().unwrap().is_ok());

    // A new training does not mix with an old one, and a folder without checkpoints is none to resume.
    let error = trainer(&data, 1, saving(dir.path(), 5))?.steps(&data)?.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("step-00000010: it belongs to another training; `resume`"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    for dir in [empty.path().to_owned(), empty.path().join("nowhere")] {
        let error = trainer(&data, 1, config())?.resume(&dir).unwrap_err().to_string();
        assert_eq!(error, format!("{}: there is no checkpoint in this folder", dir.display()));
    }
    let text = fs::read_to_string(newer.join("checkpoint.json")).unwrap();
    fs::write(newer.join("checkpoint.json"), text.replace("kensaku checkpoint", "torch")).unwrap();
    let error = trainer(&data, 1, config())?.resume(&newer).unwrap_err().to_string();
    assert!(error.contains("its format is `torch` 2; expected `kensaku checkpoint` 2"), "{error}");
    Ok(())
}

fn kept() -> Result<()> {
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

fn interrupted() -> Result<()> {
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

fn unwritable() -> Result<()> {
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
