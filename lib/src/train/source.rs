//! What a trainer takes examples from: a training set in memory, or a stream.

use super::plan::{sampler, seed_of};
use super::round::DataMark;
use super::{TokenBatch, TrainConfig};
use crate::data::{Epoch, Sampler, Shuffled, StreamEpoch, StreamOrder, TextHashes, TrainingSet, TrainingStream};
use crate::error::expect;
use crate::{Error, Result};

/// A training set, or a stream.
#[derive(Clone)]
pub(super) enum Source {
    Set(TrainingSet),
    Stream(TrainingStream),
}

/// What a training reads from it.
pub(super) enum Reader {
    Set(TrainingSet),
    Stream(Shuffled),
}

/// Draws its batches.
pub(super) enum Draw {
    Set(Sampler),
    Stream(StreamOrder),
}

/// The batches of one epoch.
pub(super) enum Drawn {
    Set(Epoch),
    Stream(StreamEpoch),
}

impl Source {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Set(set) => set.len(),
            Self::Stream(stream) => stream.len(),
        }
    }

    /// The set, or the first rows of a stream.
    pub(super) fn sample(&self) -> &TrainingSet {
        match self {
            Self::Set(set) => set,
            Self::Stream(stream) => stream.sample(),
        }
    }

    /// The set; an error for a stream.
    pub(super) fn in_memory(&self, what: &'static str) -> Result<&TrainingSet> {
        match self {
            Self::Set(set) => Ok(set),
            Self::Stream(stream) => {
                let expected = "a training set in memory".to_owned();
                Err(Error::Setting { field: what, value: format!("{stream:?}"), expected })
            }
        }
    }

    /// What it is recognised by, and what draws its batches; it is one of several with numbers from 0.
    pub(super) fn known(&self, config: &TrainConfig, number: usize) -> Result<(DataMark, Draw)> {
        match self {
            Self::Set(set) => {
                let texts = TextHashes::of_set(set)?;
                let draw = sampler(set, &texts, config, number)?;
                Ok((DataMark::of(&texts, set.labels()), Draw::Set(draw)))
            }
            Self::Stream(stream) => {
                let expected = "false for a stream, which does not see all examples at once";
                expect("group_by_label", true, expected, !config.group_by_label)?;
                expect("group_by_length", true, expected, !config.group_by_length)?;
                let order = stream.order(config.batch_size, seed_of(config, number));
                Ok((DataMark::of_stream(stream), Draw::Stream(order)))
            }
        }
    }

    pub(super) fn reader(&self, config: &TrainConfig, number: usize) -> Reader {
        match self {
            Self::Set(set) => Reader::Set(set.clone()),
            Self::Stream(stream) => {
                let TrainConfig { batch_size, no_duplicates, .. } = *config;
                Reader::Stream(Shuffled::new(stream, batch_size, no_duplicates, seed_of(config, number)))
            }
        }
    }
}

impl Reader {
    /// A batch of rows, as `make` makes it of rows of a training set.
    pub(super) fn batch(
        &self,
        rows: &[usize],
        make: impl Fn(&TrainingSet, &[usize]) -> Result<TokenBatch>,
    ) -> Result<TokenBatch> {
        match self {
            Self::Set(set) => make(set, rows),
            Self::Stream(stream) => {
                let found = stream.batch(rows)?;
                let (window, own) = found.window();
                let batch = make(window, own)?;
                Ok(TokenBatch { rows: found.numbers().to_vec(), ..batch })
            }
        }
    }
}

impl Draw {
    /// The number of batches, if it is the same in every epoch.
    pub(super) fn batches(&self) -> Option<usize> {
        match self {
            Self::Set(sampler) => sampler.batches(),
            Self::Stream(_) => None,
        }
    }

    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Set(sampler) => sampler.rows(),
            Self::Stream(order) => order.rows(),
        }
    }

    pub(super) fn epoch(&self, epoch: u64) -> Result<Drawn> {
        Ok(match self {
            Self::Set(sampler) => Drawn::Set(sampler.epoch(epoch)?),
            Self::Stream(order) => Drawn::Stream(order.epoch(epoch)),
        })
    }
}

impl Drawn {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Set(epoch) => epoch.len(),
            Self::Stream(epoch) => epoch.len(),
        }
    }

    /// The rows of a batch, or its places in the order of a stream.
    pub(super) fn batch(&self, batch: usize) -> Vec<usize> {
        match self {
            Self::Set(epoch) => epoch.batch(batch),
            Self::Stream(epoch) => epoch.batch(batch),
        }
    }
}
