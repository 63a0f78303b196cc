//! An index as a file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::Mmap;
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors};
use xxhash_rust::xxh3::Xxh3;

use super::lists::{Frequencies, Lists, MANY};
use super::{Bm25, Bm25Params};
use crate::files::{self, Bytes};
use crate::index::array::Array;
use crate::index::strings::Strings;
use crate::{Error, Result, interrupt};

/// What the file says it is.
const FORMAT: &str = "kensaku bm25";
/// Raised when a file means something else than it did.
const VERSION: &str = "1";
const EXPECTED: &str = "an index as `Bm25::save` writes it";

impl Bm25 {
    /// Writes the index, with its settings, to one file, which appears when it is whole. It is in the format safetensors:
    /// other programs can read its tables (see `postings.docs`, `postings.scores`, ..).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        little_endian(path)?;
        let params =
            serde_json::to_string(&self.params).map_err(|source| Error::Json { path: path.to_owned(), source })?;
        let tables = self.tables();
        let hash = hash(&params, tables.iter().map(|(name, table)| (*name, table.bytes)));
        let metadata = [("format", FORMAT), ("version", VERSION), ("params", &params), ("xxh3", &hash)];
        let metadata: HashMap<_, _> = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        files::write_views(path, tables, Some(metadata))
    }

    /// Opens an index that [`save`](Self::save) wrote. It is checked from end to end, then its lists are mapped into memory:
    /// programs that open it share them, and the system may drop what it does not need. Only ids and tables of the terms are
    /// copied. The file must not be written to while it is open; `save` replaces it, which does no harm.
    ///
    /// ```
    /// # use kensaku::data::Corpus;
    /// # use kensaku::index::{Bm25, Bm25Params};
    /// # use kensaku::polars::prelude::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("bm25.safetensors");
    /// let corpus = Corpus::new(df!("doc_id" => ["a", "b"], "text" => ["Cats purr.", "Dogs chase cats."])?)?;
    /// Bm25::new(&corpus, Bm25Params::ANSERINI)?.save(&path)?;
    /// let bm25 = Bm25::load(&path)?;
    /// assert_eq!((bm25.len(), bm25.params()), (2, &Bm25Params::ANSERINI));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// For a file that is not such an index, that a later version of it wrote, or that was damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        interrupt::check("loading an index")?;
        let file = files::open(path)?;
        // SAFETY: nothing here writes to the file, and `save` puts another one in its place. That no other program changes
        // it is asked of the user.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        let read = Read::new(path, Arc::new(map))?;
        let (lists, scores, params) = read.index()?;
        Ok(Self::with(lists, scores, params))
    }

    /// The tables by name.
    fn tables(&self) -> BTreeMap<&'static str, Bytes<'_>> {
        let Lists { ids, lengths, terms, ends, docs, counts } = &self.lists;
        let Frequencies { small, large_at, large } = counts;
        BTreeMap::from([
            (IDS, table(Dtype::U8, &ids.bytes)),
            (IDS_ENDS, table(Dtype::U64, &ids.ends)),
            (LENGTHS, table(Dtype::U32, lengths)),
            (TERMS, table(Dtype::U8, &terms.bytes)),
            (TERMS_ENDS, table(Dtype::U64, &terms.ends)),
            (ENDS, table(Dtype::U64, ends)),
            (DOCS, table(Dtype::U32, docs)),
            (COUNTS, table(Dtype::U8, small)),
            (LARGE_AT, table(Dtype::U64, large_at)),
            (LARGE, table(Dtype::U32, large)),
            (SCORES, table(Dtype::F32, &self.scores)),
        ])
    }
}

const IDS: &str = "docs.ids";
const IDS_ENDS: &str = "docs.ids.ends";
const LENGTHS: &str = "docs.lengths";
const TERMS: &str = "terms";
const TERMS_ENDS: &str = "terms.ends";
const ENDS: &str = "postings.ends";
const DOCS: &str = "postings.docs";
const COUNTS: &str = "postings.counts";
const LARGE_AT: &str = "postings.large.at";
const LARGE: &str = "postings.large.counts";
const SCORES: &str = "postings.scores";

fn table<T: Pod>(dtype: Dtype, values: &[T]) -> Bytes<'_> {
    Bytes { dtype, shape: [values.len()], bytes: bytemuck::cast_slice(values) }
}

/// Of the settings and of all tables by name.
fn hash<'a>(params: &str, tables: impl Iterator<Item = (&'static str, &'a [u8])>) -> String {
    let mut hash = Xxh3::new();
    hash.update(params.as_bytes());
    for (name, bytes) in tables {
        hash.update(name.as_bytes());
        hash.update(bytes);
    }
    format!("{:016x}", hash.digest())
}

