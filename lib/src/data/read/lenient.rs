//! The files of a BEIR folder with what cannot be used left out, and counted.

use std::collections::HashSet;
use std::path::Path;

use polars::prelude::*;

use super::report::{DROPPED, ReadReport};
use super::{Table, jsonl};
use crate::Result;
use crate::data::source::Lines;
use crate::data::{Corpus, Qrels, Queries};

/// The name of a file in a report: with its folder if that is `qrels`.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match path.parent().and_then(Path::file_name).is_some_and(|folder| folder == "qrels") {
        true => format!("qrels/{name}"),
        false => name,
    }
}

fn table(path: &Path, report: &mut ReadReport) -> Result<Table> {
    let mut lines = Lines::open_lossy(path)?;
    let table = jsonl::table(path, &mut lines)?;
    report.oddities(&name_of(path), lines.oddities());
    Ok(table)
}

/// What one kind of rows is called in a report.
struct Words {
    none: &'static str,
    twice: &'static str,
    empty: &'static str,
    tab: &'static str,
}

const DOCS: Words = Words {
    none: "document without an id",
    twice: "duplicate document id",
    empty: "empty document",
    tab: "tab in a document",
};
const QUERIES: Words =
    Words { none: "query without an id", twice: "duplicate query id", empty: "empty query", tab: "tab in a query" };

pub(super) fn corpus(path: &Path, report: &mut ReadReport) -> Result<Corpus> {
    let table = table(path, report)?.rename(&[("_id", "doc_id")])?;
    clean(table, "doc_id", &["title", "text"], &DOCS, report)?.corpus()
}

pub(super) fn queries(path: &Path, report: &mut ReadReport) -> Result<Queries> {
    let table = table(path, report)?.rename(&[("_id", "query_id")])?;
    clean(table, "query_id", &["text"], &QUERIES, report)?.queries()
}

/// Keeps the first row of each id, if it has a text. A null among those is an empty text.
fn clean(table: Table, id: &str, texts: &[&str], words: &Words, report: &mut ReadReport) -> Result<Table> {
    let file = name_of(table.path());
    let there: Vec<&str> = texts.iter().copied().filter(|name| table.frame().schema().contains(name)).collect();
    let (kept, text) = {
        let ids = table.ids(id)?;
        let columns = there.iter().map(|name| table.texts(name)).collect::<Result<Vec<_>>>()?;
        let mut seen = HashSet::new();
        let mut kept = Vec::with_capacity(ids.len());
        for (row, (id, line)) in ids.iter().zip(table.lines()).enumerate() {
            let cells = || columns.iter().filter_map(|column| column.get(row));
            let problem = match id {
                None => Some(words.none),
                Some(id) if !seen.insert(id) => Some(words.twice),
                Some(_) if cells().all(|text| text.trim().is_empty()) => Some(words.empty),
                Some(_) => None,
            };
            if let Some(problem) = problem {
                report.note(&file, problem, DROPPED, *line, id.unwrap_or_default());
            } else if cells().any(|text| text.contains('\t')) {
                report.note(&file, words.tab, "kept", *line, id.unwrap_or_default());
            }
            kept.push(problem.is_none());
        }
        let text = columns.last().filter(|_| there.last() == Some(&"text"));
        let full = text.map(|text| text.iter().map(Option::unwrap_or_default).collect::<StringChunked>());
        (kept, full)
    };
    let table = match text {
        Some(text) => table.with_column(text.with_name("text".into()).into_column())?,
        None => table,
    };
    table.filter(&kept)
}

/// A line of judgements: its number, query, document and grade.
type Judged = (usize, String, String, String);

/// The judgements of known queries and documents; of a document that is judged twice the first one.
pub(super) fn qrels(
    path: &Path,
    query_ids: &HashSet<&str>,
    doc_ids: &HashSet<&str>,
    report: &mut ReadReport,
) -> Result<Qrels> {
    let file = name_of(path);
    let judged = if file.contains(".jsonl") { of_json(path, report)? } else { of_tsv(path, &file, report)? };
    let mut qrels = Qrels::new();
    for (line, query, doc, grade) in judged {
        let number = grade.parse::<f64>().ok().filter(|grade| grade.fract() == 0.0 && grade.abs() < 1e15);
        let before = qrels.judgements(&query).and_then(|judged| judged.get(&doc)).copied();
        let (problem, example) = match (number, before) {
            (None, _) => ("grade that is no whole number", &grade),
            _ if !query_ids.contains(query.as_str()) => ("unknown query id", &query),
            _ if !doc_ids.contains(doc.as_str()) => ("unknown document id", &doc),
            (Some(grade), Some(before)) if before != grade as i64 => ("second grade of a document", &doc),
            (Some(_), Some(_)) => ("judgement that is there twice", &doc),
            (Some(grade), None) => {
                qrels.insert(query, doc, grade as i64);
                continue;
            }
        };
        report.note(&file, problem, DROPPED, line, example);
    }
    Ok(qrels)
}

fn of_tsv(path: &Path, file: &str, report: &mut ReadReport) -> Result<Vec<Judged>> {
    let mut lines = Lines::open_lossy(path)?;
    let (mut judged, mut number) = (Vec::new(), 0);
    while let Some(line) = lines.next_line()? {
        number += 1;
        // The first line has the names.
        if number == 1 || line.trim().is_empty() {
            continue;
        }
        match line.split('\t').collect::<Vec<_>>().as_slice() {
            [query, doc, grade] => {
                judged.push((number, (*query).to_owned(), (*doc).to_owned(), grade.trim().to_owned()));
            }
            cells => report.note(file, "line without three cells", DROPPED, number, &format!("{} cells", cells.len())),
        }
    }
    report.oddities(file, lines.oddities());
    Ok(judged)
}

fn of_json(path: &Path, report: &mut ReadReport) -> Result<Vec<Judged>> {
    let table = table(path, report)?;
    let grades = table.frame().column("score").map(|grades| grades.cast(&DataType::String));
    let (queries, docs, grades) = (table.ids("query-id")?, table.ids("corpus-id")?, grades??);
    let cells = queries.iter().zip(docs.iter()).zip(grades.str()?.iter()).zip(table.lines());
    let text = |cell: Option<&str>| cell.unwrap_or_default().to_owned();
    Ok(cells.map(|(((query, doc), grade), line)| (*line, text(query), text(doc), text(grade))).collect())
}
