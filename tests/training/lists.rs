//! Lists of documents of any length, from the training set to the step of a cross-encoder.

use std::io::Write;

use kensaku::data::{LabelKind, Labels, TrainingSet, read};
use kensaku::loss::{LambdaLoss, ListMLE, ListNet, Loss, MarginMSE, custom};
use kensaku::model::CrossEncoder;
use kensaku::nn::PackedBatch;
use kensaku::train::{CheckpointConfig, MicroBatch, TrainConfig, Trainer};
use kensaku::{Error, Result};
use polars::prelude::*;

use super::{config, peer, small, words};
use crate::golden::fixture;

fn model() -> CrossEncoder {
    CrossEncoder::load(fixture("models/st62_cross_encoder")).unwrap()
}

type List<'a> = (&'a str, Vec<&'a str>, Vec<f32>);

fn frame(lists: &[List]) -> DataFrame {
    let series = |of: &dyn Fn(&List) -> Series| lists.iter().map(of).collect::<Vec<_>>();
    df!(
        "query" => lists.iter().map(|list| list.0).collect::<Vec<_>>(),
        "docs" => series(&|list| Series::new("".into(), &list.1)),
        "labels" => series(&|list| Series::new("".into(), &list.2)),
    )
    .unwrap()
}

fn lists() -> Vec<List<'static>> {
    vec![
        ("capital of france", vec!["paris is a city", "lyon", "a red house"], vec![2.0, 1.0, 0.0]),
        ("capital of italy", vec!["rome"], vec![1.0]),
        ("a tree", vec!["", "a green tree", "trees", "a tree", "an old house"], vec![0.0, 3.0, 1.0, 3.0, 0.0]),
        ("house", vec!["a red house", "rome"], vec![1.0, 0.0]),
    ]
}

/// The batch of the peer's own chain, and with it the chain.
pub(super) fn equals() -> Result<()> {
    let (golden, tensors) = peer::read("cross_encoder_lambda");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let lists = golden["lists"].as_array().unwrap();
    let docs = |list: &serde_json::Value| list[1].as_array().unwrap().iter().map(text).collect::<Vec<_>>();
    let labels = |list: &serde_json::Value| {
        list[2].as_array().unwrap().iter().map(|label| label.as_f64().unwrap()).collect::<Vec<_>>()
    };
    let data = TrainingSet::new(df!(
        "query" => lists.iter().map(|list| text(&list[0])).collect::<Vec<_>>(),
        "docs" => lists.iter().map(|list| Series::new("".into(), docs(list))).collect::<Vec<_>>(),
        "labels" => lists.iter().map(|list| Series::new("".into(), labels(list))).collect::<Vec<_>>(),
    )?)?;
    let mut trainer = peer::trainer(model(), LambdaLoss::default(), None);
    let batch = trainer.batch(&data, &(0..lists.len()).collect::<Vec<_>>())?;
    let ids = PackedBatch::new(tensors.unpadded("in.0.input_ids", "in.0.attention_mask")).ids;
    assert_eq!((batch.columns.len(), batch.examples()), (1, lists.len()));
    assert_eq!(batch.columns[0].ids, ids);
    assert_eq!(batch.columns[0].token_types, tensors.unpadded("in.0.token_type_ids", "in.0.attention_mask").concat());
    peer::equals(&mut trainer, &batch, &golden, &tensors);
    Ok(())
}

