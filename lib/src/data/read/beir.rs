//! A BEIR folder.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::report::ReadReport;
use super::{Csv, Table, csv, jsonl, lenient};
use crate::data::{Dataset, Qrels};
use crate::{Error, Result};

/// Reads a folder in the format of BEIR (Thakur et al. 2021): `corpus.jsonl` (`_id`, `title`, `text`),
/// `queries.jsonl` (`_id`, `text`; the queries of all splits) and `qrels/<split>.tsv` with a header
/// (`query-id`, `corpus-id`, `score`), or `qrels/<split>.jsonl` with these keys. Each file may be
/// compressed (`corpus.jsonl.gz`, `.zst`).
///
/// The data set is named after the folder, its splits after the files. A judgement for an unknown
/// document or query is an error with file and line. Some published sets have such judgements:
/// [`beir_with`] leaves them out and counts them.
///
/// ```no_run
/// use kensaku::data::read::{self, Csv};
///
/// let data = read::beir("scifact")?;
/// let test = data.split("test")?;
///
/// // The parts alone:
/// let names = [("query-id", "query_id"), ("corpus-id", "doc_id"), ("score", "grade")];
/// let judged = read::csv("arguana/qrels/test.tsv", &Csv::tsv())?.rename(&names)?.qrels()?;
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn beir(folder: impl AsRef<Path>) -> Result<Dataset> {
    beir_with(folder, Strictness::Strict).map(|(data, _)| data)
}

/// What is done about lines that cannot be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strictness {
    /// They are errors, with file and line.
    #[default]
    Strict,
    /// They are left out and counted.
    Lenient,
}

/// The same as [`beir`], with a report. [`Strictness::Lenient`] leaves out what cannot be used and counts it:
///
/// | in | left out |
/// |---|---|
/// | documents, queries | one without an id; one whose id was there above; one without a text |
/// | judgements | a line without three cells; a grade that is no whole number; an unknown query or document, also one that was left out; one that was there above |
///
/// Bytes that are not UTF-8 become U+FFFD. Byte order marks, carriage returns at the ends of lines and texts with tabs are
/// counted, too, and change nothing.
///
/// ```
/// # let folder = std::env::temp_dir().join("kensaku-lenient-example");
/// # std::fs::create_dir_all(folder.join("qrels")).unwrap();
/// # std::fs::write(folder.join("corpus.jsonl"), "{\"_id\": \"a\", \"text\": \"first\"}\n{\"_id\": \"b\", \"text\": \"\"}\n").unwrap();
/// # std::fs::write(folder.join("queries.jsonl"), "{\"_id\": \"q\", \"text\": \"which\"}\n").unwrap();
/// # std::fs::write(folder.join("qrels/test.tsv"), "query-id\tcorpus-id\tscore\nq\ta\t1\nq\tb\t1\n").unwrap();
/// use kensaku::data::read::{self, Strictness};
///
/// let (data, report) = read::beir_with(&folder, Strictness::Lenient)?;
/// assert_eq!((data.corpus.len(), report.dropped()), (1, 2));
/// assert_eq!(report.to_string(), "corpus.jsonl: 1 x empty document, first in line 2 (b): dropped\n\
///                                 qrels/test.tsv: 1 x unknown document id, first in line 3 (b): dropped");
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn beir_with(folder: impl AsRef<Path>, strictness: Strictness) -> Result<(Dataset, ReadReport)> {
    let folder = folder.as_ref();
    let part = |name: &str| find(folder, name).ok_or_else(|| not_there(folder, name));
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let files = BeirFiles {
        name: name.unwrap_or_else(|| "beir".to_owned()),
        corpus: part("corpus.jsonl")?,
        queries: part("queries.jsonl")?,
        qrels: splits(&folder.join("qrels"))?,
    };
    files.read(strictness)
}

/// The files of a data set, wherever they are.
pub(crate) struct BeirFiles {
    pub(crate) name: String,
    pub(crate) corpus: PathBuf,
    pub(crate) queries: PathBuf,
    /// By split.
    pub(crate) qrels: BTreeMap<String, PathBuf>,
}

