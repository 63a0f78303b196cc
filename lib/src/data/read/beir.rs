//! A BEIR folder.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::{Csv, Table, csv, jsonl};
use crate::data::frames::strings;
use crate::data::{Dataset, Qrels};
use crate::{Error, Result};

/// Reads a folder in the format of BEIR (Thakur et al. 2021): `corpus.jsonl` (`_id`, `title`, `text`),
/// `queries.jsonl` (`_id`, `text`; the queries of all splits) and `qrels/<split>.tsv` with a header
/// (`query-id`, `corpus-id`, `score`).
///
/// The data set is named after the folder, its splits after the files. A judgement for an unknown
/// document or query is an error with file and line.
///
/// ```no_run
/// let data = kensaku::data::read::beir("scifact")?;
/// let test = data.split("test")?;
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn beir(folder: impl AsRef<Path>) -> Result<Dataset> {
    let folder = folder.as_ref();
    let corpus = jsonl(folder.join("corpus.jsonl"))?.rename(&[("_id", "doc_id")])?.corpus()?;
    let queries = jsonl(folder.join("queries.jsonl"))?.rename(&[("_id", "query_id")])?.queries()?;
    let ids = Ids { docs: corpus.doc_ids().into_iter().collect(), queries: queries.query_ids().into_iter().collect() };
    let mut qrels = BTreeMap::new();
    for split in splits(&folder.join("qrels"))? {
        let table = csv(folder.join("qrels").join(format!("{split}.tsv")), &Csv::tsv())?;
        qrels.insert(split, ids.qrels(table)?);
    }
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    Dataset::new(name.unwrap_or_else(|| "beir".to_owned()), corpus, queries, qrels)
}

fn splits(folder: &Path) -> Result<Vec<String>> {
    let mut splits = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "tsv") {
            splits.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    splits.sort();
    Ok(splits)
}

struct Ids {
    docs: HashSet<String>,
    queries: HashSet<String>,
}

impl Ids {
    fn qrels(&self, table: Table) -> Result<Qrels> {
        let table = table.rename(&[("query-id", "query_id"), ("corpus-id", "doc_id"), ("score", "grade")])?;
        check(&table, "query_id", "query", &self.queries, "queries.jsonl")?;
        check(&table, "doc_id", "document", &self.docs, "corpus.jsonl")?;
        table.qrels()
    }
}

fn check(table: &Table, column: &str, kind: &str, known: &HashSet<String>, file: &str) -> Result<()> {
    let ids = strings(table.frame(), column);
    match ids.iter().position(|id| !known.contains(id)) {
        None => Ok(()),
        Some(row) => Err(table.place().row(
            row,
            column,
            format!("unknown {kind} id `{}`", ids[row]),
            format!("one of the {} ids of {file}", known.len()),
        )),
    }
}
