//! Training sets larger than memory: Parquet files that are read as they are trained on.

mod files;
mod order;
mod shuffled;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use files::Files;
use polars::prelude::*;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::origin::Origin;
use super::roles::Roles;
use super::{LabelKind, Labels, TrainingSet};
use crate::error::expect;
use crate::{Error, Result};

pub(crate) use order::{StreamEpoch, StreamOrder};
pub(crate) use shuffled::Shuffled;
pub use shuffled::StreamBatch;

/// Training examples in Parquet files, of which a trainer holds some at a time: data of any size trains in the memory of a
/// window.
///
/// An epoch sees each row once. The files' groups of rows are put in random order; of these some follow each other into
/// memory, at least as many as have [`StreamConfig::buffer`] rows, and batches are drawn from all rows that are there. So the
/// order is a function of seed and epoch, a training that is resumed reads on where it was, and a file of one large group is
/// read as a whole: write files with groups of 10,000 to 100,000 rows.
///
/// Columns are those of a [`TrainingSet`], and checked alike, those of a window when it is read: an error names the file and
/// the row. [`Trainer::steps`](crate::train::Trainer::steps) takes it in the place of a training set, alone or among others
/// ([`MultiSet::with_stream`](crate::train::MultiSet::with_stream)).
///
/// ```
/// use kensaku::data::{StreamConfig, TrainingStream};
/// # use kensaku::polars::prelude::*;
/// # let folder = std::env::temp_dir().join("kensaku-stream-example");
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("pairs.parquet");
/// # let mut pairs = df!("query" => ["red", "green"], "positive" => ["a red house", "a green tree"])?;
/// # ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut pairs)?;
/// let stream = TrainingStream::open([&path], StreamConfig::default())?;
/// assert_eq!((stream.len(), stream.sample().columns().len()), (2, 2));
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// What a window cannot know is not promised: with [`no_duplicates`](crate::train::TrainConfig::no_duplicates) a text that is
/// there twice waits for another batch of its window; where there are not enough batches the number of examples that share one
/// is logged. `group_by_label` and `group_by_length` need the whole set.
#[derive(Clone)]
pub struct TrainingStream {
    files: Arc<Files>,
    /// The columns that are read.
    columns: Vec<PlSmallStr>,
    sample: TrainingSet,
    config: StreamConfig,
    /// Whether it was said that texts share a batch.
    told: Arc<AtomicBool>,
}

/// How a [`TrainingStream`] is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamConfig {
    /// Rows in memory at least, of which batches are drawn. Default 100,000.
    pub buffer: usize,
    /// The columns to read; all if it is empty, as by default.
    pub columns: Vec<String>,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self { buffer: 100_000, columns: Vec::new() }
    }
}

/// Rows of which a stream is known before it is read.
const SAMPLE: usize = 1_000;

/// What a frame of a stream is called.
const STREAM: &str = "training stream";

impl TrainingStream {
    /// Opens files, and checks the columns on the first rows.
    ///
    /// # Errors
    /// If there are no rows; for damaged files; for columns that are no training set.
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>, config: StreamConfig) -> Result<Self> {
        expect("buffer", config.buffer, "at least 1 row", config.buffer > 0)?;
        let paths: Vec<PathBuf> = paths.into_iter().map(|path| path.as_ref().to_owned()).collect();
        let files = Files::open(&paths)?;
        let Some(first) = files.groups().iter().position(|rows| *rows > 0) else {
            let problem = format!("{} files without rows", files.len());
            return Err(Error::NothingToTrain { problem, expected: "at least one example".to_owned() });
        };
        let columns: Vec<PlSmallStr> = config.columns.iter().map(PlSmallStr::from).collect();
        let frame = files.read(&[first as u32], SAMPLE, &columns)?;
        // By their order roles are given to all columns, of which some are not trained on.
        let frame = if columns.is_empty() { frame } else { frame.select(columns)? };
        let origin = Origin::Frame(STREAM);
        let columns = Roles::of(origin, &frame)?.names();
        let sample = TrainingSet::checked(origin, frame.select(columns.iter().cloned())?);
        let number = |error| located(error, &files, &|row| files.number(&[first as u32], &[usize::MAX], row));
        let sample = sample.map_err(number)?;
        Ok(Self { files: Arc::new(files), columns, sample, config, told: Arc::default() })
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.files.rows()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first examples, at most a thousand: enough for [`Trainer::preflight`](crate::train::Trainer::preflight).
    pub fn sample(&self) -> &TrainingSet {
        &self.sample
    }

    /// The order of a training.
    pub(crate) fn order(&self, batch_size: usize, seed: u64) -> StreamOrder {
        StreamOrder::new(self.files.groups(), self.config.buffer, batch_size, seed)
    }

    /// What it is recognised by: its files, wherever they are, and what decides its order.
    pub(crate) fn mark(&self) -> u64 {
        let mut hash = Xxh3::new();
        hash.update(&(self.config.buffer as u64).to_le_bytes());
        for column in &self.columns {
            hash.update(&(column.len() as u64).to_le_bytes());
            hash.update(column.as_bytes());
        }
        self.files.mark(&mut hash);
        hash.digest()
    }

    /// The rows of some groups.
    fn read(&self, groups: &[u32]) -> Result<TrainingSet> {
        let frame = self.files.read(groups, usize::MAX, &self.columns)?;
        let frame = frame.select(self.columns.iter().cloned())?;
        let ends = self.files.ends(groups);
        let data = TrainingSet::checked(Origin::Frame(STREAM), frame)
            .map_err(|error| located(error, &self.files, &|row| self.files.number(groups, &ends, row)))?;
        self.check_alike(&data)?;
        Ok(data)
    }

    /// An error for lists of other lengths than those of the first rows: each example has as many negatives and labels.
    fn check_alike(&self, data: &TrainingSet) -> Result<()> {
        let shape = |data: &TrainingSet| {
            let width = match data.labels().map(Labels::kind) {
                Some(LabelKind::List(width)) => Some(width),
                _ => None,
            };
            (data.columns().len(), width)
        };
        let ((columns, width), (expected, expected_width)) = (shape(data), shape(&self.sample));
        if (columns, width) == (expected, expected_width) {
            return Ok(());
        }
        let spoken = |columns: usize, width: Option<usize>| {
            format!(
                "{columns} columns of texts{}",
                width.map_or(String::new(), |width| format!(", lists of {width} labels"))
            )
        };
        Err(Error::Shape {
            what: STREAM.to_owned(),
            found: spoken(columns, width),
            expected: format!("{}, as in the first rows", spoken(expected, expected_width)),
        })
    }

    /// Says once that examples of a batch share a text.
    fn tell_clashes(&self, clashes: usize, rows: usize) {
        if !self.told.swap(true, Ordering::Relaxed) {
            log::warn!(
                "{clashes} of {rows} examples share a text with others of their batch, as there are not enough batches for \
                 it (said once; a larger `buffer` has more)"
            );
        }
    }
}

/// An error about a row of a frame as one about the row of its file.
fn located(error: Error, files: &Files, number: &dyn Fn(usize) -> usize) -> Error {
    match error {
        Error::Row { place, row, column, problem, expected } if place == STREAM => {
            let (path, row) = files.place(number(row));
            Error::Row { place: path.display().to_string(), row, column, problem, expected }
        }
        other => other,
    }
}

impl fmt::Debug for TrainingStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (files, columns) = (self.files.len(), self.columns.join(", "));
        write!(f, "TrainingStream {{ files: {files}, examples: {}, columns: {columns} }}", self.len())
    }
}
