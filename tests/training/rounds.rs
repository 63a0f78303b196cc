//! Several training sets, settings and steps by hand on one trainer.

use kensaku::data::TrainingSet;
use kensaku::loss::MultipleNegativesRanking;
use kensaku::train::{SgdConfig, TrainConfig, Trainer};
use kensaku::{Error, Result};

use super::{config, small, words};

/// Steps on the training set, as (number, of how many, rate).
fn numbers(trainer: &mut Trainer, data: &TrainingSet, at_most: usize) -> Result<Vec<(usize, Option<usize>, f64)>> {
    let steps = trainer.steps(data)?.take(at_most);
    steps.map(|step| step.map(|step| (step.step, step.total, step.learning_rate))).collect()
}

fn other_words() -> Result<TrainingSet> {
    let words = words()?;
    TrainingSet::new(words.frame().slice(10, 24))
}

pub(super) fn rounds() -> Result<()> {
    let (data, other) = (words()?, other_words()?);
    let fresh = || Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config());
    let rates: Vec<f64> = numbers(&mut fresh()?, &other, usize::MAX)?.into_iter().map(|(.., rate)| rate).collect();
    assert_eq!(rates.len(), 12, "6 epochs of 2 steps");
    for at_most in [usize::MAX, 7] {
        let mut trainer = fresh()?;
        let first = numbers(&mut trainer, &data, at_most)?.len();
        let seen = trainer.steps(&other)?.collect::<Result<Vec<_>>>()?;
        assert_eq!(seen.iter().map(|step| step.step).collect::<Vec<_>>(), (first + 1..=first + 12).collect::<Vec<_>>());
        assert!(seen.iter().all(|step| step.total == Some(first + 12)));
        assert_eq!(seen.iter().map(|step| step.learning_rate).collect::<Vec<_>>(), rates, "a schedule of its own");
        // Every epoch sees all of it.
        let tokens: Vec<usize> = seen.chunks(2).map(|epoch| epoch.iter().map(|step| step.tokens).sum()).collect();
        assert!(tokens.iter().all(|sum| *sum == tokens[0]), "{tokens:?}");
        // The set before is new again.
        assert_eq!(numbers(&mut trainer, &data, 3)?.len(), 3);
        assert_eq!(numbers(&mut trainer, &data, usize::MAX)?.len(), 27);
        assert!(trainer.steps(&data).is_err());
    }
    Ok(())
}

pub(super) fn settings_of_a_round() -> Result<()> {
    let (data, other) = (words()?, other_words()?);
    let fresh = |config| Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config);
    let mut trainer = fresh(config())?;
    let first = numbers(&mut trainer, &data, usize::MAX)?;
    // The same set again, at half the rate and in another order of examples.
    let half = TrainConfig { learning_rate: 2.5e-3, ..config() };
    trainer.begin_round(half.clone())?;
    let second = numbers(&mut trainer, &data, usize::MAX)?;
    assert_eq!(second.len(), 30);
    for ((step, _, rate), (again, total, half)) in first.iter().zip(&second) {
        assert_eq!((*again, *total), (step + 30, Some(60)));
        assert!((half - rate / 2.0).abs() < 1e-12);
    }
    let message = |error: Error| error.to_string();
    let sgd = TrainConfig { optimizer: SgdConfig::default().into(), ..config() };
    assert!(message(trainer.begin_round(sgd).unwrap_err()).starts_with("optimizer = Sgd"));
    let frozen = TrainConfig { freeze: vec!["word".to_owned()], ..config() };
    assert!(message(trainer.begin_round(frozen).unwrap_err()).starts_with("freeze = [\"word\"]: expected []"));
    assert!(trainer.begin_round(TrainConfig { epochs: 0, ..config() }).is_err());
    assert_eq!(trainer.config(), &half);

    // One schedule over both sets.
    let mut whole = fresh(TrainConfig { total_steps: Some(42), warmup: 0.0, ..config() })?;
    let rates = [numbers(&mut whole, &data, usize::MAX)?, numbers(&mut whole, &other, usize::MAX)?].concat();
    for (step, _, rate) in rates {
        assert!((rate - 5e-3 * (43 - step) as f64 / 42.0).abs() < 1e-12, "step {step}: {rate}");
    }
    // It does not end in the middle of a training set, nor before a step by hand.
    let over = message(
        whole
            .begin_round(TrainConfig { total_steps: Some(42), ..config() })
            .and(whole.steps(&data).map(drop))
            .unwrap_err(),
    );
    assert!(
        over.starts_with("nothing to train: the schedule is over after 42 steps, the learning rate is 0"),
        "{over}"
    );
    let batch = whole.batch(&data, &[0, 1])?;
    assert!(message(whole.step(&batch).unwrap_err()).contains("the schedule is over after 42 steps"));
    Ok(())
}

pub(super) fn by_hand() -> Result<()> {
    let data = words()?;
    let mut trainer = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config())?;
    let mut tokens = Vec::new();
    let mut seen = |steps: Vec<kensaku::train::Step>| tokens.extend(steps.into_iter().map(|step| step.tokens));
    let batch = trainer.batch(&data, &[0, 1, 2])?;
    assert_eq!((trainer.step(&batch)?.step, trainer.step(&batch)?.step), (1, 2));
    seen(trainer.steps(&data)?.take(2).collect::<Result<_>>()?);
    assert_eq!(trainer.step(&batch)?.step, 5);
    let rest = trainer.steps(&data)?.collect::<Result<Vec<_>>>()?;
    assert_eq!((rest[0].step, rest.len(), rest[27].step, rest[27].total), (6, 28, 33, Some(33)));
    seen(rest);
    let epochs: Vec<usize> = tokens.chunks(5).map(|epoch| epoch.iter().sum()).collect();
    assert!(epochs.len() == 6 && epochs.iter().all(|sum| *sum == epochs[0]), "every row once an epoch: {epochs:?}");
    Ok(())
}
