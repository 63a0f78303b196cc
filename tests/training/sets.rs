//! Several training sets at once, and batches whose examples have something in common.

use kensaku::data::TrainingSet;
use kensaku::loss::{BatchHardTriplet, CoSENT, Distance, Loss, MultipleNegativesRanking, PerSet, Softmax};
use kensaku::train::{CheckpointConfig, MultiSet, Sampling, Step, TrainConfig, Trainer};
use kensaku::{Error, Result};
use polars::prelude::*;

use super::{config, small, weights, words};

/// 60 pairs, 20 of them with scores, 30 with classes.
fn sets(sampling: Sampling) -> Result<MultiSet> {
    let words = words()?;
    let first = |rows: usize, labels: Column| -> Result<TrainingSet> {
        TrainingSet::new(words.frame().slice(0, rows).hstack(&[labels])?)
    };
    let scores = first(20, Column::new("score".into(), (0..20).map(|n| n as f32 / 20.0).collect::<Vec<_>>()))?;
    let classes = first(30, Column::new("label".into(), (0..30).map(|n| n % 3).collect::<Vec<_>>()))?;
    Ok(MultiSet::new([("pairs", &words), ("scores", &scores), ("classes", &classes)])?.sampling(sampling))
}

fn loss() -> PerSet {
    let classes = Softmax::new(3);
    PerSet::new()
        .with("pairs", MultipleNegativesRanking::default())
        .with("scores", CoSENT::default())
        .with("classes", classes)
}

fn steps(trainer: &mut Trainer, data: &MultiSet, at_most: usize) -> Result<Vec<Step>> {
    trainer.steps(data)?.take(at_most).map(|step| step.map(|step| Step { seconds: 0.0, waited: 0.0, ..step })).collect()
}

pub(super) fn own_losses() -> Result<()> {
    let data = sets(Sampling::Proportional)?;
    let config = TrainConfig { dropout: false, ..config() };
    let mut trainer = Trainer::new(small(&words()?, 1)?, loss(), config.clone())?;
    let names: Vec<&str> = trainer.loss_parameters().entries().iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["loss.classes.weight", "loss.classes.bias"]);
    let seen = steps(&mut trainer, &data, usize::MAX)?;
    // 5, 2 and 3 batches in each of 6 epochs.
    assert_eq!(seen.len(), 60);
    for epoch in seen.chunks(10) {
        let count = |name: &str| epoch.iter().filter(|step| step.sets == [name]).count();
        assert_eq!(["pairs", "scores", "classes"].map(count), [5, 2, 3]);
    }
    assert!(
        seen.chunks(10).any(|epoch| epoch.iter().map(|step| &step.sets).ne(seen[..10].iter().map(|step| &step.sets)))
    );
    assert!(seen[0].to_string().ends_with(&format!("  {}", seen[0].sets[0])), "{}", seen[0]);
    for name in ["pairs", "scores", "classes"] {
        let of_set: Vec<f64> = seen.iter().filter(|step| step.sets == [name]).map(|step| step.loss).collect();
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        assert!(mean(&of_set[of_set.len() - 3..]) < mean(&of_set[..3]), "{name}: {of_set:?}");
    }
    // The first step is that of a trainer with this loss alone.
    let first = |loss: Box<dyn Loss>| -> Result<f64> {
        let mut mixed = Trainer::new(small(&words()?, 1)?, loss, config.clone())?;
        Ok(steps(&mut mixed, &data, 1)?[0].loss)
    };
    let own: Box<dyn Loss> = match seen[0].sets[0].as_str() {
        "pairs" => Box::new(MultipleNegativesRanking::default()),
        "scores" => Box::new(CoSENT::default()),
        _ => return Ok(()),
    };
    // A loss for all sets has to fit each of them.
    assert!(matches!(first(own), Err(Error::LossUnfit { .. })));
    let unlabelled = MultiSet::new([("a", &words()?), ("b", &words()?)])?.sampling(Sampling::RoundRobin);
    let mut one_loss = Trainer::new(small(&words()?, 1)?, MultipleNegativesRanking::default(), config)?;
    let seen = steps(&mut one_loss, &unlabelled, usize::MAX)?;
    assert_eq!(seen.len(), 60);
    assert!(seen.iter().enumerate().all(|(step, seen)| seen.sets == [["a", "b"][step % 2]]));
    Ok(())
}

