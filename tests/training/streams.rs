//! Training on Parquet files that are read as they are trained on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use kensaku::data::{StreamConfig, TrainingStream};
use kensaku::loss::{self, Contrastive, CosineSimilarity, Loss, MultipleNegativesRanking, custom};
use kensaku::model::BiEncoder;
use kensaku::train::{CheckpointConfig, MultiSet, Step, TrainConfig, Trainer};
use kensaku::{Error, Result};
use polars::prelude::*;

use super::{config, small, weights, words};

fn write(path: &Path, frame: &DataFrame, group: usize) -> PathBuf {
    let file = std::fs::File::create(path).unwrap();
    let writer = ParquetWriter::new(file).with_row_group_size(Some(group));
    writer.finish(&mut frame.clone()).unwrap();
    path.to_owned()
}

/// Pairs with their numbers as labels, in two files with groups of 7 rows.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let words = words()?;
    let numbers = Column::new("score".into(), (0..60).map(|row| row as f32 / 60.0).collect::<Vec<_>>());
    let frame = words.frame().hstack(&[numbers])?;
    let parts = [frame.slice(0, 37), frame.slice(37, 23)];
    Ok(parts.iter().enumerate().map(|(n, part)| write(&folder.join(format!("{n}.parquet")), part, 7)).collect())
}

fn stream(folder: &Path) -> Result<TrainingStream> {
    TrainingStream::open(files(folder)?, StreamConfig { buffer: 20, ..Default::default() })
}

/// A loss that writes down the rows that it sees, by their labels.
fn noting() -> (impl Loss + 'static, Arc<Mutex<Vec<Vec<u32>>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let loss = custom(move |batch| {
        let rows = batch.labels()?.to_vec1::<f32>()?.iter().map(|label| (label * 60.0).round() as u32).collect();
        noted.lock().unwrap().push(rows);
        CosineSimilarity::default().loss(batch)
    });
    (loss, seen)
}

fn trainer(loss: impl Loss + 'static, config: TrainConfig) -> Result<Trainer<BiEncoder>> {
    Trainer::new(small(&words()?, 1)?, loss, config)
}

fn steps(trainer: &mut Trainer<BiEncoder>, data: impl Into<MultiSet>, most: usize) -> Result<Vec<Step>> {
    let timeless = |step: Step| Step { seconds: 0.0, waited: 0.0, ..step };
    trainer.steps(data)?.take(most).map(|step| step.map(timeless)).collect()
}

pub(super) fn epochs() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let stream = stream(folder.path())?;
    assert_eq!((stream.len(), stream.sample().len()), (60, 7));
    assert_eq!(format!("{stream:?}"), "TrainingStream { files: 2, examples: 60, columns: query, positive, score }");
    let mut runs = Vec::new();
    for prefetch in [2, 0] {
        let (loss, seen) = noting();
        let mut trainer = trainer(loss, TrainConfig { prefetch, batch_size: 8, epochs: 3, ..config() })?;
        let losses: Vec<f64> = steps(&mut trainer, &stream, usize::MAX)?.iter().map(|step| step.loss).collect();
        // The first step looks whether the loss holds variables.
        let seen = seen.lock().unwrap()[1..].to_vec();
        assert_eq!(seen.len(), losses.len());
        let (mut epoch, mut epochs) = (Vec::<u32>::new(), Vec::new());
        for batch in &seen {
            assert!((1..=8).contains(&batch.len()), "{batch:?}");
            epoch.extend(batch);
            if epoch.len() == 60 {
                epochs.push(std::mem::take(&mut epoch));
            }
        }
        assert_eq!((epochs.len(), epoch.len()), (3, 0));
        for epoch in &epochs {
            assert_eq!(epoch.iter().collect::<BTreeSet<_>>().len(), 60);
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
        runs.push((losses, seen));
    }
    assert_eq!(runs[0], runs[1]);
    Ok(())
}

pub(super) fn resumed() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let (stream, dir) = (stream(folder.path())?, folder.path().join("checkpoints"));
    let config = TrainConfig { batch_size: 8, epochs: 2, ..config() };
    let mut whole = trainer(CosineSimilarity::default(), config.clone())?;
    let expected = steps(&mut whole, &stream, usize::MAX)?;
    assert_eq!(Some(expected.len()), expected[0].total);
    let checkpoint = Some(CheckpointConfig { dir: dir.clone(), every: 3, keep: 1 });
    let saving = TrainConfig { checkpoint, ..config.clone() };
    let mut parts = steps(&mut trainer(CosineSimilarity::default(), saving.clone())?, &stream, 3)?;
    // The same files elsewhere are the same data.
    let moved = tempfile::tempdir().unwrap();
    let moved = TrainingStream::open(files(moved.path())?, StreamConfig { buffer: 20, ..Default::default() })?;
    let mut again = trainer(CosineSimilarity::default(), saving)?;
    assert_eq!(again.resume(&dir)?.step, 3);
    parts.extend(steps(&mut again, &moved, usize::MAX)?);
    assert_eq!(parts, expected);
    assert_eq!(weights(again.model()), weights(whole.model()));
    // Another buffer is another order.
    let mut other = trainer(CosineSimilarity::default(), config)?;
    other.resume(&dir)?;
    let smaller = TrainingStream::open(files(folder.path())?, StreamConfig { buffer: 10, ..Default::default() })?;
    let problem = other.steps(&smaller).err().unwrap().to_string();
    assert!(problem.contains("its training set is another one"), "{problem}");
    Ok(())
}

