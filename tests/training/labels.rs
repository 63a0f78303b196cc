//! Labels of every shape, a guide, and losses that are sums: from the training set to the step.

use std::io::Write;

use kensaku::data::{LabelKind, TrainingSet, read};
use kensaku::loss::{
    BatchHardTriplet, Distance, DistillKLDiv, GISTEmbed, Loss, MSE, MarginMSE, MultipleNegativesRanking, Triplet,
};
use kensaku::train::Trainer;
use kensaku::{Error, Result};
use polars::prelude::*;

use super::{config, losses, small, words};

/// The first and the last loss of a training.
fn course(data: &TrainingSet, loss: impl Loss + 'static) -> Result<(f64, f64)> {
    let mut trainer = Trainer::new(small(&words()?, 1)?, loss, config())?;
    let losses = losses(&mut trainer, data, usize::MAX)?;
    Ok((losses[0], losses[losses.len() - 1]))
}

/// Questions with two negatives, and a column of labels.
fn with_labels(labels: Column) -> Result<TrainingSet> {
    let words = words()?;
    let mut frame = words.frame().clone();
    for (name, by) in [("negative", 7), ("negative_2", 20)] {
        let rows: IdxCa = (0..60).map(|row| Some((row + by) % 60)).collect_ca("rows".into());
        frame.with_column(words.frame().column("positive")?.take(&rows)?.with_name(name.into()))?;
    }
    frame.with_column(labels)?;
    TrainingSet::new(frame)
}

pub(super) fn lists() -> Result<()> {
    let lists = |width: usize| {
        let list = |row: usize| Series::new("".into(), (0..width).map(|n| ((row + n) % 3) as f32).collect::<Vec<_>>());
        Column::new("label".into(), (0..60).map(list).collect::<Vec<_>>())
    };
    let (margins, scores) = (with_labels(lists(2))?, with_labels(lists(3))?);
    assert_eq!(margins.labels().map(kensaku::data::Labels::kind), Some(LabelKind::List(2)));
    for (first, last) in [
        course(&margins, MarginMSE::default())?,
        course(&scores, MarginMSE::default())?,
        course(&scores, DistillKLDiv::default())?,
    ] {
        assert!(last < first, "{first} to {last}");
    }
    let error = course(&margins, DistillKLDiv::default()).unwrap_err().to_string();
    assert!(error.contains("DistillKLDiv needs pairs with negatives, and a teacher's score per document"), "{error}");
    // The vector of a teacher, for one column of texts.
    let vectors =
        Column::new("label".into(), (0..60).map(|_| Series::new("".into(), [0.18f32; 32])).collect::<Vec<_>>());
    let frame = words()?.frame().select(["query"])?.hstack(&[vectors])?;
    let (first, last) = course(&TrainingSet::new(frame)?, MSE)?;
    assert!(last < 0.5 * first, "{first} to {last}");
    Ok(())
}

/// A file of JSON lines holds lists, too; ragged ones are refused with their line.
pub(super) fn files() -> Result<()> {
    let read = |second: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for labels in ["[1.5, 0.5]", second] {
            writeln!(file, r#"{{"query": "q", "positive": "p", "negative": "n", "label": {labels}}}"#).unwrap();
        }
        read::jsonl(file.path())?.training_set()
    };
    let set = read("[2, 1]")?;
    assert_eq!(set.labels().unwrap().values(), [1.5, 0.5, 2.0, 1.0]);
    // The frame gives the same set again.
    assert_eq!(TrainingSet::new(set.frame().clone())?.labels(), set.labels());
    for (second, expected) in
        [("[2]", "1 numbers; expected 2, as in the first row"), ("[2, \"x\"]", "expected a list of")]
    {
        let error = read(second).unwrap_err().to_string();
        assert!(error.starts_with("line 2 of") && error.contains(expected), "{error}");
    }
    Ok(())
}

/// Texts of classes alone.
pub(super) fn classes() -> Result<()> {
    let texts: Vec<String> = (0..60).map(|n| format!("the {} {n}", ["car", "tree", "house"][n % 3])).collect();
    let classes: Vec<i64> = (0..60).map(|n| n % 3).collect();
    let data = TrainingSet::new(df!("text" => texts, "label" => classes)?)?;
    let (first, last) = course(&data, BatchHardTriplet { distance: Distance::Cosine, margin: 0.3 })?;
    assert!(last < 0.5 * first, "{first} to {last}");
    Ok(())
}

pub(super) fn guide() -> Result<()> {
    let data = words()?;
    let mut trainer = Trainer::new(small(&data, 1)?, GISTEmbed { temperature: 0.05, ..Default::default() }, config())?;
    let missing = trainer.steps(&data).err().unwrap().to_string();
    assert_eq!(missing, "guide = none: expected the model that guides GISTEmbed, by `trainer.set_guide(..)`");
    let model = small(&data, 7)?;
    trainer.set_guide(move |texts| model.encode_texts(texts));
    let guided = losses(&mut trainer, &data, usize::MAX)?;
    assert!(guided[29] < guided[0], "{guided:?}");
    assert!(trainer.preflight(&data)?.passes());
    trainer.set_guide(|_| Ok(kensaku::candle_core::Tensor::new(&[[1f32]], &kensaku::candle_core::Device::Cpu)?));
    trainer.begin_round(config())?;
    let shape = trainer.steps(&data)?.next().unwrap().unwrap_err();
    assert!(matches!(&shape, Error::Shape { what, .. } if what == "vectors of the guide"), "{shape}");
    Ok(())
}

/// A step reports every term of a sum.
pub(super) fn terms() -> Result<()> {
    let data = with_labels(Column::new("row_id".into(), (0..60i64).collect::<Vec<_>>()))?;
    let loss = 0.75 * MultipleNegativesRanking::default() + 0.25 * Triplet { margin: 0.5, ..Default::default() };
    let mut trainer = Trainer::new(small(&data, 1)?, loss, config())?;
    for step in trainer.steps(&data)?.take(3) {
        let step = step?;
        let names: Vec<&str> = step.terms.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["MultipleNegativesRanking", "Triplet"]);
        assert!((0.75 * step.terms[0].1 + 0.25 * step.terms[1].1 - step.loss).abs() < 1e-6);
        assert!(step.to_string().contains("Triplet "), "{step}");
    }
    Ok(())
}
