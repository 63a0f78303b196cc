//! A stream in the order of a training, with the rows of one window in memory.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::{StreamEpoch, StreamOrder, TrainingStream};
use crate::data::{Labels, TextHashes, TrainingSet};
use crate::{Error, Result};

/// Reads the rows of a stream as a training comes to them.
pub(crate) struct Shuffled {
    stream: TrainingStream,
    order: StreamOrder,
    no_duplicates: bool,
    held: Mutex<Option<Arc<Held>>>,
}

/// The rows of a window.
struct Held {
    epoch: StreamEpoch,
    number: u64,
    window: usize,
    data: TrainingSet,
    /// Its rows in their order.
    rows: Vec<u32>,
}

/// A batch of a [`TrainingStream`].
pub struct StreamBatch {
    held: Arc<Held>,
    rows: Vec<usize>,
    numbers: Vec<usize>,
}

impl StreamBatch {
    /// The texts by columns: query, positive, each negative. Of lists each document has the query beside it.
    pub fn columns(&self) -> Vec<Vec<&str>> {
        self.held.data.texts_of(&self.rows).0
    }

    /// The labels of its examples, if there are any.
    pub fn labels(&self) -> Option<Labels> {
        self.held.data.labels().map(|labels| labels.rows(&self.rows))
    }

    /// The numbers of its rows in all files, one file after the other, from 0.
    pub fn numbers(&self) -> &[usize] {
        &self.numbers
    }

    /// The window that it is of, and its rows there.
    pub(crate) fn window(&self) -> (&TrainingSet, &[usize]) {
        (&self.held.data, &self.rows)
    }
}

impl fmt::Debug for StreamBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamBatch {{ examples: {} }}", self.rows.len())
    }
}

impl Shuffled {
    pub(crate) fn new(stream: &TrainingStream, batch_size: usize, no_duplicates: bool, seed: u64) -> Self {
        let order = stream.order(batch_size, seed);
        Self { stream: stream.clone(), order, no_duplicates, held: Mutex::default() }
    }

    /// The rows of a batch, by their places in the order of all epochs, one after the other.
    pub(crate) fn batch(&self, places: &[usize]) -> Result<StreamBatch> {
        let Some(first) = places.first() else { return Err(no_rows()) };
        let number = first.checked_div(self.order.rows()).ok_or_else(no_rows)?;
        let held = self.held(number as u64, first % self.order.rows())?;
        let start = number * self.order.rows();
        let own = |place: &usize| held.rows[held.epoch.locate(place - start).1] as usize;
        let rows: Vec<usize> = places.iter().map(own).collect();
        let (files, groups) = (&self.stream.files, held.epoch.groups(held.window));
        let ends = files.ends(groups);
        let numbers = rows.iter().map(|row| files.number(groups, &ends, *row)).collect();
        Ok(StreamBatch { held, rows, numbers })
    }

    /// The window that a place of an epoch is in.
    fn held(&self, number: u64, place: usize) -> Result<Arc<Held>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = match held.take() {
            Some(before) if before.number == number => {
                if before.epoch.locate(place).0 == before.window {
                    return Ok(Arc::clone(held.insert(before)));
                }
                before.epoch.clone()
            }
            // Before the next one is read.
            before => {
                drop(before);
                self.order.epoch(number)
            }
        };
        let window = epoch.locate(place).0;
        let data = self.stream.read(epoch.groups(window))?;
        let repeats = match self.no_duplicates {
            true => TextHashes::of_set(&data)?.repeats(),
            false => None,
        };
        let within = self.order.within(&epoch, window, repeats.as_ref());
        if within.clashes > 0 {
            self.stream.tell_clashes(within.clashes, within.rows.len());
        }
        Ok(Arc::clone(held.insert(Arc::new(Held { epoch, number, window, data, rows: within.rows }))))
    }
}

impl TrainingStream {
    /// The batches of an epoch, as a training with `no_duplicates` sees them, for a loop of one's own.
    ///
    /// ```
    /// use kensaku::data::{StreamConfig, TrainingStream};
    /// # use kensaku::polars::prelude::*;
    /// # let folder = std::env::temp_dir().join("kensaku-batches-example");
    /// # std::fs::create_dir_all(&folder).unwrap();
    /// # let path = folder.join("pairs.parquet");
    /// # let mut pairs = df!("query" => ["a", "b", "c"], "positive" => ["d", "e", "f"])?;
    /// # ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut pairs)?;
    /// let stream = TrainingStream::open([&path], StreamConfig::default())?;
    /// let mut seen = Vec::new();
    /// for batch in stream.batches(2, 42, 0) {
    ///     seen.extend(batch?.columns()[0].iter().map(|query| query.to_string()));
    /// }
    /// seen.sort();
    /// assert_eq!(seen, ["a", "b", "c"]);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn batches(&self, batch_size: usize, seed: u64, epoch: u64) -> impl Iterator<Item = Result<StreamBatch>> {
        let shuffled = Shuffled::new(self, batch_size, true, seed);
        let epoch = shuffled.order.epoch(epoch);
        (0..epoch.len()).map(move |batch| shuffled.batch(&epoch.batch(batch)))
    }
}

fn no_rows() -> Error {
    Error::NothingToTrain { problem: "a stream has no rows".to_owned(), expected: "at least one example".to_owned() }
}
