//! The order in which examples are seen.

mod fill;
mod order;

use std::fmt;

use fill::Filling;
use order::Order;

use super::hashes::TextHashes;
use super::{LabelKind, Labels, Texts, TrainingSet};
use crate::random::Philox;
use crate::{Error, Result};

/// The batches of an epoch as row numbers: every row once, in an order that depends on seed and epoch.
///
/// With `no_duplicates` no text occurs twice in a batch, over all columns: the row waits for a later
/// batch, so batches may be smaller near the end. `columns` are those of
/// [`TrainingSet::columns`](super::TrainingSet::columns); columns of different lengths are an error.
///
/// ```
/// let columns = [["q", "r"], ["same", "same"]].map(kensaku::data::Texts::from_iter);
/// let batches = kensaku::data::plan_batches(&columns, 2, true, 42, 0)?;
/// assert_eq!(batches.len(), 2);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn plan_batches(
    columns: &[Texts],
    batch_size: usize,
    no_duplicates: bool,
    seed: u64,
    epoch: u64,
) -> Result<Vec<Vec<usize>>> {
    BatchPlan::new(columns, batch_size, no_duplicates, seed)?.epoch(epoch)
}

/// The same for many epochs: which texts repeat is found out once.
///
/// ```
/// use kensaku::data::{BatchPlan, Texts};
///
/// let columns = [["q", "r", "s"], ["a", "b", "c"]].map(Texts::from_iter);
/// let plan = BatchPlan::new(&columns, 2, true, 42)?;
/// assert_eq!((plan.epoch(0)?.concat().len(), plan.epoch(1)?.len()), (3, 2));
/// # Ok::<(), kensaku::Error>(())
/// ```
pub struct BatchPlan(Sampler);

impl BatchPlan {
    pub fn new(columns: &[Texts], batch_size: usize, no_duplicates: bool, seed: u64) -> Result<Self> {
        Ok(Self(Sampler::new(&TextHashes::of(columns)?, batch_size, no_duplicates, seed)))
    }

    /// The rows of each batch of an epoch.
    pub fn epoch(&self, epoch: u64) -> Result<Vec<Vec<usize>>> {
        Ok(self.0.epoch(epoch)?.to_vec())
    }
}

impl fmt::Debug for BatchPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sampler { rows, batch_size, seed, .. } = &self.0;
        write!(f, "BatchPlan {{ rows: {rows}, batch_size: {batch_size}, seed: {seed} }}")
    }
}

/// Draws the batches of any epoch.
pub(crate) struct Sampler {
    rows: usize,
    batch_size: usize,
    seed: u64,
    order: Order,
    /// Row by row, the number of each text that must not be in a batch twice, or 0.
    repeats: Option<Repeats>,
}

/// The texts that a set has more than once.
pub(super) struct Repeats {
    /// Of each row, one number a column: from 1, or 0 for a text that is there once.
    pub(super) numbers: Vec<u32>,
    pub(super) columns: usize,
    /// How many different ones there are.
    pub(super) texts: usize,
}

/// The batches of one epoch.
#[derive(Debug, PartialEq)]
pub(crate) struct Epoch {
    rows: Vec<u32>,
    /// Where each batch ends.
    ends: Vec<usize>,
}

impl Sampler {
    pub(crate) fn new(texts: &TextHashes, batch_size: usize, no_duplicates: bool, seed: u64) -> Self {
        let rows = texts.rows();
        let repeats = if no_duplicates { texts.repeats() } else { None };
        Self { rows, batch_size: batch_size.clamp(1, rows.max(1)), seed, order: Order::Random, repeats }
    }

    /// The same with batches of texts of like length, see [`TrainConfig::group_by_length`](crate::train::TrainConfig).
    pub(crate) fn by_length(self, data: &TrainingSet) -> Self {
        let columns = data.columns();
        match data.list_bounds() {
            None => self.by_length_of(&columns),
            Some(bounds) => Self { order: Order::lengths_of_lists(&columns, bounds), ..self },
        }
    }

