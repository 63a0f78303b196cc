//! The batches of an epoch over several sets.

use super::Sampling;
use super::plan::SetRows;
use super::source::{Draw, Drawn};
use crate::Result;
use crate::random::Philox;

/// Streams of random numbers that the order of a set does not draw from.
const MIXING: u64 = 1 << 63;
/// Orders of a set that is seen several times in an epoch are this far apart.
const AGAIN: u64 = 1 << 32;

/// How sets take turns.
pub(super) struct Mix {
    pub(super) samplers: Vec<Draw>,
    pub(super) sampling: Sampling,
    pub(super) batch_size: usize,
    pub(super) seed: u64,
}

/// The batches of one epoch.
pub(super) struct Mixed {
    /// A set and one of its orders.
    orders: Vec<(usize, Drawn)>,
    /// The order and the number of each batch in it.
    batches: Vec<(u32, u32)>,
}

impl Mix {
    /// The number of batches, if it is the same in every epoch.
    pub(super) fn batches(&self) -> Option<usize> {
        match self.sampling {
            Sampling::Temperature(temperature) => Some(self.shares(temperature).iter().sum()),
            sampling => {
                let counts = self.samplers.iter().map(Draw::batches).collect::<Option<Vec<_>>>()?;
                Some(match sampling {
                    Sampling::RoundRobin => counts.len() * counts.iter().min().copied().unwrap_or(0),
                    _ => counts.iter().sum(),
                })
            }
        }
    }

    pub(super) fn epoch(&self, epoch: u64) -> Result<Mixed> {
        let mut mixed = Mixed { orders: Vec::new(), batches: Vec::new() };
        let mut rng = Philox::stream(self.seed, MIXING | epoch);
        if let Sampling::Temperature(temperature) = self.sampling {
            let mut of_set = Vec::new();
            for (set, share) in self.shares(temperature).into_iter().enumerate() {
                of_set.push(mixed.take(set, &self.samplers[set], epoch, share)?);
            }
            mixed.shuffle(of_set, &mut rng);
            return Ok(mixed);
        }
        for (set, sampler) in self.samplers.iter().enumerate() {
            mixed.orders.push((set, sampler.epoch(epoch)?));
        }
        let count = |(_, order): &(usize, Drawn)| order.len() as u32;
        if self.sampling == Sampling::RoundRobin {
            let turns = mixed.orders.iter().map(count).min().unwrap_or(0);
            let sets = mixed.orders.len() as u32;
            mixed.batches = (0..turns).flat_map(|batch| (0..sets).map(move |set| (set, batch))).collect();
        } else {
            let of_set = mixed.orders.iter().enumerate();
            let of_set =
                of_set.map(|(set, order)| (0..count(order)).map(|batch| (set as u32, batch)).collect()).collect();
            mixed.shuffle(of_set, &mut rng);
        }
        Ok(mixed)
    }

    /// The batches of each set, of as many as all sets have: the largest remainders round up.
    fn shares(&self, temperature: f64) -> Vec<usize> {
        let rows: Vec<usize> = self.samplers.iter().map(Draw::rows).collect();
        let all: usize = rows.iter().map(|rows| rows.div_ceil(self.batch_size)).sum();
        let weights: Vec<f64> = rows.iter().map(|rows| (*rows as f64).powf(1.0 / temperature)).collect();
        let whole: f64 = weights.iter().sum();
        let exact: Vec<f64> = weights.iter().map(|weight| all as f64 * weight / whole.max(f64::MIN_POSITIVE)).collect();
        let mut shares: Vec<usize> = exact.iter().map(|share| share.floor() as usize).collect();
        let mut sets: Vec<usize> = (0..rows.len()).collect();
        sets.sort_by(|one, other| exact[*other].fract().total_cmp(&exact[*one].fract()));
        let left = all.saturating_sub(shares.iter().sum());
        sets.iter().cycle().take(left).for_each(|set| shares[*set] += 1);
        for set in 0..rows.len() {
            if shares[set] == 0 && rows[set] > 0 {
                let largest = (0..rows.len()).max_by_key(|set| shares[*set]).unwrap_or(set);
                shares[largest] -= 1;
                shares[set] += 1;
            }
        }
        shares
    }
}

impl Mixed {
    /// Batches of a set, of as many of its orders as it takes.
    fn take(&mut self, set: usize, sampler: &Draw, epoch: u64, count: usize) -> Result<Vec<(u32, u32)>> {
        let mut taken = Vec::with_capacity(count);
        let mut again = 0;
        while taken.len() < count {
            let order = sampler.epoch(epoch + again * AGAIN)?;
            if order.len() == 0 {
                break;
            }
            let number = self.orders.len() as u32;
            taken.extend((0..order.len().min(count - taken.len()) as u32).map(|batch| (number, batch)));
            self.orders.push((set, order));
            again += 1;
        }
        Ok(taken)
    }

    /// Sets take turns at random; the batches of each stay in their order.
    fn shuffle(&mut self, of_set: Vec<Vec<(u32, u32)>>, rng: &mut Philox) {
        let mut turns: Vec<u32> =
            of_set.iter().enumerate().flat_map(|(set, batches)| vec![set as u32; batches.len()]).collect();
        rng.shuffle(&mut turns);
        let mut of_set: Vec<_> = of_set.into_iter().map(Vec::into_iter).collect();
        self.batches = turns.into_iter().filter_map(|set| of_set[set as usize].next()).collect();
    }