/// As one of several, with its columns by order.
pub(super) fn mixed() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let words = words()?;
    let frame = df!(
        "id" => (0..60).collect::<Vec<_>>(),
        "question" => words.columns()[0].to_vec(),
        "source" => vec!["somewhere"; 60],
        "answer" => words.columns()[1].to_vec(),
    )?;
    let path = write(&folder.path().join("pairs.parquet"), &frame, 16);
    let columns = ["question", "answer"].map(str::to_owned).to_vec();
    let stream = TrainingStream::open([&path], StreamConfig { buffer: 30, columns })?;
    let sets = MultiSet::new([("memory", &words)])?.with_stream("stream", &stream)?;
    assert_eq!(sets.len(), 120);
    assert!(sets.clone().with_stream("memory", &stream).is_err());
    let mut trainer = trainer(MultipleNegativesRanking::default(), config())?;
    let seen = steps(&mut trainer, &sets, usize::MAX)?;
    let count = |name: &str| seen.iter().filter(|step| step.sets == [name]).count();
    assert_eq!(count("memory"), 30);
    assert!((30..=48).contains(&count("stream")), "{}", count("stream"));
    assert!(seen[seen.len() - 1].loss < seen[0].loss);
    Ok(())
}

pub(super) fn refused() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let open = |frame: &DataFrame| {
        let path = write(&path("odd.parquet"), frame, 7);
        TrainingStream::open([path], StreamConfig { buffer: 7, ..Default::default() })
    };
    let words = words()?;
    let first_error = |stream: &TrainingStream, loss: loss::Custom| -> Result<String> {
        let mut trainer = trainer(loss, TrainConfig { batch_size: 7, epochs: 1, ..config() })?;
        Ok(trainer.steps(stream)?.find_map(Result::err).map_or_else(String::new, |error| error.to_string()))
    };
    let ranking = || MultipleNegativesRanking::default().boxed();
    // A null in the fourth group, which is read later.
    let nulls = (0..30).map(|row| (row != 25).then_some("a")).collect::<Vec<_>>();
    let frame = df!("query" => words.columns()[0].iter().take(30).collect::<Vec<_>>(), "positive" => nulls)?;
    let error = first_error(&open(&frame)?, ranking())?;
    assert!(error.ends_with("odd.parquet: row 25 of column `positive`: null; expected a text"), "{error}");
    let error = open(&frame.slice(20, 10)).err().unwrap().to_string();
    assert!(error.ends_with("odd.parquet: row 5 of column `positive`: null; expected a text"), "{error}");
    // Labels that are 0 or 1 in the first rows alone.
    let labels = (0..30).map(|row| if row < 14 { row % 2 } else { 3 }).collect::<Vec<_>>();
    let pairs = words.frame().slice(0, 30);
    let stream = open(&pairs.hstack(&[Column::new("label".into(), labels)])?)?;
    let error = first_error(&stream, Contrastive::default().boxed())?;
    assert!(error.starts_with("the loss Contrastive needs pairs, and a label of 0 or 1"), "{error}");
    // More negatives than in the first rows.
    let list = |row: usize| Series::new("".into(), vec!["n"; 1 + usize::from(row > 13)]);
    let lists = Column::new("negative".into(), (0..30).map(list).collect::<Vec<_>>());
    let error = first_error(&open(&pairs.hstack(&[lists])?)?, ranking())?;
    assert!(error.contains("negatives; expected") || error.contains("as in the first rows"), "{error}");

    let stream = open(&pairs)?;
    let message =
        |config: TrainConfig| trainer(ranking(), config).and_then(|mut trainer| trainer.steps(&stream).map(drop));
    let grouped = message(TrainConfig { group_by_length: true, ..config() }).unwrap_err().to_string();
    assert!(grouped.starts_with("group_by_length = true: expected false for a stream"), "{grouped}");
    let held_out = trainer(ranking(), config())?.validate_on(&stream).unwrap_err().to_string();
    assert!(held_out.starts_with("held_out = TrainingStream") && held_out.contains("in memory"), "{held_out}");
    // The file is replaced while it is read.
    let mut trainer = trainer(ranking(), TrainConfig { batch_size: 7, prefetch: 0, ..config() })?;
    let mut rest = trainer.steps(&stream)?;
    rest.next().unwrap()?;
    write(&path("odd.parquet"), &pairs.slice(0, 10), 7);
    assert!(matches!(rest.find_map(Result::err), Some(Error::Io { .. })));

    let none = |paths: &[PathBuf]| TrainingStream::open(paths, StreamConfig::default()).unwrap_err().to_string();
    assert!(none(&[]).starts_with("nothing to train: 0 files without rows"));
    assert!(none(&[path("missing.parquet")]).contains("missing.parquet"));
    write(&path("empty.parquet"), &pairs.slice(0, 0), 7);
    assert!(none(&[path("empty.parquet")]).starts_with("nothing to train: 1 files without rows"));
    std::fs::write(path("text.parquet"), "PAR1 of a kind").unwrap();
    assert!(none(&[path("text.parquet")]).contains("a damaged Parquet file"));
    let other = TrainingStream::open([path("odd.parquet")], StreamConfig { buffer: 0, ..Default::default() });
    assert_eq!(other.unwrap_err().to_string(), "buffer = 0: expected at least 1 row");
    let strange = df!("query" => ["a"], "positive" => ["b"], "third" => ["c"])?;
    let unused = open(&strange).unwrap_err().to_string();
    assert!(unused.starts_with("training stream: unused columns `third`"), "{unused}");
    Ok(())
}
