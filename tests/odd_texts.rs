//! Texts that no one trains on on purpose.

use kensaku::data::TrainingSet;
use kensaku::loss::{CosineSimilarity, MultipleNegativesRanking, custom, dot};
use kensaku::model::{Model, Part};
use kensaku::nn::{Activations, PackedBatch};
use kensaku::train::{TrainConfig, Trainer};
use kensaku::{Error, Result};
use polars::prelude::*;

use crate::shared::{Trials, test};
use crate::training::{config, small, words};

pub fn trials() -> Trials {
    vec![
        test("odd_texts::long_ones_are_cut_and_counted", || long().unwrap()),
        test("odd_texts::empty_ones_train", || empty().unwrap()),
        test("odd_texts::one_pair_has_no_negatives", || one().unwrap()),
        test("odd_texts::all_equal", || equal().unwrap()),
    ]
}

fn pairs(queries: Vec<&str>, positives: Vec<&str>) -> Result<TrainingSet> {
    TrainingSet::new(df!("query" => queries, "positive" => positives)?)
}

fn ranking(config: TrainConfig) -> Result<Trainer> {
    Trainer::new(small(&words()?, 1)?, MultipleNegativesRanking::default(), config)
}

fn long() -> Result<()> {
    let long = "house ".repeat(500);
    let data = pairs(vec!["tree", "car", "dog"], vec![&long, "short", &long])?;
    let mut trainer = ranking(TrainConfig { epochs: 2, ..config() })?;
    trainer.steps(&data)?.try_for_each(|step| step.map(|_| ()))?;
    assert_eq!(trainer.truncated(), 4, "two texts, twice");
    let batch = trainer.batch(&data, &[0, 1])?;
    assert_eq!((batch.truncated, batch.columns[1].lengths().next().unwrap()), (1, trainer.model().config().max_length));
    Ok(())
}

fn empty() -> Result<()> {
    let data = pairs(vec!["", "tree", "car"], vec!["house", "", "dog"])?;
    let step = ranking(config())?.steps(&data)?.next().unwrap()?;
    assert!(step.loss.is_finite() && step.grad_norm > 0.0, "{step}");
    // A tokenizer without special tokens leaves nothing of an empty text: its vector is 0.
    let mut model = small(&words()?, 1)?;
    let part = Part { batch: PackedBatch::new([vec![], vec![]] as [Vec<u32>; 2]), columns: vec![0; 2] };
    let mut activations = Activations::training();
    let outputs = model.forward(&part, &mut activations)?;
    assert_eq!(outputs.values, vec![0.0; 2 * model.dim()]);
    let ones = vec![1.0; 2 * model.dim()];
    model.backward(&part, &mut activations, &outputs, &ones)?;
    Ok(())
}

fn one() -> Result<()> {
    let data = pairs(vec!["tree", "car"], vec!["a tree", "a car"])?;
    let message = ranking(TrainConfig { batch_size: 1, ..config() })?.steps(&data).map(|_| ()).unwrap_err().to_string();
    assert!(message.starts_with("batch_size = 1: expected at least 2: a pair's only negatives"), "{message}");
    // The odd one at the end of an epoch has a loss of 0 and changes nothing but by the decay.
    let mut trainer = ranking(config())?;
    let step = trainer.step(&trainer.batch(&data, &[0])?)?;
    assert_eq!((step.loss, step.grad_norm), (0.0, 0.0));
    // Losses without negatives of others train on a single pair.
    let scored = TrainingSet::new(df!("query" => ["tree"], "positive" => ["a tree"], "score" => [0.5])?)?;
    let mut single =
        Trainer::new(small(&words()?, 1)?, CosineSimilarity::default(), TrainConfig { batch_size: 1, ..config() })?;
    assert!(single.steps(&scored)?.next().unwrap()?.grad_norm > 0.0);
    Ok(())
}

fn equal() -> Result<()> {
    let data = pairs(vec!["tree"; 8], vec!["tree"; 8])?;
    let error = ranking(config())?.steps(&data).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::NothingToTrain { .. }), "{error}");
    assert!(error.to_string().contains("no two of its 8 rows can share a batch"), "{error}");
    // Asked for, they train, to no avail: nothing tells one text from another.
    for dropout in [true, false] {
        let settings = TrainConfig { no_duplicates: false, dropout, ..config() };
        let steps = ranking(settings)?.steps(&data)?.collect::<Result<Vec<_>>>()?;
        assert!(steps.iter().all(|step| step.loss.is_finite() && step.grad_norm.is_finite()));
    }
    let closure = custom(|batch| Ok(dot(batch.queries()?, batch.positives()?)?.sum_all()?));
    let settings = TrainConfig { dropout: false, no_duplicates: false, ..config() };
    assert!(Trainer::new(small(&words()?, 1)?, closure, settings)?.steps(&data)?.next().unwrap()?.loss.is_finite());
    let nothing = TrainingSet::new(df!("query" => [""; 0], "positive" => [""; 0])?)?;
    assert!(matches!(ranking(config())?.steps(&nothing).map(|_| ()), Err(Error::NothingToTrain { .. })));
    Ok(())
}
