//! The row groups of a Parquet file, some of them at a time.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use polars::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::layout;
use super::parquet::caught;
use crate::{Error, Result, files};

/// A Parquet file of which groups of rows are read when they are asked for.
pub(crate) struct RowGroups {
    path: PathBuf,
    bytes: u64,
    whole: FileMetadataRef,
    /// The same without row groups.
    bare: FileMetadata,
}

impl RowGroups {
    /// Reads and checks what the file says of its parts.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let bytes = files::open(path)?.metadata().map_err(Error::io(path))?.len();
        let read = caught(|| {
            layout::check(File::open(path)?)?;
            ParquetReader::new(File::open(path)?).get_metadata().cloned()
        });
        let whole = read.map_err(|error| damaged(path, &error))?;
        let bare = FileMetadata { row_groups: Vec::new(), ..(*whole).clone() };
        Ok(Self { path: path.to_owned(), bytes, whole, bare })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of rows in each group.
    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> {
        self.whole.row_groups.iter().map(|group| group.num_rows())
    }

    /// What the file is recognised by: where it says that its parts are, how many values each has, and between which.
    pub(crate) fn mark(&self) -> u64 {
        xxh3_64(&self.whole.footer_buf)
    }

    /// Reads some row groups one after the other, up to a number of rows; all columns if none is named.
    ///
    /// # Errors
    /// If the file is another one than it was, or damaged; if there is no such column.
    pub(crate) fn read(&self, groups: &[usize], most: usize, columns: &[PlSmallStr]) -> Result<DataFrame> {
        let file = files::open(&self.path)?;
        if file.metadata().map_err(Error::io(&self.path))?.len() != self.bytes {
            let source = io::Error::other("the file changed while it was read");
            return Err(Error::Io { path: self.path.clone(), source });
        }
        let row_groups: Vec<_> = groups.iter().map(|group| self.whole.row_groups[*group].clone()).collect();
        let num_rows = row_groups.iter().map(|group| group.num_rows()).sum();
        let metadata = FileMetadata { num_rows, row_groups, ..self.bare.clone() };
        let names = (!columns.is_empty()).then(|| columns.iter().map(PlSmallStr::to_string).collect());
        let read = caught(|| {
            let mut reader = ParquetReader::new(file).with_slice(Some((0, most))).with_columns(names);
            reader.set_metadata(Arc::new(metadata));
            reader.finish()
        });
        read.map_err(|error| damaged(&self.path, &error))
    }
}

fn damaged(path: &Path, error: &PolarsError) -> Error {
    Error::Io { path: path.to_owned(), source: io::Error::new(io::ErrorKind::InvalidData, error.to_string()) }
}
