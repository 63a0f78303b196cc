//! Finds the row of an id.

use hashbrown::HashTable;
use polars::prelude::StringChunked;
use xxhash_rust::xxh3::xxh3_64;

/// The rows of a column of ids, each of which is there once. The ids themselves stay in the column.
#[derive(Default)]
pub(super) struct Lookup {
    rows: HashTable<u32>,
}

impl Lookup {
    pub(super) fn new(ids: &StringChunked) -> Self {
        let hashes: Vec<u64> = ids.iter().map(|id| hash(id.unwrap_or_default())).collect();
        let mut rows = HashTable::with_capacity(hashes.len());
        for (row, own) in (0..).zip(&hashes) {
            rows.insert_unique(*own, row, |row: &u32| hashes[*row as usize]);
        }
        Self { rows }
    }

    /// The row of an id in the same column.
    pub(super) fn row(&self, id: &str, ids: &StringChunked) -> Option<usize> {
        let found = self.rows.find(hash(id), |row| ids.get(*row as usize) == Some(id));
        found.map(|row| *row as usize)
    }
}

fn hash(id: &str) -> u64 {
    xxh3_64(id.as_bytes())
}
