//! Which rows each step of a round sees: the plan of all its epochs, one of which is held at a time.

use super::TrainConfig;
use crate::data::{Epoch, Sampler, TextHashes};
use crate::{Result, interrupt};

/// The steps of all epochs over a training set. An epoch ends with a step, which may be of fewer batches.
pub(super) struct Plan {
    sampler: Sampler,
    accumulate: usize,
    /// Epochs of earlier rounds: an order is drawn once.
    first_epoch: usize,
    lengths: Lengths,
    /// The epoch that is being trained on.
    current: Option<(usize, Epoch)>,
    lone: bool,
    batches: usize,
}

/// The number of steps in each epoch.
enum Lengths {
    Even {
        epochs: usize,
        steps: usize,
    },
    /// The steps up to the end of each epoch: where texts repeat, epochs may differ.
    Uneven(Vec<usize>),
}

impl Plan {
    pub(super) fn new(texts: &TextHashes, config: &TrainConfig, first_epoch: usize) -> Result<Self> {
        let TrainConfig { batch_size, accumulate, epochs, seed, no_duplicates, .. } = *config;
        let sampler = Sampler::new(texts, batch_size, no_duplicates, seed);
        let accumulate = accumulate.max(1);
        let (lengths, first) = match sampler.batches() {
            Some(batches) => (Lengths::Even { epochs, steps: batches.div_ceil(accumulate) }, batches),
            None => {
                let (mut ends, mut first) = (Vec::new(), 0);
                for epoch in 0..epochs {
                    let batches = sampler.epoch((first_epoch + epoch) as u64)?.len();
                    match epoch {
                        0 => first = batches,
                        _ => interrupt::check("planning")?,
                    }
                    ends.push(ends.last().unwrap_or(&0) + batches.div_ceil(accumulate));
                }
                (Lengths::Uneven(ends), first)
            }
        };
        Ok(Self {
            sampler,
            accumulate,
            first_epoch,
            lengths,
            current: None,
            lone: first == texts.rows(),
            batches: first,
        })
    }

    /// The number of batches of the first epoch.
    pub(super) fn batches(&self) -> usize {
        self.batches
    }

    /// The number of steps.
    pub(super) fn steps(&self) -> usize {
        match &self.lengths {
            Lengths::Even { epochs, steps } => epochs.saturating_mul(*steps),
            Lengths::Uneven(ends) => ends.last().copied().unwrap_or(0),
        }
    }

    /// Whether no batch holds more than one row.
    pub(super) fn lone(&self) -> bool {
        self.lone
    }

    /// The rows of each batch of a step, from 0; `None` after the last one.
    pub(super) fn step(&mut self, step: usize) -> Result<Option<Vec<Vec<usize>>>> {
        let Some((epoch, place)) = self.locate(step) else { return Ok(None) };
        let batches = match self.current.take() {
            Some((held, batches)) if held == epoch => batches,
            other => {
                // Before the next one is drawn.
                drop(other);
                self.sampler.epoch((self.first_epoch + epoch) as u64)?
            }
        };
        let first = place * self.accumulate;
        let last = first.saturating_add(self.accumulate).min(batches.len());
        let rows = (first..last).map(|batch| batches.batch(batch).to_vec()).collect();
        self.current = Some((epoch, batches));
        Ok(Some(rows))
    }

    /// Whether an epoch ends with a step, from 0.
    pub(super) fn ends_epoch(&self, step: usize) -> bool {
        self.locate(step).is_some_and(|(epoch, _)| self.locate(step + 1).is_none_or(|(next, _)| next > epoch))
    }

    /// The epoch of a step, and its place there.
    fn locate(&self, step: usize) -> Option<(usize, usize)> {
        if step >= self.steps() {
            return None;
        }
        match &self.lengths {
            Lengths::Even { steps, .. } => Some((step / steps, step % steps)),
            Lengths::Uneven(ends) => {
                let epoch = ends.partition_point(|end| *end <= step);
                Some((epoch, step - epoch.checked_sub(1).map_or(0, |before| ends[before])))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Texts;

    fn plan(texts: &[&str], config: TrainConfig) -> Plan {
        let config = TrainConfig { batch_size: 2, ..config };
        Plan::new(&TextHashes::of(&[Texts::from_iter(texts)]).unwrap(), &config, 0).unwrap()
    }

    /// A text that repeats makes epochs of different lengths.
    #[test]
    fn epochs_follow_each_other() {
        for texts in [&["a", "b", "c", "d", "e"][..], &["a", "a", "a", "b", "c"]] {
            for accumulate in [1, 2] {
                let mut plan = plan(texts, TrainConfig { epochs: 4, accumulate, ..Default::default() });
                let (mut epoch, mut epochs) = (Vec::new(), 0);
                for step in 0..plan.steps() {
                    let batches = plan.step(step).unwrap().unwrap();
                    assert!(batches.len() <= accumulate && !batches.is_empty());
                    epoch.extend(batches.concat());
                    if plan.ends_epoch(step) {
                        epoch.sort_unstable();
                        assert_eq!(std::mem::take(&mut epoch), [0, 1, 2, 3, 4]);
                        epochs += 1;
                    }
                }
                assert_eq!((epochs, epoch.len()), (4, 0));
                assert!(plan.step(plan.steps()).unwrap().is_none());
            }
        }
    }

    #[test]
    fn a_million_epochs_are_planned_at_once() {
        let start = std::time::Instant::now();
        let mut plan = plan(&["a", "b", "c"], TrainConfig { epochs: 1_000_000, ..Default::default() });
        assert_eq!(plan.steps(), 2_000_000);
        assert_eq!(plan.step(1_999_999).unwrap().unwrap().concat().len(), 1);
        assert!(start.elapsed().as_secs_f64() < 0.5, "{:?}", start.elapsed());
    }
}