    fn by_length_of(self, columns: &[Texts]) -> Self {
        Self { order: Order::lengths(columns), ..self }
    }

    /// The same with two examples of a label at least in each batch that has one, see
    /// [`TrainConfig::group_by_label`](crate::train::TrainConfig).
    ///
    /// # Errors
    /// If there are no labels that are classes, or not two classes with two examples each.
    pub(crate) fn by_label(self, labels: Option<&Labels>) -> Result<Self> {
        let classes = labels.filter(|labels| matches!(labels.kind(), LabelKind::Binary | LabelKind::Class));
        let order = classes.and_then(Order::classes).ok_or_else(|| Error::Setting {
            field: "group_by_label",
            value: "true".to_owned(),
            expected:
                "a training set with a class per example (whole numbers as labels), and two examples each of two \
                       classes"
                    .to_owned(),
        })?;
        Ok(Self { order, ..self })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The number of batches, if it is the same in every epoch.
    pub(crate) fn batches(&self) -> Option<usize> {
        let even = self.repeats.is_none() && !matches!(self.order, Order::Classes(_));
        even.then(|| self.rows.div_ceil(self.batch_size))
    }

    pub(crate) fn epoch(&self, epoch: u64) -> Result<Epoch> {
        let mut rng = Philox::stream(self.seed, epoch);
        let mut rows: Vec<u32> = (0..self.rows as u32).collect();
        rng.shuffle(&mut rows);
        let groups = self.order.arrange(rows, self.batch_size, self.repeats.as_ref(), &mut rng);
        let epoch = match self.batches() {
            Some(batches) => {
                let ends = (1..=batches).map(|batch| (batch * self.batch_size).min(self.rows));
                Epoch { ends: ends.collect(), rows: groups.rows }
            }
            None => Filling::new(&groups, self.order.classes_of(), self.repeats.as_ref()).batches(self.batch_size)?,
        };
        // Long texts first would be a course from hard to easy.
        Ok(if matches!(self.order, Order::Lengths(_)) { epoch.shuffled(&mut rng) } else { epoch })
    }
}

impl Epoch {
    /// The number of batches.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The rows of a batch.
    pub(crate) fn batch(&self, batch: usize) -> Vec<usize> {
        self.slice(batch).iter().map(|row| *row as usize).collect()
    }

    pub(crate) fn to_vec(&self) -> Vec<Vec<usize>> {
        (0..self.len()).map(|batch| self.batch(batch)).collect()
    }

    fn slice(&self, batch: usize) -> &[u32] {
        let start = batch.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.rows[start..self.ends[batch]]
    }