/// A file that is read.
struct Read<'a> {
    path: &'a Path,
    map: Arc<Mmap>,
    params: Bm25Params,
    /// Type, start and end of each table.
    places: HashMap<String, (Dtype, usize, usize)>,
}

impl<'a> Read<'a> {
    /// Reads the header, and checks that it fits the rest.
    fn new(path: &'a Path, map: Arc<Mmap>) -> Result<Self> {
        let damaged = |problem: &str| problem_of(path, problem.to_owned());
        little_endian(path)?;
        let (header, metadata) =
            SafeTensors::read_metadata(&map).map_err(|source| Error::Safetensors { path: path.to_owned(), source })?;
        let about = metadata.metadata().clone().unwrap_or_default();
        let about = |key: &str| about.get(key).map_or("", String::as_str);
        if about("format") != FORMAT {
            return Err(damaged("it is another kind of file"));
        }
        if about("version") != VERSION {
            return Err(damaged(&format!("its version is `{}`, and {VERSION} is read", about("version"))));
        }
        let params: Bm25Params =
            serde_json::from_str(about("params")).map_err(|source| Error::Json { path: path.to_owned(), source })?;
        params.check().map_err(|error| error.of_file(path))?;
        let data = size_of::<u64>() + header;
        let place = |info: &safetensors::tensor::TensorInfo| {
            (info.dtype, data + info.data_offsets.0, data + info.data_offsets.1)
        };
        let places: HashMap<_, _> = metadata.tensors().into_iter().map(|(name, info)| (name, place(info))).collect();
        let read = Self { path, map, params, places };
        let names = [COUNTS, DOCS, ENDS, IDS, IDS_ENDS, LARGE, LARGE_AT, LENGTHS, SCORES, TERMS, TERMS_ENDS];
        let mut tables = BTreeMap::new();
        for name in names {
            let (_, start, end) = read.places.get(name).ok_or_else(|| damaged(&format!("it has no `{name}`")))?;
            tables.insert(name, &read.map[*start..*end]);
        }
        if read.places.len() != names.len() {
            return Err(damaged("it has more tables than an index"));
        }
        if hash(about("params"), tables.into_iter()) != about("xxh3") {
            return Err(damaged("it is damaged: its checksum is another one"));
        }
        Ok(read)
    }

    fn table<T: Pod>(&self, name: &str, expected: Dtype) -> Result<Array<T>> {
        let table = self.places.get(name).filter(|(dtype, ..)| *dtype == expected);
        let array = table.and_then(|(_, start, end)| Array::mapped(&self.map, *start, *end));
        array.ok_or_else(|| problem_of(self.path, format!("`{name}` has another type")))
    }

    /// What the file holds. Whatever its bytes are, the numbers in it lead nowhere outside of its tables.
    fn index(self) -> Result<(Lists, Array<f32>, Bm25Params)> {
        let strings = |bytes, ends| -> Result<Strings> {
            let strings = Strings { bytes: self.table(bytes, Dtype::U8)?, ends: self.table(ends, Dtype::U64)? };
            match strings.problem() {
                Some(problem) => Err(problem_of(self.path, format!("`{bytes}` {problem}"))),
                None => Ok(strings),
            }
        };
        let lists = Lists {
            ids: strings(IDS, IDS_ENDS)?,
            lengths: self.table(LENGTHS, Dtype::U32)?,
            terms: strings(TERMS, TERMS_ENDS)?,
            ends: self.table(ENDS, Dtype::U64)?,
            docs: self.table(DOCS, Dtype::U32)?,
            counts: Frequencies {
                small: self.table(COUNTS, Dtype::U8)?,
                large_at: self.table(LARGE_AT, Dtype::U64)?,
                large: self.table(LARGE, Dtype::U32)?,
            },
        };
        let scores: Array<f32> = self.table(SCORES, Dtype::F32)?;
        match problem(&lists, &scores) {
            Some(problem) => Err(problem_of(self.path, problem.to_owned())),
            None => Ok((lists, scores, self.params)),
        }
    }
}

