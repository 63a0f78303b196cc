//! An index as a file: tables of numbers by name, settings, a version and a checksum, in the format safetensors. It is mapped
//! into memory.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use bytemuck::Pod;
use half::f16;
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::Xxh3;

use super::array::Array;
use super::strings::Strings;
use crate::files::{self, Bytes};
use crate::{Error, Result, interrupt};

/// A kind of file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    /// What a file says it is, such as `kensaku bm25`.
    pub(super) name: &'static str,
    /// Raised when a file means something else than it did.
    pub(super) version: &'static str,
    /// Whose files are read, such as ``an index as `Bm25::save` writes it``.
    pub(super) expected: &'static str,
}

/// A file that is read: its tables are taken one by one.
pub(super) struct File<'a> {
    path: &'a Path,
    format: Format,
    map: Arc<Mmap>,
    params: String,
    /// Type, start and end of each table.
    tables: BTreeMap<String, (Dtype, usize, usize)>,
}

/// A number that tables hold.
pub(super) trait Number: Pod {
    const DTYPE: Dtype;
}

macro_rules! numbers {
    ($($number:ty: $dtype:ident),*) => {
        $(impl Number for $number {
            const DTYPE: Dtype = Dtype::$dtype;
        })*
    };
}

numbers!(u8: U8, u32: U32, u64: U64, f16: F16, f32: F32);

/// A table of one row.
pub(super) fn row<T: Number>(values: &[T]) -> Bytes<'_> {
    Bytes { dtype: T::DTYPE, shape: vec![values.len()], bytes: bytemuck::cast_slice(values) }
}

/// A table of rows of this width, row-major.
pub(super) fn matrix<T: Number>(values: &[T], width: usize) -> Bytes<'_> {
    Bytes { shape: vec![values.len() / width.max(1), width], ..row(values) }
}

impl Format {
    /// Writes a file, which appears when it is whole.
    pub(super) fn write<'a>(
        self,
        path: &Path,
        params: &impl Serialize,
        tables: impl IntoIterator<Item = (&'static str, Bytes<'a>)>,
    ) -> Result<()> {
        self.little_endian(path)?;
        let params = serde_json::to_string(params).map_err(|source| Error::Json { path: path.to_owned(), source })?;
        let tables: BTreeMap<_, _> = tables.into_iter().collect();
        let hash = hash(&params, tables.iter().map(|(name, table)| (*name, table.bytes)));
        let metadata = [("format", self.name), ("version", self.version), ("params", &params), ("xxh3", &hash)];
        let metadata: HashMap<_, _> = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        files::write_views(path, tables, Some(metadata))
    }

    /// Opens a file and checks it from end to end. It must not be written to while it is open; [`write`](Self::write) puts
    /// another one in its place.
    ///
    /// Errors: another kind of file; one that a later version wrote, or that was damaged.
    pub(super) fn open(self, path: &Path) -> Result<File<'_>> {
        interrupt::check("loading an index")?;
        self.little_endian(path)?;
        let file = files::open(path)?;
        // SAFETY: nothing here writes to the file, and `write` puts another one in its place. That no other program changes
        // it is asked of the user.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        let (header, metadata) =
            SafeTensors::read_metadata(&map).map_err(|source| Error::Safetensors { path: path.to_owned(), source })?;
        let about = metadata.metadata().clone().unwrap_or_default();
        let about = |key: &str| about.get(key).map_or("", String::as_str);
        if about("format") != self.name {
            return Err(self.problem(path, "it is another kind of file"));
        }
        if about("version") != self.version {
            let problem = format!("its version is `{}`, and {} is read", about("version"), self.version);
            return Err(self.problem(path, problem));
        }
        let data = size_of::<u64>() + header;
        let place = |info: &safetensors::tensor::TensorInfo| {
            (info.dtype, data + info.data_offsets.0, data + info.data_offsets.1)
        };
        let tables: BTreeMap<_, _> = metadata.tensors().into_iter().map(|(name, info)| (name, place(info))).collect();
        let bytes = tables.iter().map(|(name, (_, start, end))| (name.as_str(), &map[*start..*end]));
        if hash(about("params"), bytes) != about("xxh3") {
            return Err(self.problem(path, "it is damaged: its checksum is another one"));
        }
        let params = about("params").to_owned();
        Ok(File { path, format: self, map: Arc::new(map), params, tables })
    }

    /// Tables are written and read as they lie in memory.
    fn little_endian(self, path: &Path) -> Result<()> {
        let problem = "its numbers would be little-endian, those of this machine are not";
        if cfg!(target_endian = "little") { Ok(()) } else { Err(self.problem(path, problem)) }
    }

    fn problem(self, path: &Path, problem: impl Into<String>) -> Error {
        Error::Index { path: path.to_owned(), problem: problem.into(), expected: self.expected.to_owned() }
    }
}

impl File<'_> {
    /// The settings.
    pub(super) fn params<P: DeserializeOwned>(&self) -> Result<P> {
        serde_json::from_str(&self.params).map_err(|source| Error::Json { path: self.path.to_owned(), source })
    }

    /// The numbers of a table, where they lie. What they mean is for the caller to check: the file may be anyone's.
    pub(super) fn take<T: Number>(&mut self, name: &str) -> Result<Array<T>> {
        let table = self.tables.remove(name);
        let (dtype, start, end) = table.ok_or_else(|| self.problem(format!("it has no `{name}`")))?;
        let array = if dtype == T::DTYPE { Array::mapped(&self.map, start, end) } else { None };
        array.ok_or_else(|| self.problem(format!("`{name}` has another type")))
    }

    /// Strings that are sorted, without repetitions: their bytes, and where each ends.
    pub(super) fn take_strings(&mut self, bytes: &str, ends: &str) -> Result<Strings> {
        let strings = self.take_texts(bytes, ends)?;
        match strings.disorder() {
            Some(problem) => Err(self.problem(format!("`{bytes}` {problem}"))),
            None => Ok(strings),
        }
    }

    /// Strings in any order.
    pub(super) fn take_texts(&mut self, bytes: &str, ends: &str) -> Result<Strings> {
        let strings = Strings { bytes: self.take(bytes)?, ends: self.take(ends)? };
        match strings.damage() {
            Some(problem) => Err(self.problem(format!("`{bytes}` {problem}"))),
            None => Ok(strings),
        }
    }

    /// An error unless all tables were taken.
    pub(super) fn end(&self) -> Result<()> {
        match self.tables.keys().next() {
            Some(name) => Err(self.problem(format!("it has more tables than an index, such as `{name}`"))),
            None => Ok(()),
        }
    }

    /// An error about what the file holds.
    pub(super) fn problem(&self, problem: impl Into<String>) -> Error {
        self.format.problem(self.path, problem)
    }
}

/// Of the settings and of all tables by name.
fn hash<'a>(params: &str, tables: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hash = Xxh3::new();
    hash.update(params.as_bytes());
    for (name, bytes) in tables {
        hash.update(name.as_bytes());
        hash.update(bytes);
    }
    format!("{:016x}", hash.digest())
}

/// Asserts that a file is refused by its name when it is cut short, and when any byte of it is another one.
#[cfg(test)]
pub(super) fn assert_damage_is_refused(path: &Path, load: impl Fn(&Path) -> Result<()>) {
    let bytes = std::fs::read(path).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(path, bytes).unwrap();
        let message = load(path).unwrap_err().to_string();
        assert!(message.starts_with(path.to_str().unwrap()), "{message}");
    };
    [0, 7, bytes.len() / 2, bytes.len() - 1].into_iter().for_each(|end| refused(&bytes[..end]));
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        refused(&changed);
    }
}