    /// The same batches in another order.
    fn shuffled(self, rng: &mut Philox) -> Self {
        let mut batches: Vec<usize> = (0..self.len()).collect();
        rng.shuffle(&mut batches);
        let mut other = Self { rows: Vec::with_capacity(self.rows.len()), ends: Vec::with_capacity(self.len()) };
        for batch in batches {
            other.rows.extend(self.slice(batch));
            other.ends.push(other.rows.len());
        }
        other
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    fn numbers(count: usize) -> Texts {
        (0..count).map(|n| n.to_string()).collect()
    }

    fn sampler(columns: &[Texts], batch_size: usize, no_duplicates: bool) -> Sampler {
        Sampler::new(&TextHashes::of(columns).unwrap(), batch_size, no_duplicates, 7)
    }

    /// Every row once, and no text in two rows of a batch.
    fn check(columns: &[Texts], batches: &[Vec<usize>], batch_size: usize) {
        let mut rows: Vec<usize> = batches.concat();
        rows.sort_unstable();
        assert_eq!(rows, (0..columns[0].len()).collect::<Vec<_>>());
        for batch in batches {
            // A row may hold a text twice, but no other row of its batch may hold it.
            let texts = |row: &usize| columns.iter().map(|column| column[*row].to_owned()).collect::<HashSet<_>>();
            let distinct: HashSet<String> = batch.iter().flat_map(texts).collect();
            assert_eq!(distinct.len(), batch.iter().map(|row| texts(row).len()).sum::<usize>());
            assert!(batch.len() <= batch_size && !batch.is_empty());
        }
    }

    proptest! {
        /// Two columns with texts in common: rows clash within each column and across them.
        #[test]
        fn every_row_once_and_no_text_twice(
            words in prop::collection::vec((0..30_u8, 0..30_u8, 0..4_u8), 1..200),
            batch_size in 1..17_usize,
        ) {
            let column = |of: fn(&(u8, u8, u8)) -> u8| words.iter().map(|row| of(row).to_string()).collect::<Texts>();
            let columns = [column(|row| row.0), column(|row| row.1)];
            check(&columns, &plan_batches(&columns, batch_size, true, 7, 3).unwrap(), batch_size);
            let by_length = sampler(&columns, batch_size, true).by_length_of(&columns).epoch(3).unwrap();
            check(&columns, &by_length.to_vec(), batch_size);
            let labels = Labels::from(words.iter().map(|row| f32::from(row.2)).collect::<Vec<_>>());
            let batch_size = batch_size.max(4);
            if let Ok(by_label) = sampler(&columns, batch_size, true).by_label(Some(&labels)) {
                check(&columns, &by_label.epoch(3).unwrap().to_vec(), batch_size);
            }
        }

        /// Without texts that repeat no example is alone in its class, and no class in its batch.
        #[test]
        fn classes_come_in_company(
            classes in prop::collection::vec(0..9_u8, 4..300),
            half in 2..17_usize,
            epoch in 0..3_u64,
        ) {
            let labels = Labels::from(classes.iter().copied().map(f32::from).collect::<Vec<_>>());
            let columns = [numbers(classes.len())];
            let Ok(sampler) = sampler(&columns, 2 * half, true).by_label(Some(&labels)) else { return Ok(()) };
            let batches = sampler.epoch(epoch).unwrap().to_vec();
            check(&columns, &batches, 2 * half);
            let mut sizes = BTreeMap::new();
            classes.iter().for_each(|class| *sizes.entry(*class).or_insert(0) += 1);
            for batch in &batches {
                let mut within = BTreeMap::new();
                batch.iter().for_each(|row| *within.entry(classes[*row]).or_insert(0) += 1);
                for (class, count) in &within {
                    prop_assert!(*count >= 2 || sizes[class] == 1, "{:?} in {:?}", class, within);
                }
            }
        }

        /// Classes of one size are all over the epoch.
        #[test]
        fn a_batch_has_several_classes(count in 2..7_usize, pairs in 1..12_usize, half in 2..9_usize, epoch in 0..3_u64) {
            let class = |row: usize| row % count;
            let labels = Labels::from((0..2 * pairs * count).map(|row| class(row) as f32).collect::<Vec<_>>());
            let columns = [numbers(labels.len())];
            let sampler = sampler(&columns, 2 * half, true).by_label(Some(&labels)).unwrap();
            let batches = sampler.epoch(epoch).unwrap().to_vec();
            for batch in &batches[..batches.len() - 1] {
                prop_assert_eq!(batch.len(), 2 * half);
                prop_assert!(batch.iter().any(|row| class(*row) != class(batch[0])), "{:?}", batches);
            }
        }

        /// A batch spans few lengths, and as many batches are drawn as without.
        #[test]
        fn texts_of_like_length_share_a_batch(lengths in prop::collection::vec(0..500_usize, 64..400)) {
            let columns = [lengths.iter().map(|length| "x".repeat(*length)).collect::<Texts>()];
            let spread = |sampler: &Sampler| {
                let batches = sampler.epoch(1).unwrap().to_vec();
                let spread = |batch: &Vec<usize>| {
                    let lengths = || batch.iter().map(|row| lengths[*row]);
                    lengths().max().unwrap() - lengths().min().unwrap()
                };
                (batches.len(), batches.iter().map(spread).sum::<usize>())
            };
            let (random, grouped) = (sampler(&columns, 8, false), sampler(&columns, 8, false).by_length_of(&columns));
            let ((count, far), (same, near)) = (spread(&random), spread(&grouped));
            prop_assert_eq!(count, same);
            prop_assert_eq!(grouped.batches(), Some(count));
            prop_assert!(near * 3 < far, "{} of {}", near, far);
        }
    }

    #[test]
    fn an_epoch_has_its_own_order() {
        let columns = [numbers(50)];
        let plan = |seed, epoch| plan_batches(&columns, 8, true, seed, epoch).unwrap();
        assert_eq!(plan(1, 0), plan(1, 0));
        assert_ne!(plan(1, 0), plan(1, 1));
        assert_ne!(plan(1, 0), plan(2, 0));
        let labels = Labels::from((0..50).map(|n| (n % 5) as f32).collect::<Vec<_>>());
        let samplers = [
            sampler(&columns, 8, true).by_length_of(&columns),
            sampler(&columns, 8, true).by_label(Some(&labels)).unwrap(),
        ];
        for sampler in samplers {
            assert_eq!(sampler.epoch(4).unwrap(), sampler.epoch(4).unwrap());
            assert_ne!(sampler.epoch(4).unwrap(), sampler.epoch(5).unwrap());
        }
    }

    #[test]
    fn labels_that_make_no_pairs_are_refused() {
        let columns = [numbers(4)];
        let by = |labels: Option<Labels>| sampler(&columns, 4, true).by_label(labels.as_ref()).map(drop);
        assert!(by(Some(vec![0.0, 1.0, 0.0, 1.0].into())).is_ok());
        for labels in [
            None,
            Some(vec![0.0; 4].into()),
            Some(vec![0.0, 0.0, 1.0, 2.0].into()),
            Some(vec![0.5, 0.5, 1.0, 1.0].into()),
            Some(Labels::lists(vec![1.0; 8], 2).unwrap()),
        ] {
            let error = by(labels).unwrap_err().to_string();
            assert!(
                error.starts_with("group_by_label = true: expected a training set with a class per example"),
                "{error}"
            );
        }
    }

    #[test]
    fn any_batch_size_and_ragged_columns() {
        let columns = [["a", "b", "b"], ["c", "d", "e"]].map(Texts::from_iter);
        for size in [0, 1, 3, 10_000_000_000, usize::MAX] {
            for no_duplicates in [false, true] {
                let batches = plan_batches(&columns, size, no_duplicates, 1, 0).unwrap();
                assert_eq!(batches.concat().len(), 3, "{size}");
                assert_eq!(
                    batches.len(),
                    if size < 2 {
                        3
                    } else if no_duplicates {
                        2
                    } else {
                        1
                    },
                    "{size}"
                );
            }
            let by_length = sampler(&columns, size, true).by_length_of(&columns).epoch(0).unwrap();
            assert_eq!(by_length.to_vec().concat().len(), 3);
        }
        let ragged = [Texts::from_iter(["a", "b"]), Texts::from_iter(["c"])];
        let error = plan_batches(&ragged, 2, true, 1, 0).unwrap_err().to_string();
        assert!(error.contains("2 and 1 rows; expected the same number of rows in every column"), "{error}");
        assert_eq!(plan_batches(&[], 2, true, 1, 0).unwrap(), [] as [Vec<usize>; 0]);
    }

    /// The order of earlier versions, so that their trainings can be resumed.
    #[test]
    fn an_order_is_for_good() {
        let columns = [["a", "b", "a", "c", "d", "a", "e", "f"]].map(Texts::from_iter);
        let expected: &[&[usize]] = &[&[2, 3, 6], &[4, 5, 7], &[1, 0]];
        assert_eq!(plan_batches(&columns, 3, true, 42, 1).unwrap(), expected);
    }
}