/// What does not fit in tables that were read.
fn problem(lists: &Lists, scores: &[f32]) -> Option<&'static str> {
    let Lists { ids, lengths, terms, ends, docs, counts } = lists;
    if ids.len() != lengths.len() || ids.len() > u32::MAX as usize {
        return Some("its documents have another number of lengths");
    }
    if terms.len() != ends.len() || terms.len() >= u32::MAX as usize {
        return Some("its terms have another number of lists");
    }
    if !ends.is_sorted() || ends.last().copied().unwrap_or(0) != docs.len() as u64 {
        return Some("its lists have no order");
    }
    if docs.len() != scores.len() || docs.len() != counts.small.len() {
        return Some("its entries have another number of scores or counts");
    }
    let ascends = |term: usize| {
        let docs = &docs[lists.range(term)];
        docs.is_sorted_by(|a, b| a < b) && docs.last().is_some_and(|doc| (*doc as usize) < ids.len())
    };
    if !(0..terms.len()).into_par_iter().with_min_len(1_024).all(ascends) {
        return Some("a list has no order, no documents, or some that there are not");
    }
    if !scores.par_iter().with_min_len(1 << 16).all(|score| score.is_finite() && *score >= 0.0) {
        return Some("a score is not a number of at least 0");
    }
    let many = (0_u64..).zip(counts.small.iter()).filter(|(_, count)| **count == MANY).map(|(place, _)| place);
    let fit = counts.large.len() == counts.large_at.len() && counts.large.iter().all(|count| *count >= MANY.into());
    if !fit || counts.small.contains(&0) || !many.eq(counts.large_at.iter().copied()) {
        return Some("a count is missing");
    }
    None
}

/// Tables are written and read as they lie in memory.
fn little_endian(path: &Path) -> Result<()> {
    let problem = "its numbers would be little-endian, those of this machine are not";
    if cfg!(target_endian = "little") { Ok(()) } else { Err(problem_of(path, problem.to_owned())) }
}

fn problem_of(path: &Path, problem: String) -> Error {
    Error::Index { path: path.to_owned(), problem, expected: EXPECTED.to_owned() }
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;
    use crate::data::Corpus;
    use crate::text::{Analyzer, Tokenizer, WordPieceConfig};

    fn index(params: Bm25Params) -> Bm25 {
        let texts = ["cats purr", "dogs chase cats", "", &"many ".repeat(300)];
        let corpus = df!("doc_id" => ["a", "b", "c", "d"], "text" => texts).unwrap();
        Bm25::new(&Corpus::new(corpus).unwrap(), params).unwrap()
    }

    #[test]
    fn what_is_loaded_is_what_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.safetensors");
        let tokenizer = Tokenizer::train_wordpiece(&["cats purr"], &WordPieceConfig::default()).unwrap();
        let pieces = Bm25Params { analyzer: Analyzer::WordPieces(tokenizer), ..Bm25Params::ATIRE };
        for params in [Bm25Params::BM25_PLUS, pieces] {
            let saved = index(params);
            saved.save(&path).unwrap();
            let mut loaded = Bm25::load(&path).unwrap();
            assert_eq!((&loaded.lists, &loaded.scores, &loaded.best), (&saved.lists, &saved.scores, &saved.best));
            assert_eq!(loaded.params, saved.params);
            assert!(matches!(loaded.scores, Array::Mapped { .. }));
            assert_eq!(loaded.search_text("cats", 5).unwrap(), saved.search_text("cats", 5).unwrap());
            // Over the file that is mapped.
            loaded.save(&path).unwrap();
            let more = df!("doc_id" => ["e"], "text" => ["cats"]).unwrap();
            loaded.add(&Corpus::new(more).unwrap()).unwrap();
            loaded.save(&path).unwrap();
            assert_eq!(Bm25::load(&path).unwrap().len(), 5);
        }
        let empty =
            Bm25::new(&Corpus::new(df!("doc_id" => [""; 0], "text" => [""; 0]).unwrap()).unwrap(), Bm25Params::LUCENE);
        empty.unwrap().save(&path).unwrap();
        assert!(Bm25::load(&path).unwrap().is_empty());
    }

    #[test]
    fn a_file_that_is_damaged_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.safetensors");
        index(Bm25Params::LUCENE).save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let message = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let message = Bm25::load(&path).map(drop).unwrap_err().to_string();
            assert!(message.starts_with(path.to_str().unwrap()), "{message}");
            message
        };
        for end in [0, 7, bytes.len() / 2, bytes.len() - 1] {
            message(&bytes[..end]);
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            message(&changed);
        }
        let version = br#""version":"1""#;
        let place = bytes.windows(version.len()).position(|part| part == version).unwrap() + version.len() - 2;
        let mut later = bytes.clone();
        later[place] = b'2';
        assert!(message(&later).contains("its version is `2`, and 1 is read"), "{}", message(&later));
        assert!(message(b"cats and dogs").contains("header"));
    }
}
