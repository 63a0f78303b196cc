//! Which rows each step of a round sees: the plan of all its epochs, one of which is held at a time.

use super::mix::{Mix, Mixed};
use super::source::Draw;
use super::{MultiSet, TrainConfig};
use crate::data::{Sampler, TextHashes, TrainingSet};
use crate::{Result, interrupt};

/// What sets the seeds of several sets apart.
const APART: u64 = 0x9E37_79B9_7F4A_7C15;

/// The steps of all epochs over one or several training sets. An epoch ends with a step, which may be of fewer batches.
pub(super) struct Plan {
    mix: Mix,
    accumulate: usize,
    /// Epochs of earlier rounds: an order is drawn once.
    first_epoch: usize,
    lengths: Lengths,
    /// The epoch that is being trained on.
    current: Option<(usize, Mixed)>,
    /// The batches of each set in the first epoch.
    first: Vec<usize>,
    /// The steps that are taken at most.
    most: usize,
}

/// A set, and the rows of a batch of it; of a stream their places in its order.
pub(super) type SetRows = (usize, Vec<usize>);

/// The number of steps in each epoch.
enum Lengths {
    Even {
        epochs: usize,
        steps: usize,
    },
    /// The steps up to the end of each epoch: where texts repeat, epochs may differ.
    Uneven(Vec<usize>),
}

/// What draws the batches of a training set.
pub(super) fn sampler(data: &TrainingSet, texts: &TextHashes, config: &TrainConfig, set: usize) -> Result<Sampler> {
    let sampler = Sampler::new(texts, config.batch_size, config.no_duplicates, seed_of(config, set));
    match config {
        TrainConfig { group_by_label: true, .. } => sampler.by_label(data.labels()),
        TrainConfig { group_by_length: true, .. } => Ok(sampler.by_length(data)),
        _ => Ok(sampler),
    }
}

/// The seed of the order of a set.
pub(super) fn seed_of(config: &TrainConfig, set: usize) -> u64 {
    config.seed.wrapping_add(APART.wrapping_mul(set as u64))
}

impl Plan {
    /// `samplers` are those of each set.
    pub(super) fn new(data: &MultiSet, samplers: Vec<Draw>, config: &TrainConfig, first_epoch: usize) -> Result<Self> {
        let TrainConfig { batch_size, accumulate, epochs, seed, .. } = *config;
        let mix = Mix { samplers, sampling: data.sampling, batch_size, seed };
        let accumulate = accumulate.max(1);
        let mut plan = Self {
            mix,
            accumulate,
            first_epoch,
            lengths: Lengths::Uneven(Vec::new()),
            current: None,
            first: Vec::new(),
            most: config.max_steps.unwrap_or(usize::MAX),
        };
        let first = plan.mix.epoch(first_epoch as u64)?;
        plan.first = (0..plan.mix.samplers.len()).map(|set| first.of_set(set)).collect();
        plan.lengths = match plan.mix.batches() {
            Some(batches) => Lengths::Even { epochs, steps: batches.div_ceil(accumulate) },
            None => {
                let mut ends = vec![first.len().div_ceil(accumulate)];
                for epoch in 1..epochs {
                    interrupt::check("planning")?;
                    let batches = plan.mix.epoch((first_epoch + epoch) as u64)?.len();
                    ends.push(ends[epoch - 1] + batches.div_ceil(accumulate));
                }
                Lengths::Uneven(ends)
            }
        };
        plan.current = Some((0, first));
        Ok(plan)
    }

    /// The number of batches of the first epoch.
    pub(super) fn batches(&self) -> usize {
        self.first.iter().sum()
    }

    /// The number of steps.
    pub(super) fn steps(&self) -> usize {
        let all = match &self.lengths {
            Lengths::Even { epochs, steps } => epochs.saturating_mul(*steps),
            Lengths::Uneven(ends) => ends.last().copied().unwrap_or(0),
        };
        all.min(self.most)
    }

    /// Whether no batch of a set holds more than one row.
    pub(super) fn lone(&self, set: usize) -> bool {
        self.first[set] == self.mix.samplers[set].rows()
    }

    /// The set and the rows of each batch of a step, from 0; `None` after the last one.
    pub(super) fn step(&mut self, step: usize) -> Result<Option<Vec<SetRows>>> {
        let Some((epoch, place)) = self.locate(step) else { return Ok(None) };
        let batches = match self.current.take() {
            Some((held, batches)) if held == epoch => batches,
            other => {
                // Before the next one is drawn.
                drop(other);
                self.mix.epoch((self.first_epoch + epoch) as u64)?
            }
        };
        let first = place * self.accumulate;
        let last = first.saturating_add(self.accumulate).min(batches.len());
        let rows = (first..last).map(|batch| batches.batch(batch)).collect();
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
    use polars::prelude::df;

    use super::*;

    fn plan(texts: &[&str], config: TrainConfig) -> Plan {
        let config = TrainConfig { batch_size: 2, ..config };
        let data = TrainingSet::new(df!("text" => texts, "label" => vec![0; texts.len()]).unwrap()).unwrap();
        let data = MultiSet::from(&data);
        let (_, draw) = data.sets[0].1.known(&config, 0).unwrap();
        Plan::new(&data, vec![draw], &config, 0).unwrap()
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
                    epoch.extend(batches.into_iter().flat_map(|(_, rows)| rows));
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
    fn max_steps_ends_in_the_middle_of_an_epoch() {
        for texts in [&["a", "b", "c", "d", "e"][..], &["a", "a", "a", "b", "c"]] {
            let mut plan = plan(texts, TrainConfig { epochs: 4, max_steps: Some(5), ..Default::default() });
            assert_eq!(plan.steps(), 5);
            assert!(plan.step(4).unwrap().is_some() && plan.step(5).unwrap().is_none());
            assert!(plan.ends_epoch(4) && !plan.ends_epoch(0));
        }
    }

    #[test]
    fn a_million_epochs_are_planned_at_once() {
        let start = std::time::Instant::now();
        let mut plan = plan(&["a", "b", "c"], TrainConfig { epochs: 1_000_000, ..Default::default() });
        assert_eq!(plan.steps(), 2_000_000);
        assert_eq!(plan.step(1_999_999).unwrap().unwrap()[0].1.len(), 1);
        assert!(start.elapsed().as_secs_f64() < 0.5, "{:?}", start.elapsed());
    }
}