impl BeirFiles {
    pub(crate) fn read(self, strictness: Strictness) -> Result<(Dataset, ReadReport)> {
        let mut report = ReadReport::default();
        let (corpus, queries) = match strictness {
            Strictness::Strict => (
                jsonl(&self.corpus)?.rename(&[("_id", "doc_id")])?.corpus()?,
                jsonl(&self.queries)?.rename(&[("_id", "query_id")])?.queries()?,
            ),
            Strictness::Lenient => {
                (lenient::corpus(&self.corpus, &mut report)?, lenient::queries(&self.queries, &mut report)?)
            }
        };
        let ids = Ids { docs: corpus.iter_ids().collect(), queries: queries.iter_ids().collect() };
        let mut qrels = BTreeMap::new();
        for (split, path) in self.qrels {
            let judged = match strictness {
                Strictness::Lenient => lenient::qrels(&path, &ids.queries, &ids.docs, &mut report)?,
                Strictness::Strict => {
                    let lines = path.file_name().is_some_and(|name| name.to_string_lossy().contains(".jsonl"));
                    ids.qrels(if lines { jsonl(path)? } else { csv(path, &Csv::tsv())? })?
                }
            };
            qrels.insert(split, judged);
        }
        drop(ids);
        Ok((Dataset::new(self.name, corpus, queries, qrels)?, report))
    }
}

/// The file of that name, or the compressed one.
pub(crate) fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    ["", ".gz", ".zst"].iter().map(|end| folder.join(format!("{name}{end}"))).find(|path| path.exists())
}

/// Some downloads are a folder of data sets.
fn not_there(folder: &Path, name: &str) -> Error {
    let within = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut having: Vec<String> = within
        .filter(|path| find(path, name).is_some())
        .filter_map(|path| Some(format!("`{}`", path.file_name()?.to_string_lossy())))
        .collect();
    having.sort();
    let mut problem = "no such file".to_owned();
    if !having.is_empty() {
        problem += &format!("; folders of data sets here: {}", having.join(", "));
    }
    Error::Io { path: folder.join(name), source: io::Error::new(io::ErrorKind::NotFound, problem) }
}

/// The files of judgements by split.
pub(crate) fn splits(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut splits = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        let Some(split) = name.strip_suffix(".tsv").or_else(|| name.strip_suffix(".jsonl")) else { continue };
        if let Some(other) = splits.insert(split.to_owned(), path.clone()) {
            let problem = format!("a second file of this split, beside {}", other.display());
            return Err(Error::Io { path, source: io::Error::new(io::ErrorKind::InvalidData, problem) });
        }
    }
    if splits.is_empty() {
        let problem = "no judgements; expected `<split>.tsv` or `<split>.jsonl`";
        return Err(Error::Io { path: folder.to_owned(), source: io::Error::new(io::ErrorKind::NotFound, problem) });
    }
    Ok(splits)
}

struct Ids<'a> {
    docs: HashSet<&'a str>,
    queries: HashSet<&'a str>,
}

impl Ids<'_> {
    fn qrels(&self, table: Table) -> Result<Qrels> {
        let table = table.rename(&[("query-id", "query_id"), ("corpus-id", "doc_id"), ("score", "grade")])?;
        check(&table, "query_id", "query", &self.queries, "queries.jsonl")?;
        check(&table, "doc_id", "document", &self.docs, "corpus.jsonl")?;
        table.qrels()
    }
}

fn check(table: &Table, column: &str, kind: &str, known: &HashSet<&str>, file: &str) -> Result<()> {
    for (row, id) in table.ids(column)?.iter().enumerate() {
        if let Some(id) = id.filter(|id| !known.contains(id)) {
            let expected = format!("one of the {} ids of {file}", known.len());
            return Err(table.origin().row(row, column, format!("unknown {kind} id `{id}`"), expected));
        }
    }
    Ok(())
}
