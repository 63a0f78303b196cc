//! A BEIR folder.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::{Csv, Table, csv, jsonl};
use crate::data::{Dataset, Qrels};
use crate::{Error, Result};

/// Reads a folder in the format of BEIR (Thakur et al. 2021): `corpus.jsonl` (`_id`, `title`, `text`),
/// `queries.jsonl` (`_id`, `text`; the queries of all splits) and `qrels/<split>.tsv` with a header
/// (`query-id`, `corpus-id`, `score`), or `qrels/<split>.jsonl` with these keys. Each file may be
/// compressed (`corpus.jsonl.gz`).
///
/// The data set is named after the folder, its splits after the files. A judgement for an unknown
/// document or query is an error with file and line. Some published sets have such judgements: read
/// their parts with [`jsonl`] and [`csv`], as here the judgements, and evaluate with those.
///
/// ```no_run
/// use kensaku::data::read::{self, Csv};
///
/// let data = read::beir("scifact")?;
/// let test = data.split("test")?;
///
/// let names = [("query-id", "query_id"), ("corpus-id", "doc_id"), ("score", "grade")];
/// let judged = read::csv("arguana/qrels/test.tsv", &Csv::tsv())?.rename(&names)?.qrels()?;
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn beir(folder: impl AsRef<Path>) -> Result<Dataset> {
    let folder = folder.as_ref();
    let part = |name: &str| find(folder, name).ok_or_else(|| not_there(folder, name));
    let corpus = jsonl(part("corpus.jsonl")?)?.rename(&[("_id", "doc_id")])?.corpus()?;
    let queries = jsonl(part("queries.jsonl")?)?.rename(&[("_id", "query_id")])?.queries()?;
    let ids = Ids { docs: corpus.iter_ids().collect(), queries: queries.iter_ids().collect() };
    let mut qrels = BTreeMap::new();
    for (split, path) in splits(&folder.join("qrels"))? {
        let lines = path.file_name().is_some_and(|name| name.to_string_lossy().contains(".jsonl"));
        let table = if lines { jsonl(path)? } else { csv(path, &Csv::tsv())? };
        qrels.insert(split, ids.qrels(table)?);
    }
    drop(ids);
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    Dataset::new(name.unwrap_or_else(|| "beir".to_owned()), corpus, queries, qrels)
}

/// The file of that name, or the compressed one.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [name.to_owned(), format!("{name}.gz")].map(|name| folder.join(name)).into_iter().find(|path| path.exists())
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
fn splits(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut splits = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
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
