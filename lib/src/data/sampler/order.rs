//! What is next to what, before batches are cut.

use super::Repeats;
use crate::data::{Labels, Texts};
use crate::random::Philox;

/// Batches among which texts of like length are looked for, as transformers does it: few enough to leave chance its part.
const WINDOW: usize = 50;

/// How rows follow each other.
pub(super) enum Order {
    Random,
    /// The bytes of each row's texts.
    Lengths(Vec<u32>),
    /// The class of each row, from 0.
    Classes(Vec<u32>),
}

/// Rows in their order, in groups that stay together.
pub(super) struct Groups {
    pub(super) rows: Vec<u32>,
    /// Where each group begins, and the end of the last; `None` if each row is one.
    starts: Option<Vec<u32>>,
}

impl Groups {
    pub(super) fn len(&self) -> usize {
        self.starts.as_ref().map_or(self.rows.len(), |starts| starts.len() - 1)
    }

    pub(super) fn group(&self, group: u32) -> &[u32] {
        let group = group as usize;
        match &self.starts {
            None => &self.rows[group..=group],
            Some(starts) => &self.rows[starts[group] as usize..starts[group + 1] as usize],
        }
    }
}

impl Order {
    /// By bytes, which are roughly proportional to tokens in any script, and need no tokenizer.
    pub(super) fn lengths(columns: &[Texts]) -> Self {
        let rows = columns.iter().map(Texts::len).min().unwrap_or(0);
        let bytes = |row| columns.iter().map(|column| column[row].len()).sum::<usize>();
        Self::Lengths((0..rows).map(|row| u32::try_from(bytes(row)).unwrap_or(u32::MAX)).collect())
    }

    /// The same of queries with lists of documents, which begin at these places. A query is read with each of its documents.
    pub(super) fn lengths_of_lists(columns: &[Texts], bounds: &[usize]) -> Self {
        let [queries, docs] = columns else { return Self::Random };
        let bytes = |row: usize| {
            let own = bounds[row]..bounds[row + 1];
            own.len() * queries[row].len() + own.map(|doc| docs[doc].len()).sum::<usize>()
        };
        Self::Lengths((0..queries.len()).map(|row| u32::try_from(bytes(row)).unwrap_or(u32::MAX)).collect())
    }

    /// `None` unless two classes have two rows each.
    pub(super) fn classes(labels: &Labels) -> Option<Self> {
        let mut values: Vec<u32> = labels.values().iter().map(|value| (value + 0.0).to_bits()).collect();
        values.sort_unstable();
        let pairs = values.chunk_by(|one, other| one == other).filter(|class| class.len() > 1).count();
        values.dedup();
        let number = |value: &f32| values.partition_point(|other| *other < (value + 0.0).to_bits()) as u32;
        (pairs > 1).then(|| Self::Classes(labels.values().iter().map(number).collect()))
    }

    pub(super) fn classes_of(&self) -> Option<&[u32]> {
        match self {
            Self::Classes(classes) => Some(classes),
            _ => None,
        }
    }

    /// Puts shuffled rows in order.
    pub(super) fn arrange(
        &self,
        mut rows: Vec<u32>,
        batch_size: usize,
        repeats: Option<&Repeats>,
        rng: &mut Philox,
    ) -> Groups {
        match self {
            Self::Random => Groups { rows, starts: None },
            Self::Lengths(lengths) => {
                for (index, window) in rows.chunks_mut(batch_size.saturating_mul(WINDOW)).enumerate() {
                    window.sort_by_key(|row| lengths[*row as usize]);
                    // A batch on the border of two windows holds texts of like length, too.
                    if index % 2 == 1 {
                        window.reverse();
                    }
                }
                Groups { rows, starts: None }
            }
            Self::Classes(classes) => {
                rows.sort_by_key(|row| classes[*row as usize]);
                spread(rows, classes, repeats, rng)
            }
        }
    }
}

/// Two rows of a class make a group, three at the end of a class with an odd number. The groups of a class are evenly
/// spread over the epoch, so that each batch holds many classes. Each row that shares a text with another one is a group by itself.
fn spread(rows: Vec<u32>, classes: &[u32], repeats: Option<&Repeats>, rng: &mut Philox) -> Groups {
    // Place in the epoch, first row, rows.
    let mut groups: Vec<(f64, usize, usize)> = Vec::with_capacity(rows.len() / 2 + 1);
    let mut start = 0;
    for class in rows.chunk_by(|one, other| classes[*one as usize] == classes[*other as usize]) {
        let first = groups.len();
        let pairs = (class.len() / 2).max(1);
        for pair in 0..pairs {
            let begin = 2 * pair;
            let len = if pair + 1 == pairs { class.len() - begin } else { 2 };
            match repeats.is_some_and(|repeats| repeats.clash(&class[begin..begin + len])) {
                true => groups.extend((0..len).map(|row| (0.0, start + begin + row, 1))),
                false => groups.push((0.0, start + begin, len)),
            }
        }
        let (count, shift) = (groups.len() - first, rng.uniform());
        for (index, group) in groups[first..].iter_mut().enumerate() {
            group.0 = (index as f64 + shift) / count as f64;
        }
        start += class.len();
    }
    groups.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut starts = vec![0];
    let mut ordered = Vec::with_capacity(rows.len());
    for (_, first, len) in groups {
        ordered.extend_from_slice(&rows[first..first + len]);
        starts.push(ordered.len() as u32);
    }
    Groups { rows: ordered, starts: Some(starts) }
}

impl Repeats {
    /// The texts of a row that occur in others, too.
    pub(in crate::data) fn of(&self, row: u32) -> impl Iterator<Item = u32> {
        let first = row as usize * self.columns;
        self.numbers[first..first + self.columns].iter().copied().filter(|text| *text > 0)
    }

    /// Whether two of some rows share a text.
    fn clash(&self, rows: &[u32]) -> bool {
        let pairs = |index: usize| rows[..index].iter().map(move |other| (rows[index], *other));
        (1..rows.len())
            .flat_map(pairs)
            .any(|(one, other)| self.of(one).any(|text| self.of(other).any(|same| same == text)))
    }
}
