//! The check list before the first step.

use kensaku::data::TrainingSet;
use kensaku::loss::{CosineSimilarity, Distance, Loss, MultipleNegativesRanking, Triplet, custom};
use kensaku::nn::PackedBatch;
use kensaku::train::{Check, CheckState, MicroBatch, Preflight, TrainConfig, Trainer, batch_sizes};
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
        assert_eq!(state_of(&ready, name).state, CheckState::Ok, "{ready}");
    }
    assert!(state_of(&ready, "negatives").found.starts_with("in-batch, 11 of other examples"), "{ready}");
    assert_eq!(state_of(&ready, "batch").found, "12 examples: 1 x 12");

    let triplet = preflight(Triplet::default(), config(), &data)?;
    assert!(!triplet.passes());
    let found = &state_of(&triplet, "data format").found;
    assert!(
        found.starts_with("the loss Triplet needs pairs with negatives; found query, positive; losses that fit: "),
        "{found}"
    );
    assert!(found.contains("MultipleNegativesRanking") && !found.contains("MarginMSE"), "{found}");
    assert!(
        state_of(&triplet, "smoke test").state == CheckState::Fail
            && state_of(&triplet, "negatives").state == CheckState::Fail
    );
    let scores = preflight(CosineSimilarity::default(), config(), &data)?;
    let found = &state_of(&scores, "data format").found;
    assert!(
        found.starts_with("the loss CosineSimilarity needs pairs, and a score for each; found query, pos"),
        "{found}"
    );
    let positives = "query, positive, score";
    let with = |scores: Vec<f64>, loss: CosineSimilarity| -> Result<Preflight> {
        let mut frame = data.frame().head(Some(scores.len()));
        frame.with_column(Column::new("score".into(), scores))?;
        let scored = TrainingSet::new(frame)?;
        let mut trainer = Trainer::new(small(&data, 1)?, loss, config())?;
        let found = trainer.preflight(&scored)?;
        assert_eq!(trainer.steps(&scored).is_ok(), found.passes(), "steps refuse what preflight refuses");
        Ok(found)
    };
    let unit = with(vec![0.0, 0.5, -1.0, 1.0], CosineSimilarity::default())?;
    assert_eq!(state_of(&unit, "data format").found, format!("CosineSimilarity: {positives}"));
    let five = with(vec![1.0, 0.2, 3.8, 5.0], CosineSimilarity::default())?;
    assert_eq!(state_of(&five, "data format").state, CheckState::Fail, "{five}");
    let found = &state_of(&five, "data format").found;
    assert!(found.starts_with("row 2: the score is 3.8, and scores are from 0.2 to 5; expected -1 to 1"), "{found}");
    assert!(found.ends_with("`frame.lazy().with_column(col(\"score\") / lit(5.0)).collect()?` scales them"), "{found}");
    // The line mends it.
    let scaled = with([1.0, 0.2, 3.8, 5.0].map(|score| score / 5.0).to_vec(), CosineSimilarity::default())?;
    assert_eq!(state_of(&scaled, "data format").state, CheckState::Ok, "{scaled}");

    let mut frame = data.frame().clone();
    frame.with_column(frame.column("positive")?.clone().reverse().with_name("negative".into()))?;
    let triples = TrainingSet::new(frame)?;
    let margins = [(Distance::Euclidean, 5.0), (Distance::Cosine, 2.0), (Distance::Manhattan, 12.0)];
    for (distance, margin) in margins {
        let far = preflight(Triplet { distance, margin }, config(), &triples)?;
        let vectors = state_of(&far, "vectors");
        assert!(vectors.state == CheckState::Warn && vectors.found.contains(&format!("margin of {margin}")), "{far}");
        let near = preflight(Triplet { distance, margin: 0.5 }, config(), &triples)?;
        assert_eq!(state_of(&near, "vectors").state, CheckState::Ok, "{near}");
    }

    let detached = custom(|batch| Ok(batch.queries()?.detach().sum_all()?));
    let detached = preflight(detached, config(), &data)?;
    assert!(state_of(&detached, "smoke test").found.contains("got no gradient"), "{detached}");

    let huge = TrainConfig { batch_size: 1 << 24, ..config() };
    let memory = preflight(custom(|batch| Ok(batch.queries()?.sqr()?.mean_all()?)), huge, &data)?;
    assert_eq!(state_of(&memory, "memory").state, CheckState::Fail, "{memory}");
    let few = TrainConfig { batch_size: 2, ..config() };
    let few = preflight(MultipleNegativesRanking::default(), few, &data)?;
    assert_eq!(state_of(&few, "negatives").state, CheckState::Warn, "{few}");
    // Two positives for 40 queries: two rows can share a batch. And three rows are no batch of twelve.
    let shared: Vec<String> = (0..40).map(|n| format!("the {} house", ["red", "blue"][n % 2])).collect();
    let queries: Vec<String> = (0..40).map(|n| format!("which {n}")).collect();
    let shared = TrainingSet::new(df!("query" => queries, "positive" => shared)?)?;
    let shared = preflight(MultipleNegativesRanking::default(), config(), &shared)?;
    let batch = state_of(&shared, "batch");
    assert!(
        batch.state == CheckState::Warn && batch.found.contains("2.0 on average, because rows that share"),
        "{shared}"
    );
    let three = TrainingSet::new(data.frame().head(Some(3)))?;
    let three = preflight(MultipleNegativesRanking::default(), config(), &three)?;
    assert!(state_of(&three, "batch").found.ends_with("the training set has 3"), "{three}");
    let slow =
        preflight(MultipleNegativesRanking::default(), TrainConfig { warmup_steps: Some(99), ..config() }, &data)?;
    assert!(state_of(&slow, "schedule").found.ends_with("never reaches its peak"), "{slow}");
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

/// The table's prediction is what a step of that size holds, give or take one text.
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
                Trainer::new(model.clone(), custom(|batch| Ok(batch.queries()?.sqr()?.mean_all()?)), config())?;
            let mut batch = trainer.batch(&data, &[0])?;
            batch.columns = [texts - 1, 1].map(|texts| PackedBatch::new(vec![vec![5; length]; texts])).to_vec();
            trainer.step(&batch)?;
            Ok(trainer.arena_bytes() + parameters)
        };
        let memory = (gib * (1_u64 << 30) as f64) as usize;
        assert!(texts > 8 && held(texts)? <= memory && held(texts + 1)? > memory, "{texts} texts in {memory}");
    }
    Ok(())
}