pub(super) fn resumed() -> Result<()> {
    for (sampling, accumulate) in [
        (Sampling::Proportional, 1),
        (Sampling::RoundRobin, 1),
        (Sampling::Temperature(3.0), 1),
        (Sampling::Proportional, 3),
    ] {
        let (dir, data) = (tempfile::tempdir().unwrap(), sets(sampling)?);
        let config = TrainConfig { accumulate, ..config() };
        let trainer = |seed, config| Trainer::new(small(&words()?, seed)?, loss(), config);
        let mut whole = trainer(1, config.clone())?;
        let expected = steps(&mut whole, &data, usize::MAX)?;
        assert_eq!(expected.len(), expected[0].total.unwrap());
        let stop = expected.len() / 2 - 1;
        let checkpoint = Some(CheckpointConfig { dir: dir.path().to_owned(), every: stop, keep: 2 });
        let saving = TrainConfig { checkpoint, ..config.clone() };
        let mut parts = steps(&mut trainer(1, saving.clone())?, &data, stop)?;
        let mut again = trainer(2, saving)?;
        assert_eq!(again.resume(dir.path())?.step, stop);
        parts.extend(steps(&mut again, &data, usize::MAX)?);
        assert_eq!(parts, expected, "{sampling:?}");
        assert_eq!(weights(again.model()), weights(whole.model()), "{sampling:?}");
        // Sets that take other turns are another training.
        let mut other = trainer(2, config)?;
        other.resume(dir.path())?;
        let problem = other.steps(data.sampling(Sampling::Temperature(2.0))).err().unwrap().to_string();
        assert!(problem.contains("its training set is another one"), "{problem}");
    }
    Ok(())
}

pub(super) fn validated_and_refused() -> Result<()> {
    let data = sets(Sampling::Proportional)?;
    let trainer = || Trainer::new(small(&words()?, 1)?, loss(), config());
    let mut validated = trainer()?;
    validated.validate_on(&data)?;
    let before = validated.evaluate()?.values[0].1;
    validated.train(&data)?;
    assert!(validated.evaluations().last().unwrap().values[0].1 < before);

    let message = |data: &MultiSet| {
        trainer()?.steps(data).map(drop).map_err(|error| error.to_string()).err().ok_or(Error::UntrainedVariable)
    };
    let words = words()?;
    assert_eq!(
        message(&(&words).into())?,
        "set = none: expected one that has a loss: pairs, scores, classes",
        "one set without a name"
    );
    assert_eq!(message(&MultiSet::new([("pairs", &words)])?)?, "set = scores: expected a set to train on: pairs");
    let swapped = MultiSet::new([("pairs", &words), ("scores", &words), ("classes", &words)])?;
    let unfit = message(&swapped)?;
    assert!(unfit.contains("CoSENT") && unfit.contains("training set `scores`"), "{unfit}");
    let empty = TrainingSet::new(words.frame().head(Some(0)))?;
    let mut plain = Trainer::new(small(&words, 1)?, MultipleNegativesRanking::default(), config())?;
    let problem = plain.steps(&MultiSet::new([("a", &words), ("b", &empty)])?).err().unwrap().to_string();
    assert!(problem.contains("the training set `b` has no rows"), "{problem}");
    let cold = MultiSet::new([("a", &words)])?.sampling(Sampling::Temperature(0.5));
    assert!(plain.steps(&cold).err().unwrap().to_string().starts_with("temperature = 0.5: expected a number from 1"));
    Ok(())
}

pub(super) fn grouped() -> Result<()> {
    let words = words()?;
    let classes: Vec<i64> = (0..60).map(|row| row % 5).collect();
    let classed = words.frame().select(["query"])?.hstack(&[Column::new("label".into(), classes)])?;
    let data = TrainingSet::new(classed)?;
    let with = |config| {
        let loss = BatchHardTriplet { distance: Distance::Cosine, margin: 0.3 };
        Trainer::new(small(&words, 1)?, loss, config)
    };
    let by_label = TrainConfig { group_by_label: true, batch_size: 4, ..config() };
    let mut trainer = with(by_label.clone())?;
    let seen: Vec<Step> = trainer.steps(&data)?.collect::<Result<_>>()?;
    assert_eq!(seen.len(), 6 * 15, "batches of 4");
    // Before anything is learned every batch has triplets.
    assert!(seen[..8].iter().all(|step| step.loss > 0.0 && step.grad_norm > 0.0), "{:?}", &seen[..8]);
    assert!(with(TrainConfig { batch_size: 3, ..by_label.clone() }).is_err());
    assert!(with(TrainConfig { group_by_length: true, ..by_label.clone() }).is_err());
    let mut pairs = Trainer::new(small(&words, 1)?, MultipleNegativesRanking::default(), by_label)?;
    let problem = pairs.steps(&words).err().unwrap().to_string();
    assert!(
        problem.starts_with("group_by_label = true: expected a training set with a class per example"),
        "{problem}"
    );
    // As many steps by length, each with as many examples, in another order.
    let tokens = |group_by_length| -> Result<Vec<usize>> {
        let config = TrainConfig { group_by_length, batch_size: 4, epochs: 1, ..config() };
        let mut trainer = Trainer::new(small(&words, 1)?, MultipleNegativesRanking::default(), config)?;
        trainer.steps(&words)?.map(|step| Ok(step?.tokens)).collect()
    };
    let (random, by_length) = (tokens(false)?, tokens(true)?);
    assert_eq!((random.len(), random.iter().sum::<usize>()), (by_length.len(), by_length.iter().sum::<usize>()));
    let variance = |tokens: &[usize]| {
        let mean = tokens.iter().sum::<usize>() as f64 / tokens.len() as f64;
        tokens.iter().map(|count| (*count as f64 - mean).powi(2)).sum::<f64>()
    };
    assert!(variance(&by_length) > variance(&random), "{by_length:?}, {random:?}");
    Ok(())
}
