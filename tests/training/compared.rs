//! Losses side by side.

use kensaku::Result;
use kensaku::data::{TrainingSet, plan_batches};
use kensaku::loss::{self, CoSENT, CosineSimilarity, Loss, MultipleNegativesRanking};
use kensaku::train::{CompareConfig, TrainConfig, Trainer};
use polars::prelude::*;

use super::{config, small, words};

/// Each is what it would be alone, and the better one is seen.
pub(super) fn compared() -> Result<()> {
    let data = words()?;
    let model = small(&data, 1)?;
    let mine = loss::custom(|batch| loss::cross_entropy(&(batch.scores()? * 20.0)?, &batch.own()?));
    let useless = loss::custom(|batch| Ok((batch.scores()?.mean_all()? * 1e-6)?));
    let ranking = MultipleNegativesRanking::default().boxed();
    let settings = CompareConfig { steps: 20, held_out: 0.2, measurements: 4, train: config() };
    let losses = [("mnr", ranking), ("mine", mine), ("useless", useless)];
    let found = loss::compare_with(&model, &data, losses, &settings)?;
    assert_eq!(found.measure, "MRR");
    let frame = &found.frame;
    assert_eq!(frame.shape(), (63, 4));
    assert_eq!(frame.get_column_names(), ["name", "step", "loss", "measure"]);
    let of = |name: &str, column: &str| -> Result<Vec<Option<f64>>> {
        let own = frame.clone().lazy().filter(col("name").eq(lit(name))).collect()?;
        Ok(own.column(column)?.f64()?.iter().collect())
    };
    let (course, measure) = (of("mnr", "loss")?, of("mnr", "measure")?);
    let measured: Vec<usize> = (0..=20).filter(|step| measure[*step].is_some()).collect();
    assert_eq!((course[0], measured), (None, vec![0, 5, 10, 15, 20]));
    for (a, b) in course.iter().zip(of("mine", "loss")?).skip(1) {
        assert!((a.unwrap() - b.unwrap()).abs() < 1e-4, "the same loss by hand: {a:?} and {b:?}");
    }
    assert_eq!(of("useless", "measure")?[0], measure[0], "one start");
    assert!(measure[20] > measure[0] && measure[20] > of("useless", "measure")?[20], "{found}");

    // As a trainer of its own.
    let (train, _) = data.split(0.2, config().seed)?;
    let alone = TrainConfig { total_steps: Some(20), ..config() };
    let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), alone)?;
    let mut plan = Vec::new();
    for epoch in 0..5 {
        plan.extend(plan_batches(&train.columns(), 12, true, config().seed, epoch)?);
    }
    let step = |rows: &Vec<usize>| Ok(trainer.step(&trainer.batch(&train, rows)?)?.loss);
    let alone: Vec<f64> = plan[..20].iter().map(step).collect::<Result<_>>()?;
    assert_eq!(course[1..].iter().flatten().copied().collect::<Vec<_>>(), alone);
    let text = found.to_string();
    assert_eq!(text.lines().count(), 4);
    assert!(text.starts_with("loss ") && text.contains("\nuseless "), "{text}");
    Ok(())
}

/// Of pairs with scores the correlation, and errors that say what is missing.
pub(super) fn labelled_and_refused() -> Result<()> {
    let data = words()?;
    let frame = data.frame().clone().lazy().with_row_index("row", None);
    let frame = frame.with_column((col("row").cast(DataType::Float64) / lit(60.0)).alias("score")).drop(cols(["row"]));
    let scored = TrainingSet::new(frame.collect()?)?;
    let model = small(&data, 1)?;
    let losses = || [("cosine", CosineSimilarity::default().boxed()), ("cosent", CoSENT::default().boxed())];
    let found = loss::compare(&model, &scored, losses(), 3)?;
    assert_eq!((found.measure, found.frame.height()), ("Spearman", 8));
    let error = loss::compare(&model, &data, losses(), 3).unwrap_err().to_string();
    assert!(error.contains("CosineSimilarity"), "{error}");
    let twice = [("a", MultipleNegativesRanking::default()), ("a", MultipleNegativesRanking::default())];
    let found = loss::compare(&model, &data, twice, 1)?;
    assert!(found.failed.len() == 1 && found.failed[0].1.starts_with("name = a"), "{:?}", found.failed);
    // One that fails takes nothing from the others.
    let nan = loss::custom(|batch| Ok((batch.scores()?.mean_all()? * f64::NAN)?));
    let found = loss::compare(&model, &data, [("good", MultipleNegativesRanking::default().boxed()), ("bad", nan)], 2)?;
    assert_eq!((found.frame.height(), found.failed.len()), (3, 1));
    assert!(found.to_string().contains("\nbad  failed: step 1: the loss is NaN"), "{found}");
    let few = CompareConfig { held_out: 0.001, ..Default::default() };
    let one = [("a", MultipleNegativesRanking::default())];
    let error = loss::compare_with(&model, &data, one, &few).unwrap_err().to_string();
    assert!(error.starts_with("held_out = 0.001: expected a share"), "{error}");
    let none: [(&str, MultipleNegativesRanking); 0] = [];
    assert!(loss::compare(&model, &data, none, 1).unwrap_err().to_string().contains("at least one loss"));
    Ok(())
}
