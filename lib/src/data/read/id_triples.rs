//! Triples of ids, as ColBERT and MS MARCO have them.

use std::collections::HashMap;
use std::path::Path;

use polars::prelude::*;
use serde_json::Value;

use super::Table;
use super::cells::Fault;
use crate::Result;
use crate::data::source::Lines;
use crate::data::{Corpus, Queries, TrainingSet, negative_column};

/// Reads examples that are ids of queries and documents, one a line: `[query, positive, negative, ..]` as JSON, which is
/// what ColBERT's `triples.json` holds, or three ids or more with tabs between them, as MS MARCO's `qidpidtriples.tsv`.
///
/// A document may be `[id, score]`, for all or for none: then the label of an example is the list of its documents' scores.
/// Texts are those of `queries` and `corpus` ([`Corpus::texts`]) and are shared, not copied; `query_id` and `positive_id`
/// are kept. An unknown id and a line with another number of documents than the first one are errors with their line.
///
/// ```
/// # let path = std::env::temp_dir().join("kensaku-id-triples-example.json");
/// # std::fs::write(&path, "[1, 7, 8]\n[2, 8, 7]\n").unwrap();
/// use kensaku::data::{Corpus, Queries, read};
/// use kensaku::polars::prelude::df;
///
/// let queries = Queries::from_texts(["capital of France", "second city"])?;
/// let corpus = Corpus::new(df!("doc_id" => [7, 8], "text" => ["Paris", "Lyon"])?)?;
/// let triples = read::id_triples(&path, &queries, &corpus)?;
/// assert_eq!(triples.columns().iter().map(|texts| &texts[1]).collect::<Vec<_>>(), ["second city", "Lyon", "Paris"]);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "colbert_triples")]
#[doc(alias = "qidpidtriples")]
pub fn id_triples(path: impl AsRef<Path>, queries: &Queries, corpus: &Corpus) -> Result<TrainingSet> {
    let path = path.as_ref();
    let known = Known { queries: numbered(queries.iter_ids()), docs: numbered(corpus.iter_ids()) };
    let mut lines = Lines::open(path)?;
    let mut rows = Rows::default();
    let mut number = 0;
    while let Some(line) = lines.next_line()? {
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let read = fields(line).and_then(|fields| rows.push(number, &fields, &known));
        if let Err((problem, expected)) = read {
            return Err(lines.error(problem, expected));
        }
    }
    rows.finish(path, queries, corpus)
}

/// The number of each id.
fn numbered<'a>(ids: impl Iterator<Item = &'a str>) -> HashMap<&'a str, IdxSize> {
    ids.enumerate().map(|(row, id)| (id, row as IdxSize)).collect()
}

struct Known<'a> {
    queries: HashMap<&'a str, IdxSize>,
    docs: HashMap<&'a str, IdxSize>,
}

/// An id, with a score.
type IdAndScore = (String, Option<f32>);

fn fields(line: &str) -> Result<Vec<IdAndScore>, Fault> {
    if !line.trim_ascii_start().starts_with('[') {
        return Ok(line.split('\t').map(|id| (id.trim_ascii().to_owned(), None)).collect());
    }
    let fault = |problem: String| (problem, "`[query, positive, negative, ..]`".to_owned());
    let values: Vec<Value> = serde_json::from_str(line).map_err(|error| fault(super::jsonl::problem(&error, line)))?;
    let field = |value: &Value| match value {
        Value::String(id) => Ok((id.clone(), None)),
        Value::Number(id) if id.is_i64() || id.is_u64() => Ok((id.to_string(), None)),
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(id), Value::Number(score)] => Ok((id.clone(), score.as_f64().map(|score| score as f32))),
            [Value::Number(id), Value::Number(score)] => Ok((id.to_string(), score.as_f64().map(|score| score as f32))),
            _ => Err(fault(format!("`{value}`"))),
        },
        value => Err(fault(format!("`{value}`"))),
    };
    values.iter().map(field).collect()
}

/// Rows of the queries and of the corpus.
#[derive(Default)]
struct Rows {
    lines: Vec<usize>,
    queries: Vec<IdxSize>,
    /// Column by column.
    docs: Vec<Vec<IdxSize>>,
    scores: Vec<Vec<f32>>,
}

impl Rows {
    fn push(&mut self, line: usize, fields: &[IdAndScore], known: &Known) -> Result<(), Fault> {
        let [(query, None), docs @ ..] = fields else {
            return Err(("no query".to_owned(), "a query id, then document ids".to_owned()));
        };
        if self.lines.is_empty() {
            self.docs = vec![Vec::new(); docs.len()];
        }
        if docs.len() != self.docs.len() || docs.is_empty() {
            let expected = match self.docs.len() {
                0 => "at least one".to_owned(),
                count => format!("{count}, as on the first line"),
            };
            return Err((format!("{} documents", docs.len()), expected));
        }
        let scores: Vec<f32> = docs.iter().filter_map(|(_, score)| *score).collect();
        let scored = if self.lines.is_empty() { !scores.is_empty() } else { !self.scores.is_empty() };
        if scores.len() != if scored { docs.len() } else { 0 } {
            return Err((format!("{} scores", scores.len()), "one for every document of the file, or none".to_owned()));
        }
        let find = |kind: &str, known: &HashMap<&str, IdxSize>, id: &str| {
            let unknown = || (format!("unknown {kind} id `{id}`"), format!("one of {}", known.len()));
            known.get(id).copied().ok_or_else(unknown)
        };
        let query = find("query", &known.queries, query)?;
        let docs = docs.iter().map(|(id, _)| find("document", &known.docs, id)).collect::<Result<Vec<_>, _>>()?;
        self.lines.push(line);
        self.queries.push(query);
        self.docs.iter_mut().zip(docs).for_each(|(column, doc)| column.push(doc));
        if scored {
            self.scores.push(scores);
        }
        Ok(())
    }

    fn finish(self, path: &Path, queries: &Queries, corpus: &Corpus) -> Result<TrainingSet> {
        let texts = match corpus.frame().schema().contains("title") {
            true => Column::new("text".into(), corpus.texts()),
            false => corpus.frame().column("text")?.clone(),
        };
        let take = |column: &Column, rows: &[IdxSize], name: &str| -> Result<Column> {
            Ok(column.take(&IdxCa::from_slice("rows".into(), rows))?.with_name(name.into()))
        };
        let mut columns = vec![take(queries.frame().column("text")?, &self.queries, "query")?];
        for (index, docs) in self.docs.iter().enumerate() {
            let name = if index == 0 { "positive".to_owned() } else { negative_column(index) };
            columns.push(take(&texts, docs, &name)?);
        }
        columns.push(take(queries.frame().column("query_id")?, &self.queries, "query_id")?);
        if let Some(positives) = self.docs.first() {
            columns.push(take(corpus.frame().column("doc_id")?, positives, "positive_id")?);
        }
        if !self.scores.is_empty() {
            let lists = self.scores.into_iter().map(|scores| Series::new("".into(), scores)).collect::<Vec<_>>();
            columns.push(Column::new("label".into(), lists));
        }
        Table::new(path, self.lines, columns, Vec::new())?.training_set()
    }
}
