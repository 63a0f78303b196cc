//! The texts of a training set as hashes: which of them repeat, and what the set is recognised by.

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::sampler::Repeats;
use super::{Texts, TrainingSet};
use crate::{Error, Result, interrupt};

/// A hash of each text, column by column. Two texts of millions that share one are only kept out of one batch.
pub(crate) struct TextHashes {
    rows: usize,
    columns: Vec<Vec<u64>>,
}

/// Texts that are hashed between two looks at the interrupt flag.
const CHUNK: usize = 1 << 18;

impl TextHashes {
    /// Of the texts of a training set; a list of documents counts as one text.
    pub(crate) fn of_set(set: &TrainingSet) -> Result<Self> {
        let columns = set.columns();
        let Some(bounds) = set.list_bounds() else { return Self::of(&columns) };
        let mut columns = columns.iter().map(hashes).collect::<Result<Vec<_>>>()?;
        if let Some(docs) = columns.last_mut() {
            let list = |bounds: &[usize]| xxh3_64(bytemuck::cast_slice(&docs[bounds[0]..bounds[1]]));
            *docs = bounds.windows(2).map(list).collect();
        }
        Ok(Self { rows: set.len(), columns })
    }

    pub(crate) fn of(columns: &[Texts]) -> Result<Self> {
        let rows = columns.first().map_or(0, Texts::len);
        if let Some(other) = columns.iter().find(|column| column.len() != rows) {
            return Err(Error::Shape {
                what: "columns of texts".to_owned(),
                found: format!("{rows} and {} rows", other.len()),
                expected: "the same number of rows in every column".to_owned(),
            });
        }
        let columns = columns.iter().map(hashes).collect::<Result<_>>()?;
        Ok(Self { rows, columns })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> &[Vec<u64>] {
        &self.columns
    }

    /// The texts that occur more than once; `None` if none does.
    pub(super) fn repeats(&self) -> Option<Repeats> {
        let columns = self.columns.len();
        let places = self.columns.iter().enumerate().flat_map(|(column, hashes)| {
            hashes.iter().enumerate().map(move |(row, hash)| (*hash, row * columns + column))
        });
        let mut sorted: Vec<(u64, usize)> = Vec::with_capacity(self.rows * columns);
        sorted.extend(places);
        sorted.par_sort_unstable();
        let mut repeats = Repeats { numbers: vec![0; sorted.len()], columns, texts: 0 };
        for same in sorted.chunk_by(|one, other| one.0 == other.0).filter(|same| same.len() > 1) {
            repeats.texts += 1;
            same.iter().for_each(|(_, place)| repeats.numbers[*place] = repeats.texts as u32);
        }
        (repeats.texts > 0).then_some(repeats)
    }
}

fn hashes(column: &Texts) -> Result<Vec<u64>> {
    let mut hashes = vec![0; column.len()];
    for (chunk, hashes) in hashes.chunks_mut(CHUNK).enumerate() {
        if chunk > 0 {
            interrupt::check("planning")?;
        }
        let texts = (chunk * CHUNK..chunk * CHUNK + hashes.len()).into_par_iter().map(|row| &column[row]);
        hashes.par_iter_mut().zip(texts).for_each(|(hash, text)| *hash = xxh3_64(text.as_bytes()));
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_repeat_have_a_number() {
        let columns = [["a", "b", "c"], ["d", "a", "e"]].map(Texts::from_iter);
        let repeats = TextHashes::of(&columns).unwrap().repeats().unwrap();
        assert_eq!((repeats.numbers, repeats.texts), (vec![1, 0, 0, 1, 0, 0], 1));
        let columns = [["a", "b"], ["c", "d"]].map(Texts::from_iter);
        assert!(TextHashes::of(&columns).unwrap().repeats().is_none());
    }
}
