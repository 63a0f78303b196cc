//! Losses with parameters of their own.

use candle_core::{Device, Tensor, Var};
use kensaku::data::TrainingSet;
use kensaku::loss::{Custom, Loss, Softmax, cosine, cross_entropy, custom};
use kensaku::train::{CheckpointConfig, SgdConfig, TrainConfig, Trainer, grad_check};
use kensaku::{Error, Result};
use polars::prelude::df;

use super::{config, losses, small, words};

/// The ranking loss with a scale that trains.
fn scaled() -> Result<Custom> {
    let loss = custom(|batch| {
        let scores = cosine(batch.queries()?, &batch.docs()?)?;
        cross_entropy(&scores.broadcast_mul(&batch.parameter("log_scale")?.exp()?)?, &batch.own()?)
    });
    loss.parameter("log_scale", &Tensor::new(2f32, &Device::Cpu)?)
}

fn value(trainer: &Trainer) -> Result<f32> {
    Ok(trainer.loss_parameters().values("loss.log_scale")?[0])
}

/// One step of plain descent moves it by the rate of its name times the slope, and not with the model's clipping.
pub(super) fn train_at_rates_of_their_own() -> Result<()> {
    let (data, loss) = (words()?, scaled()?);
    let check = grad_check(
        &small(&data, 1)?,
        &loss,
        &Trainer::new(small(&data, 1)?, loss.clone(), config())?.batch(&data, &[0, 1, 2, 3])?,
    )?;
    assert!(check.passes() && check.to_string().contains("\nloss.log_scale "), "{check}");

    let sgd = SgdConfig { momentum: 0.0, ..Default::default() };
    let moved = |rate: f64| {
        let config = TrainConfig {
            optimizer: sgd.into(),
            learning_rate_mapping: vec![("^loss\\.log".to_owned(), rate)],
            dropout: false,
            max_grad_norm: Some(1e-6),
            ..config()
        };
        let mut trainer = Trainer::new(small(&data, 1)?, scaled()?, config)?;
        let batch = trainer.batch(&data, &[0, 1, 2, 3, 4])?;
        let step = trainer.step(&batch)?;
        Ok::<_, Error>((f64::from(value(&trainer)?) - 2.0, step.learning_rate / trainer.config().learning_rate))
    };
    let (zero, small_rate, large_rate) = (moved(0.0)?, moved(0.01)?, moved(0.1)?);
    assert_eq!(zero.0, 0.0);
    assert!(small_rate.0.abs() > 1e-5 * small_rate.1, "{small_rate:?}");
    assert!((large_rate.0 / small_rate.0 - 10.0).abs() < 0.05, "{large_rate:?} {small_rate:?}");
    Ok(())
}

/// A training that resumes has them, with their moments, bit for bit.
pub(super) fn are_in_checkpoints() -> Result<()> {
    let (data, dir) = (words()?, tempfile::tempdir().unwrap());
    let saving = || TrainConfig {
        checkpoint: Some(CheckpointConfig { dir: dir.path().into(), every: 13, keep: 9 }),
        ..config()
    };
    let mut whole = Trainer::new(small(&data, 1)?, scaled()?, config())?;
    let expected = losses(&mut whole, &data, usize::MAX)?;
    assert!((value(&whole)? - 2.0).abs() > 1e-3, "it trains: {}", value(&whole)?);
    let mut first = Trainer::new(small(&data, 1)?, scaled()?, saving())?;
    losses(&mut first, &data, 14)?;
    let mut second = Trainer::new(small(&data, 2)?, scaled()?, saving())?;
    assert_eq!(second.resume(dir.path())?.step, 13);
    assert_eq!(losses(&mut second, &data, usize::MAX)?, expected[13..]);
    assert_eq!(value(&second)?.to_bits(), value(&whole)?.to_bits());
    // A loss without it is another loss.
    let other = custom(|batch| cross_entropy(&batch.scores()?, &batch.own()?));
    let refused = Trainer::new(small(&data, 2)?, other, saving())?.resume(dir.path()).unwrap_err().to_string();
    assert!(refused.contains("parameters that this one lacks"), "{refused}");
    Ok(())
}

/// What would never train is an error before it could be taken for training.
pub(super) fn are_handed_over() -> Result<()> {
    let data = words()?;
    let scale = Var::new(20f32, &Device::Cpu)?;
    let held = scale.clone();
    let loss = custom(move |batch| cross_entropy(&batch.scores()?.broadcast_mul(&held)?, &batch.own()?));
    let mut trainer = Trainer::new(small(&data, 1)?, loss.clone(), config())?;
    let error = losses(&mut trainer, &data, 1).unwrap_err();
    assert!(matches!(error, Error::UntrainedVariable), "{error}");
    assert!(error.to_string().contains(".parameter(\"name\", &value)?"), "{error}");
    let batch = trainer.batch(&data, &[0, 1, 2])?;
    assert!(matches!(grad_check(trainer.model(), &loss, &batch), Err(Error::UntrainedVariable)));

    let missing = custom(|batch| Ok((batch.scores()? * batch.parameter("scale")?)?.mean_all()?));
    let error = losses(&mut Trainer::new(small(&data, 1)?, missing, config())?, &data, 1).unwrap_err().to_string();
    assert!(error.contains("`loss::custom(..).parameter(\"scale\", &value)?`"), "{error}");
    let unused = custom(|batch| Ok(batch.scores()?.mean_all()?)).parameter("scale", &scale)?;
    let error = losses(&mut Trainer::new(small(&data, 1)?, unused, config())?, &data, 1).unwrap_err().to_string();
    assert!(error.starts_with("parameter `loss.scale` got no gradient"), "{error}");
    let twice = scaled()?.parameter("log_scale", &scale)?;
    let error = Trainer::new(small(&data, 1)?, twice, config()).unwrap_err().to_string();
    assert!(error.contains("two parameters `log_scale`"), "{error}");
    Ok(())
}

/// Which of two texts is of the class, told by a classifier that trains with the encoder.
pub(super) fn classify() -> Result<()> {
    let words = words()?;
    let column = |index: usize| words.columns()[index].iter().map(str::to_owned).collect::<Vec<_>>();
    let (queries, positives) = (column(0), column(1));
    let others: Vec<String> = positives.iter().cycle().skip(7).take(60).cloned().collect();
    let data = TrainingSet::new(df!(
        "query" => [queries.clone(), queries].concat(),
        "positive" => [positives, others].concat(),
        "label" => [[1i64; 60], [0; 60]].concat(),
    )?)?;
    let mut trainer = Trainer::new(small(&words, 1)?, Softmax::new(2), TrainConfig { epochs: 12, ..config() })?;
    let before = trainer.loss_parameters().tensor("loss.weight")?.to_vec2::<f32>()?;
    assert_eq!((before.len(), before[0].len()), (2, 3 * 32));
    let course = losses(&mut trainer, &data, usize::MAX)?;
    let mean = |steps: &[f64]| steps.iter().sum::<f64>() / steps.len() as f64;
    let (start, end) = (mean(&course[..10]), mean(&course[course.len() - 10..]));
    assert!((0.5..1.0).contains(&start) && end < 0.5 * start, "{start} to {end}");
    assert!(trainer.loss_parameters().tensor("loss.weight")?.to_vec2::<f32>()? != before);
    assert!(Softmax::new(1).check().is_err());
    Ok(())
}
