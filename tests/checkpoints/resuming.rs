//! Trainings that resume, and checkpoints that they refuse.

use std::fs;

use kensaku::data::TrainingSet;
use kensaku::loss::MultipleNegativesRanking;
use kensaku::model::{BiEncoder, BiEncoderConfig};
use kensaku::nn::{BertConfig, EncoderConfig, Memory};
use kensaku::train::{Every, MicroBatch, OptimizerConfig, SgdConfig, TrainConfig, Trainer, ValidationConfig};
use kensaku::{Error, Result};

use super::{names, saving, ten_steps, trainer};
use crate::training::{config, losses, small, weights, words};

/// What happens to the bytes of a file.
type Change<'a> = &'a dyn Fn(&mut Vec<u8>);

/// 30 steps in one go, and 13, a new trainer from other weights, and 17; dropout is on.
pub(super) fn bit_for_bit() -> Result<()> {
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
pub(super) fn crash() -> Result<()> {
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
pub(super) fn longer() -> Result<()> {
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
pub(super) fn second_round() -> Result<()> {
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

pub(super) fn damaged() -> Result<()> {
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
    // What a reader adds is no damage.
    fs::write(newer.join("README.md"), "mine").unwrap();
    assert_eq!(trainer(&data, 2, config())?.resume(dir.path())?.path, newer);
    // None is whole.
    for checkpoint in [&older, &newer] {
        fs::remove_file(checkpoint.join("checkpoint.json")).unwrap();
    }
    let error = trainer(&data, 2, config())?.resume(dir.path()).unwrap_err().to_string();
    assert_eq!(error, format!("{}: there is no checkpoint.json: it was never finished", newer.display()));
    Ok(())
}

pub(super) fn foreign() -> Result<()> {
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
    assert!(error.contains("its format is `torch` 3; expected `kensaku checkpoint` 3"), "{error}");
    Ok(())
}