    /// The number of batches.
    pub(super) fn len(&self) -> usize {
        self.batches.len()
    }

    /// The number of batches of a set.
    pub(super) fn of_set(&self, set: usize) -> usize {
        self.batches.iter().filter(|(order, _)| self.orders[*order as usize].0 == set).count()
    }

    /// The set of a batch, and its rows there.
    pub(super) fn batch(&self, batch: usize) -> SetRows {
        let (order, number) = self.batches[batch];
        let (set, order) = &self.orders[order as usize];
        (*set, order.batch(number as usize))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::{Sampler, TextHashes, Texts};

    /// Sets of these numbers of rows; of the first every text is there twice.
    fn mix(rows: &[usize], sampling: Sampling, batch_size: usize) -> Mix {
        let sampler = |(set, rows): (usize, &usize)| {
            let texts = (0..*rows).map(|row| (if set == 0 { row / 2 } else { row }).to_string());
            Draw::Set(Sampler::new(&TextHashes::of(&[texts.collect::<Texts>()]).unwrap(), batch_size, true, 3))
        };
        Mix { samplers: rows.iter().enumerate().map(sampler).collect(), sampling, batch_size, seed: 3 }
    }

    fn batches(mix: &Mix, epoch: u64) -> Vec<SetRows> {
        let epoch = mix.epoch(epoch).unwrap();
        (0..epoch.len()).map(|batch| epoch.batch(batch)).collect()
    }

    proptest! {
        #[test]
        fn every_row_of_every_set_once(rows in prop::collection::vec(1..40_usize, 1..5), batch_size in 1..9_usize) {
            let mix = mix(&rows, Sampling::Proportional, batch_size);
            let batches = batches(&mix, 2);
            for (set, rows) in rows.iter().enumerate() {
                let mut seen: Vec<usize> = batches.iter().filter(|batch| batch.0 == set).flat_map(|batch| batch.1.clone()).collect();
                seen.sort_unstable();
                prop_assert_eq!(seen, (0..*rows).collect::<Vec<_>>());
            }
        }

        #[test]
        fn sets_take_turns_until_one_ends(rows in prop::collection::vec(1..40_usize, 1..5), batch_size in 1..9_usize) {
            let mix = mix(&rows, Sampling::RoundRobin, batch_size);
            let batches = batches(&mix, 1);
            let turns = mix.samplers.iter().map(|sampler| sampler.epoch(1).unwrap().len()).min().unwrap();
            prop_assert_eq!(batches.len(), turns * rows.len());
            for (turn, (set, seen)) in batches.iter().enumerate() {
                prop_assert_eq!(*set, turn % rows.len());
                prop_assert!(seen.iter().all(|row| *row < rows[*set]));
            }
        }

        #[test]
        fn temperatures_flatten(rows in prop::collection::vec(1..90_usize, 1..5), batch_size in 1..9_usize, heat in 1..20_u8) {
            let temperature = f64::from(heat);
            let mix = mix(&rows, Sampling::Temperature(temperature), batch_size);
            let all: usize = rows.iter().map(|rows| rows.div_ceil(batch_size)).sum();
            let mixed = mix.epoch(4).unwrap();
            prop_assert_eq!((mixed.len(), mix.batches()), (all, Some(all)));
            let whole: f64 = rows.iter().map(|rows| (*rows as f64).powf(1.0 / temperature)).sum();
            for (set, rows) in rows.iter().enumerate() {
                let exact = all as f64 * (*rows as f64).powf(1.0 / temperature) / whole;
                let found = mixed.of_set(set);
                prop_assert!(found >= 1);
                prop_assert!((found as f64 - exact).abs() <= 1.0 + mix.samplers.len() as f64, "{} of {}", found, exact);
            }
        }
    }

    #[test]
    fn a_set_that_is_seen_again_has_another_order() {
        let mix = mix(&[4, 400], Sampling::Temperature(1e6), 4);
        let first: Vec<Vec<usize>> =
            batches(&mix, 0).into_iter().filter(|(set, _)| *set == 0).map(|(_, rows)| rows).collect();
        assert!((50..=52).contains(&first.len()), "{}", first.len());
        let different: std::collections::HashSet<_> = first.iter().collect();
        assert!(different.len() > 5, "{first:?}");
        assert_eq!(batches(&mix, 3), batches(&mix, 3));
        assert_ne!(batches(&mix, 3), batches(&mix, 4));
    }

    /// One set alone has the batches that it has without a mix.
    #[test]
    fn one_set_is_itself() {
        let mix = mix(&[30], Sampling::Proportional, 4);
        let alone = mix.samplers[0].epoch(5).unwrap();
        let alone: Vec<Vec<usize>> = (0..alone.len()).map(|batch| alone.batch(batch)).collect();
        assert_eq!(batches(&mix, 5).into_iter().map(|(_, rows)| rows).collect::<Vec<_>>(), alone);
    }
}
