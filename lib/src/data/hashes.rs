//! The texts of a training set as hashes: which of them repeat, and what the set is recognised by.

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::Texts;
use crate::{Error, Result, interrupt};

/// A hash of each text, column by column. Two texts of millions that share one are only kept out of one batch.
pub(crate) struct TextHashes {
    rows: usize,
    columns: Vec<Vec<u64>>,
}

/// Texts that are hashed between two looks at the interrupt flag.
const CHUNK: usize = 1 << 18;

impl TextHashes {
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

    /// For each text its number among those that occur more than once, from 1, or 0; `None` if none does.
    pub(crate) fn repeats(&self) -> Option<Vec<Vec<u32>>> {
        let mut sorted = self.columns.concat();
        sorted.par_sort_unstable();
        let mut repeated: Vec<u64> = sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        repeated.dedup();
        drop(sorted);
        if repeated.is_empty() {
            return None;
        }
        let number = |hash: &u64| repeated.binary_search(hash).map_or(0, |place| place as u32 + 1);
        Some(self.columns.iter().map(|column| column.par_iter().map(number).collect()).collect())
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
        assert_eq!(repeats, [[1, 0, 0], [0, 1, 0]]);
        let columns = [["a", "b"], ["c", "d"]].map(Texts::from_iter);
        assert_eq!(TextHashes::of(&columns).unwrap().repeats(), None);
    }
}
