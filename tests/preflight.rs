//! The check list before the first step.

use kensaku::data::TrainingSet;
use kensaku::loss::{CosineSimilarity, Loss, MultipleNegativesRanking, Triplet, custom};
use kensaku::train::{Check, MicroBatch, Preflight, State, TrainConfig, Trainer, batch_sizes};
use kensaku::{Result, show::Show};
use polars::prelude::*;

use crate::shared::{Trials, test};
use crate::training::{config, losses, small, words};

pub fn trials() -> Trials {
    vec![
        test("preflight::leaves_the_trainer_as_it_is", || untouched().unwrap()),
        test("preflight::says_what_stands_against_it", || against().unwrap()),
        test("preflight::is_a_table", || table().unwrap()),
        test("preflight::predicts_the_arena", || arena().unwrap()),
    ]
}

fn state_of<'a>(preflight: &'a Preflight, name: &str) -> &'a Check {
    preflight.checks.iter().find(|check| check.name == name).unwrap()
}

fn untouched() -> Result<()> {
    let data = words()?;
    let trainer = || Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config());
    let mut alone = trainer()?;
    let whole = losses(&mut alone, &data, usize::MAX)?;
    let mut checked = trainer()?;
    let mut parts = Vec::new();
    for at_most in [4, usize::MAX] {
        assert!(checked.preflight(&data)?.passes());
        parts.extend(losses(&mut checked, &data, at_most)?);
    }
    assert_eq!(parts, whole);
    let (left, right) = (alone.model().encoder().parameters(), checked.model().encoder().parameters());
    for entry in left.entries() {
        assert_eq!(left.values(&entry.name)?, right.values(&entry.name)?, "{}", entry.name);
    }
    Ok(())
}

fn preflight(loss: impl Loss + 'static, config: TrainConfig, data: &TrainingSet) -> Result<Preflight> {
    Trainer::new(small(&words()?, 1)?, loss, config)?.preflight(data)
}

fn against() -> Result<()> {
    let data = words()?;
    let ready = preflight(MultipleNegativesRanking::default(), config(), &data)?;
    assert!(ready.passes(), "{ready}");
    for name in ["device", "smoke test", "time", "disk", "data set", "data format", "negatives", "batch", "schedule"] {
        assert_eq!(state_of(&ready, name).state, State::Ok, "{ready}");
    }
    assert!(state_of(&ready, "negatives").found.starts_with("in-batch, 11 of others"), "{ready}");
    assert_eq!(state_of(&ready, "batch").found, "12 examples: 1 x 12");

    let triplet = preflight(Triplet::default(), config(), &data)?;
    assert!(!triplet.passes());
    assert_eq!(state_of(&triplet, "data format").found, "Triplet needs negatives; there is: query, positive");
    assert!(
        state_of(&triplet, "smoke test").state == State::Fail && state_of(&triplet, "negatives").state == State::Fail
    );
    let scores = preflight(CosineSimilarity::default(), config(), &data)?;
    assert!(state_of(&scores, "data format").found.contains("a column `score`"), "{scores}");
    let detached = custom(|batch| Ok(batch.queries.detach().sum_all()?));
    let detached = preflight(detached, config(), &data)?;
    assert!(state_of(&detached, "smoke test").found.contains("got no gradient"), "{detached}");

    let huge = TrainConfig { batch_size: 1 << 24, ..config() };
    let memory = preflight(custom(|batch| Ok(batch.queries.sqr()?.mean_all()?)), huge, &data)?;
    assert_eq!(state_of(&memory, "memory").state, State::Fail, "{memory}");
    let few = TrainConfig { batch_size: 2, ..config() };
    let few = preflight(MultipleNegativesRanking::default(), few, &data)?;
    assert_eq!(state_of(&few, "negatives").state, State::Warn, "{few}");
    let long = ["house ".repeat(99), "tree ".repeat(99)];
    let long = TrainingSet::new(df!("query" => ["house", "tree"], "positive" => long)?)?;
    let long = preflight(MultipleNegativesRanking::default(), config(), &long)?;
    assert!(state_of(&long, "text length").found.starts_with("2 of 4 texts"), "{long}");
    Ok(())
}

fn table() -> Result<()> {
    let data = words()?;
    let micro_batch = Some(MicroBatch::Tokens(64));
    let trainer =
        Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), TrainConfig { micro_batch, ..config() })?;
    let preflight = trainer.preflight(&data)?;
    println!("{preflight}");
    let shown = preflight.bundle();
    let html = shown.data["text/html"].as_str().unwrap();
    assert!(html.starts_with("<div><b>Preflight: ready</b></div>"));
    assert_eq!(html.matches("<tr>").count(), preflight.checks.len() + 1, "every check is a row");
    assert!(html.contains("encoded 64 tokens at a time"));
    assert_eq!(shown.data["text/plain"].as_str().unwrap(), preflight.to_string());
    assert_eq!(preflight.frame()?.height(), preflight.checks.len());
    Ok(())
}

/// The table's prediction is what a step of that size holds, to the last byte a token less.
fn arena() -> Result<()> {
    let data = words()?;
    let model = small(&data, 1)?;
    let parameters = 16 * model.encoder().parameters().len();
    let length = model.config().max_length;
    for gib in [0.01, 0.05] {
        let table = batch_sizes(&[("small", &model)], &[length], &[gib])?;
        let texts = table.column("texts")?.u64()?.get(0).unwrap() as usize;
        let held = |texts: usize| -> Result<usize> {
            let mut trainer =
                Trainer::new(model.clone(), custom(|batch| Ok(batch.queries.sqr()?.mean_all()?)), config())?;
            let mut batch = trainer.batch(&data, &[0])?;
            batch.columns = vec![vec![vec![5; length]; texts - 1], vec![vec![5; length]]];
            trainer.step(&batch)?;
            Ok(trainer.arena_bytes() + parameters)
        };
        let memory = (gib * (1_u64 << 30) as f64) as usize;
        assert!(texts > 8 && held(texts)? <= memory && held(texts + 1)? > memory, "{texts} texts in {memory}");
    }
    Ok(())
}
