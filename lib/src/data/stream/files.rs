//! The files of a stream, and the groups of rows that they are made of.

use std::path::{Path, PathBuf};

use polars::prelude::*;
use xxhash_rust::xxh3::Xxh3;

use crate::data::read::RowGroups;
use crate::{Result, interrupt};

/// Files, whose groups have numbers one file after the other.
pub(super) struct Files {
    files: Vec<RowGroups>,
    /// Of each group its file, and its number there.
    places: Vec<(usize, usize)>,
    /// Where the rows of each group begin in all files one after the other, and the end of the last.
    starts: Vec<usize>,
}

impl Files {
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self> {
        let (mut files, mut places, mut starts) = (Vec::new(), Vec::new(), vec![0]);
        for path in paths {
            interrupt::check("opening a stream")?;
            let file = RowGroups::open(path)?;
            for (group, rows) in file.rows().enumerate() {
                places.push((files.len(), group));
                starts.push(starts[places.len() - 1] + rows);
            }
            files.push(file);
        }
        Ok(Self { files, places, starts })
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The number of rows in each group.
    pub(super) fn groups(&self) -> Vec<usize> {
        self.starts.windows(2).map(|bounds| bounds[1] - bounds[0]).collect()
    }

    /// Reads some row groups one after the other, up to a number of rows.
    pub(super) fn read(&self, groups: &[u32], most: usize, columns: &[PlSmallStr]) -> Result<DataFrame> {
        let mut all = DataFrame::empty();
        let file = |group: &u32| self.places[*group as usize].0;
        // Polars reads groups of one file in parallel.
        for of_file in groups.chunk_by(|one, other| file(one) == file(other)) {
            interrupt::check("reading a stream")?;
            let own: Vec<usize> = of_file.iter().map(|group| self.places[*group as usize].1).collect();
            let frame = self.files[file(&of_file[0])].read(&own, most, columns)?;
            if all.width() == 0 {
                all = frame;
            } else {
                all.vstack_mut_owned(frame)?;
            }
        }
        Ok(all)
    }

    /// Where the rows of some groups end, one after the other.
    pub(super) fn ends(&self, groups: &[u32]) -> Vec<usize> {
        let mut end = 0;
        let ends = groups.iter().map(|group| {
            end += self.starts[*group as usize + 1] - self.starts[*group as usize];
            end
        });
        ends.collect()
    }

    /// The number of a row of some groups, with the ends of these, in all files one after the other.
    pub(super) fn number(&self, groups: &[u32], ends: &[usize], row: usize) -> usize {
        let place = ends.partition_point(|end| *end <= row);
        let first = place.checked_sub(1).map_or(0, |before| ends[before]);
        self.starts[groups[place] as usize] + row - first
    }

    /// The file that has a row of this number, and its number there.
    pub(super) fn place(&self, number: usize) -> (&Path, usize) {
        // A group may be empty: the last one that begins there is not.
        let group = self.starts.partition_point(|start| *start <= number) - 1;
        let file = self.places[group].0;
        let first = self.places.partition_point(|(other, _)| *other < file);
        (self.files[file].path(), number - self.starts[first])
    }

    /// What the files are recognised by, apart from their names.
    pub(super) fn mark(&self, hash: &mut Xxh3) {
        self.files.iter().for_each(|file| hash.update(&file.mark().to_le_bytes()));
    }
}
