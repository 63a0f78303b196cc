//! The course of a training: what it learns, repeats, keeps, and where it continues.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use kensaku::loss::{Loss, MultipleNegativesRanking, custom};
use kensaku::train::{AdamWConfig, OptimizerConfig, Schedule, SgdConfig, TrainConfig, Trainer};
use kensaku::{Error, Result, interrupt};

use super::{config, losses, small, weights, words};

pub(super) fn learns() -> Result<()> {
    let data = words()?;
    let run = |seed| -> Result<Vec<f64>> {
        let mut trainer = Trainer::new(small(&data, seed)?, MultipleNegativesRanking::default(), config())?;
        losses(&mut trainer, &data, usize::MAX)
    };
    let first = run(1)?;
    assert_eq!(first.len(), 30);
    assert!(first[29] < 0.5 * first[0], "{first:?}");
    assert_eq!(first, run(1)?, "same seed, same losses");
    // In another thread: a trainer is `Send`.
    let mut whole = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config())?;
    let set = data.clone();
    let thread = std::thread::spawn(move || (whole.train(&set), whole));
    let (last, mut whole) = thread.join().unwrap();
    let last = last?;
    assert_eq!((last.step, last.loss), (30, first[29]));
    assert!(whole.train(&data).is_err());
    assert_ne!(first, run(2)?);
    Ok(())
}

/// Losses and weights bit for bit, for every optimiser.
pub(super) fn threads() -> Result<()> {
    let data = words()?;
    let run = |threads: usize, optimizer: OptimizerConfig| -> Result<_> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let config = TrainConfig { optimizer, schedule: Schedule::named("cosine")?, epochs: 2, ..config() };
            let mut trainer = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config)?;
            let losses = losses(&mut trainer, &data, usize::MAX)?;
            Ok((losses, weights(trainer.model())))
        })
    };
    for optimizer in [AdamWConfig::default().into(), SgdConfig::default().into()] {
        assert!(run(1, optimizer)? == run(4, optimizer)?, "{optimizer:?}");
    }
    Ok(())
}

pub(super) fn frozen() -> Result<()> {
    let data = words()?;
    let freeze = vec!["^embeddings".to_owned(), r"layer\.0\.attention".to_owned()];
    let model = small(&data, 1)?;
    let mut trainer =
        Trainer::new(model.clone(), MultipleNegativesRanking::default(), TrainConfig { freeze, ..config() })?;
    losses(&mut trainer, &data, 5)?;
    let (before, after) = (model.encoder().parameters(), trainer.model().encoder().parameters());
    for entry in before.entries() {
        let same = before.values(&entry.name)? == after.values(&entry.name)?;
        let frozen = entry.name.starts_with("embeddings") || entry.name.contains("layer.0.attention");
        assert!(same == frozen || entry.name.ends_with("key.bias"), "{}", entry.name);
    }
    Ok(())
}

pub(super) fn continues() -> Result<()> {
    let data = words()?;
    let trainer = || Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config());
    let whole = losses(&mut trainer()?, &data, usize::MAX)?;
    let mut stopped = trainer()?;
    let mut parts = losses(&mut stopped, &data, 7)?;
    interrupt::set(true);
    let error = stopped.steps(&data)?.next();
    interrupt::set(false);
    assert!(matches!(error, Some(Err(Error::Interrupted { .. }))), "{error:?}");
    parts.extend(losses(&mut stopped, &data, usize::MAX)?);
    assert_eq!(parts, whole);
    let done = stopped.steps(&data).err().unwrap().to_string();
    assert!(
        done.starts_with("nothing to train: all 30 steps on this training set are done; expected another"),
        "{done}"
    );
    Ok(())
}

/// An interrupt while a step runs: the step is finished, and yielded when the training continues.
pub(super) fn running() -> Result<()> {
    let data = words()?;
    let calls = AtomicUsize::new(0);
    let loss = custom(move |batch| {
        // One call more than steps: the first step looks whether the loss holds variables.
        if calls.fetch_add(1, Relaxed) == 3 {
            interrupt::set(true);
        }
        MultipleNegativesRanking::default().loss(batch)
    });
    let whole =
        losses(&mut Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config())?, &data, usize::MAX)?;
    let mut trainer = Trainer::new(small(&data, 1)?, loss, config())?;
    trainer.validate_with("dim", |model| Ok(model.dim() as f64))?;
    let mut given = Vec::new();
    for step in trainer.steps(&data)? {
        match step {
            Ok(step) => given.push(step),
            Err(error) => assert!(matches!(error, Error::Interrupted { .. }), "{error}"),
        }
    }
    assert_eq!(given.len(), 2);
    interrupt::set(false);
    given.extend(trainer.steps(&data)?.collect::<Result<Vec<_>>>()?);
    assert_eq!(given.iter().map(|step| step.step).collect::<Vec<_>>(), (1..=30).collect::<Vec<_>>());
    assert_eq!(given.iter().map(|step| step.loss).collect::<Vec<_>>(), whole);
    assert_eq!(given.iter().filter(|step| step.evaluation.is_some()).count(), 6);
    Ok(())
}

pub(super) fn steady_memory() -> Result<()> {
    let data = words()?;
    let mut trainer = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config())?;
    let batch = trainer.batch(&data, &(0..20).collect::<Vec<_>>())?;
    trainer.step(&batch)?;
    let held = trainer.arena_bytes();
    for _ in 0..20 {
        trainer.step(&batch)?;
    }
    assert_eq!(trainer.arena_bytes(), held);
    Ok(())
}
