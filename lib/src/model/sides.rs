//! Models in which queries and documents go different ways.

use super::interface::check_length;
use super::{Part, Role};
use crate::Result;
use crate::nn::{Activations, PackedBatch};

/// The queries, or the documents, of a part.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Side {
    pub(super) part: Part,
    /// The place of each sequence in the whole part.
    pub(super) places: Vec<usize>,
    /// The tokens of others before the first of them: with their number, a batch in parts draws the masks of the whole one.
    pub(super) before: usize,
}

/// The queries and the documents of a part.
pub(super) fn sides(part: &Part) -> Result<[Side; 2]> {
    check_length("columns of the sequences", part.columns.len(), part.batch.sequences())?;
    Ok([Role::Query, Role::Doc].map(|role| side(part, role)))
}

fn side(part: &Part, role: Role) -> Side {
    let Part { batch, columns } = part;
    let places: Vec<usize> = (0..columns.len()).filter(|place| Role::of_column(columns[*place]) == role).collect();
    let before = places.first().map_or(0, |first| batch.bounds[*first]);
    let sequences: Vec<PackedBatch> = places.iter().map(|place| batch.slice(*place..place + 1)).collect();
    let columns = places.iter().map(|place| columns[*place]).collect();
    Side { part: Part { batch: PackedBatch::concat(&sequences), columns }, places, before }
}

impl Side {
    /// The sequences with their places.
    pub(super) fn sequences(&self) -> impl Iterator<Item = (usize, &[u32])> {
        let PackedBatch { ids, .. } = &self.part.batch;
        self.places.iter().zip(self.part.batch.ranges()).map(|(place, range)| (*place, &ids[range]))
    }

    /// A pass of these sequences, whose tokens have the places that they have in the part.
    pub(super) fn shifted<T>(&self, activations: &mut Activations, pass: impl FnOnce(&mut Activations) -> T) -> T {
        let dropout = activations.dropout;
        activations.set_dropout(dropout.map(|dropout| dropout.after(self.before)));
        let done = pass(activations);
        activations.set_dropout(dropout);
        done
    }

    /// Of rows of all sequences those of its own.
    pub(super) fn take(&self, all: &[f32], width: usize) -> Vec<f32> {
        self.places.iter().flat_map(|place| &all[place * width..(place + 1) * width]).copied().collect()
    }

    /// Puts its own rows among those of all sequences.
    pub(super) fn put(&self, rows: &[f32], width: usize, all: &mut [f32]) {
        for (place, row) in self.places.iter().zip(rows.chunks_exact(width)) {
            all[place * width..(place + 1) * width].copy_from_slice(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_any_order() {
        let batch = PackedBatch::new([vec![1, 2], vec![3], vec![4, 5, 6], vec![7]]);
        let [queries, docs] = sides(&Part { batch, columns: vec![2, 0, 1, 0] }).unwrap();
        assert_eq!((queries.places.clone(), docs.places.clone()), (vec![1, 3], vec![0, 2]));
        assert_eq!((queries.before, docs.before), (2, 0));
        assert_eq!(docs.part, Part { batch: PackedBatch::new([vec![1, 2], vec![4, 5, 6]]), columns: vec![2, 1] });
        assert_eq!(queries.sequences().collect::<Vec<_>>(), [(1, &[3][..]), (3, &[7])]);
        let all = [0.0, 1.0, 2.0, 3.0];
        let mut again = [0.0; 4];
        [&queries, &docs].into_iter().for_each(|side| side.put(&side.take(&all, 1), 1, &mut again));
        assert_eq!(again, all);
        let wrong = Part { batch: PackedBatch::new([[1]]), columns: Vec::new() };
        assert!(sides(&wrong).unwrap_err().to_string().contains("columns of the sequences"));
    }

    #[test]
    fn of_none() {
        let [queries, docs] = sides(&Part { batch: PackedBatch::new([[1]]), columns: vec![3] }).unwrap();
        assert_eq!((queries.places.len(), queries.part.batch.sequences()), (0, 0));
        assert_eq!((docs.part.batch.tokens(), docs.before), (1, 0));
    }
}