/// Each list as if it were alone, in any order, in parts, and resumed.
pub(super) fn trains() -> Result<()> {
    let data = TrainingSet::new(frame(&lists()))?;
    assert_eq!(data.labels().map(Labels::kind), Some(LabelKind::Ragged));
    let plain = TrainConfig { dropout: false, ..Default::default() };
    let loss = |rows: &[usize], micro_batch| -> Result<f64> {
        let mut trainer = Trainer::new(model(), ListNet, TrainConfig { micro_batch, ..plain.clone() })?;
        let batch = trainer.batch(&data, rows)?;
        assert_eq!(batch.rows, rows);
        Ok(trainer.step(&batch)?.loss)
    };
    let alone = (0..4).map(|row| loss(&[row], None)).collect::<Result<Vec<f64>>>()?;
    for rows in [&[0, 1, 2, 3][..], &[3, 0], &[2, 2, 1]] {
        let mean = rows.iter().map(|row| alone[*row]).sum::<f64>() / rows.len() as f64;
        for micro_batch in [None, Some(MicroBatch::Texts(2)), Some(MicroBatch::Tokens(9))] {
            let together = loss(rows, micro_batch)?;
            assert!((together - mean).abs() < 1e-5 * mean.abs(), "{rows:?}: {together} instead of {mean}");
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Some(CheckpointConfig { dir: folder.path().join("checkpoints"), every: 5, keep: 1 });
    for group_by_length in [false, true] {
        let config =
            TrainConfig { batch_size: 2, epochs: 6, learning_rate: 1e-3, group_by_length, ..Default::default() };
        let trainer = |config| Trainer::new(model(), ListMLE::default(), config);
        let losses = |trainer: &mut Trainer<CrossEncoder>, most: usize| -> Result<Vec<f64>> {
            trainer.steps(&data)?.take(most).map(|step| Ok(step?.loss)).collect()
        };
        let mut whole = trainer(config.clone())?;
        whole.validate_on(&data)?;
        let before = whole.evaluate()?.values[0].1;
        let expected = losses(&mut whole, usize::MAX)?;
        assert_eq!(expected.len(), 12);
        assert!(whole.evaluate()?.values[0].1 < before);
        assert!(whole.preflight(&data)?.passes(), "{}", whole.preflight(&data)?);
        let saving = TrainConfig { checkpoint: checkpoint.clone(), ..config };
        let mut parts = losses(&mut trainer(saving.clone())?, 5)?;
        let mut again = trainer(saving)?;
        again.resume(folder.path().join("checkpoints"))?;
        parts.extend(losses(&mut again, usize::MAX)?);
        assert_eq!(parts, expected);
        std::fs::remove_dir_all(folder.path().join("checkpoints")).unwrap();
    }
    let (train, held_out) = data.split(0.25, 1)?;
    assert_eq!((train.len(), held_out.len(), train.labels().unwrap().len()), (3, 1, 3));
    // A closure sees where lists begin.
    let seen = custom(|batch| {
        assert_eq!((batch.lists.as_slice(), batch.labels()?.dims()), (&[0, 3, 4][..], &[4][..]));
        Ok(batch.logits()?.sum_all()?)
    });
    let mut trainer = Trainer::new(model(), seen, plain)?;
    let batch = trainer.batch(&data, &[0, 1])?;
    trainer.step(&batch)?;
    Ok(())
}

pub(super) fn refused() -> Result<()> {
    let message = |change: &dyn Fn(&mut Vec<List>)| {
        let mut lists = lists();
        change(&mut lists);
        TrainingSet::new(frame(&lists)).unwrap_err().to_string()
    };
    let at = "training set: row 2 of column";
    type Change = dyn Fn(&mut Vec<List>);
    let cases: [(&Change, &str); 4] = [
        (&|lists| lists[2].1.truncate(4), "`labels`: 5 numbers; expected 4, one per document"),
        (&|lists| lists[2].2.clear(), "`labels`: 0 numbers; expected 5, one per document"),
        (&|lists| lists[2].1.clear(), "`docs`: no document; expected at least one"),
        (&|lists| lists[2].2[1] = f32::NAN, "`labels`: NaN in a list; expected numbers"),
    ];
    for (change, expected) in cases {
        assert_eq!(message(change), format!("{at} {expected}"));
    }
    let error = |frame: DataFrame| TrainingSet::new(frame).unwrap_err().to_string();
    let whole = frame(&lists());
    let nulls = df!("docs" => [Some("a"), None, Some("b")])?.lazy().select([col("docs").implode(true)]).collect()?;
    let nulls =
        df!("query" => ["q"], "labels" => [Series::new("".into(), [1.0, 2.0, 3.0])])?.hstack(nulls.columns())?;
    assert_eq!(error(nulls), "training set: row 0 of column `docs`: null in a list; expected texts");
    let labels = error(whole.drop("labels")?);
    assert!(labels.contains("no column `labels`") && labels.contains("one per document"), "{labels}");
    let rest = error(whole.clone().hstack(&[Column::new("extra".into(), ["a", "b", "c", "d"])])?);
    assert!(rest.contains("unused columns `extra` (the query is `query`, the documents are `docs`)"), "{rest}");
    let numbers = error(whole.drop("labels")?.hstack(&[Column::new("label".into(), [1, 2, 3, 4])])?);
    assert!(numbers.contains("expected lists of numbers, one per document"), "{numbers}");

    let data = TrainingSet::new(whole)?;
    let mut margins = Trainer::new(model(), MarginMSE::default(), TrainConfig::default())?;
    let unfit = margins.steps(&data).err().unwrap().to_string();
    assert!(unfit.contains("found query, lists of documents and of labels and a cross-encoder"), "{unfit}");
    assert!(unfit.contains("losses that fit: ADRMSE, LambdaLoss, ListMLE, ListNet, PListMLE, RankNet"), "{unfit}");
    for loss in [ListNet.boxed(), custom(|batch| Ok(batch.queries()?.sum_all()?)).boxed()] {
        let mut vectors = Trainer::new(small(&words()?, 1)?, loss, config())?;
        assert!(matches!(vectors.steps(&data), Err(Error::LossUnfit { .. })));
    }
    Ok(())
}

/// Lists of lines of JSON, with their lines; names by order.
pub(super) fn files() -> Result<()> {
    let read = |second: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for line in [r#"{"question": "q", "docs": ["a", "b"], "score": [1, 0.5]}"#, second] {
            writeln!(file, "{line}").unwrap();
        }
        read::jsonl(file.path())?.training_set()
    };
    let data = read(r#"{"question": "r", "docs": ["c"], "score": [2]}"#)?;
    assert_eq!(data.columns()[1], ["a", "b", "c"]);
    assert_eq!(data.labels().unwrap().row(1), [2.0]);
    let again = TrainingSet::new(data.frame().clone())?;
    assert_eq!((again.labels(), again.columns()), (data.labels(), data.columns()));
    let error = read(r#"{"question": "r", "docs": ["c"], "score": [2, 1]}"#).unwrap_err().to_string();
    assert!(error.starts_with("line 2 of") && error.contains("2 numbers; expected 1, one per document"), "{error}");
    Ok(())
}
