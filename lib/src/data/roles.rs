//! Which column of a training set is what.

use polars::prelude::*;

use super::frames::{column, columns, texts};
use super::origin::Origin;
use crate::{Error, Result};

const QUERIES: [&str; 4] = ["query", "anchor", "sentence1", "text1"];
const POSITIVES: [&str; 3] = ["positive", "sentence2", "text2"];
/// Columns of lists of documents.
const DOCS: [&str; 3] = ["docs", "documents", "passages"];
pub(crate) const LABELS: [&str; 4] = ["score", "scores", "label", "labels"];

/// The names of the columns by what they are.
pub(super) struct Roles {
    pub(super) query: PlSmallStr,
    pub(super) positive: Option<PlSmallStr>,
    pub(super) negatives: Vec<PlSmallStr>,
    /// Lists of documents of any length, in the place of positives and negatives.
    pub(super) docs: Option<PlSmallStr>,
    pub(super) label: Option<PlSmallStr>,
    /// Whether query and positive are known by their names.
    pub(super) named: bool,
}

impl Roles {
    pub(super) fn of(origin: Origin, frame: &DataFrame) -> Result<Self> {
        let named = |names: &[&str]| {
            names.iter().find(|name| frame.schema().contains(name)).map(|name| PlSmallStr::from(*name))
        };
        let (query, positive) = (named(&QUERIES), named(&POSITIVES));
        if let Some(docs) = DOCS.iter().find(|name| is_lists(origin, frame, name)) {
            return Self::of_lists(origin, frame, query, docs, named(&LABELS));
        }
        let mut negatives: Vec<(u64, PlSmallStr)> = frame
            .get_column_names()
            .into_iter()
            .filter_map(|name| Some((negative_number(name)?, name.clone())))
            .collect();
        negatives.sort();
        let negatives: Vec<PlSmallStr> = negatives.into_iter().map(|(_, name)| name).collect();
        let is_named = query.is_some() && positive.is_some();
        let (query, positive) = match (query, positive) {
            (Some(query), Some(positive)) => (query, Some(positive)),
            (query, positive) => by_order(origin, frame, query, positive)?,
        };
        let roles = Self { query, positive, negatives, docs: None, label: named(&LABELS), named: is_named };
        roles.check_rest(origin, frame)?;
        Ok(roles)
    }

    /// Of queries with lists of documents and of labels. The first column of texts holds the queries, if no name says
    /// otherwise.
    fn of_lists(
        origin: Origin,
        frame: &DataFrame,
        query: Option<PlSmallStr>,
        docs: &str,
        label: Option<PlSmallStr>,
    ) -> Result<Self> {
        let missing = |column: &str, expected: &str| Error::MissingColumn {
            place: origin.name(),
            column: column.to_owned(),
            found: columns(frame),
            expected: expected.to_owned(),
        };
        let label = label.ok_or_else(|| missing("labels", "lists of numbers, one per document"))?;
        let is_text = |column: &&Column| *column.dtype() == DataType::String && !origin.is_nested(column.name());
        let first = frame.columns().iter().find(|column| is_text(column) && is_data(column));
        let found = query.clone().or_else(|| first.map(|column| column.name().clone()));
        let roles = Self {
            query: found.ok_or_else(|| missing("query", "a column of strings"))?,
            positive: None,
            negatives: Vec::new(),
            docs: Some(docs.into()),
            label: Some(label),
            named: query.is_some(),
        };
        roles.check_rest(origin, frame)?;
        Ok(roles)
    }

    /// All columns that have a role.
    pub(super) fn names(&self) -> Vec<PlSmallStr> {
        let one = std::iter::once(&self.query).chain(&self.positive);
        one.chain(&self.negatives).chain(&self.docs).chain(&self.label).cloned().collect()
    }

    /// What has no role must not look as if it had one.
    fn check_rest(&self, origin: Origin, frame: &DataFrame) -> Result<()> {
        let used = |name: &PlSmallStr| {
            self.query == *name
                || self.negatives.contains(name)
                || [&self.positive, &self.docs, &self.label].into_iter().flatten().any(|used| used == name)
        };
        let rest = frame.columns().iter().filter(|column| !used(column.name()) && is_data(column));
        let rest: Vec<String> = rest.map(|column| format!("`{}`", column.name())).collect();
        if rest.is_empty() {
            return Ok(());
        }
        let docs = match (&self.positive, &self.docs) {
            (Some(name), _) => format!(", the positive `{name}`"),
            (None, Some(name)) => format!(", the documents are `{name}`"),
            (None, None) => String::new(),
        };
        let roles = format!("the query is `{}`{docs}", self.query);
        Err(Error::UnusedColumns { place: origin.name(), columns: rest.join(", "), roles })
    }
}

/// The name of the `n`th column of negatives, from 1: `negative`, `negative_2`, `negative_3`, ..
pub(crate) fn negative_column(n: usize) -> String {
    if n == 1 { "negative".to_owned() } else { format!("negative_{n}") }
}

/// The name of a column of texts by its place: `query`, `positive`, `negative`, ..
pub(crate) fn text_column(index: usize) -> String {
    match index {
        0 => "query".to_owned(),
        1 => "positive".to_owned(),
        index => negative_column(index - 1),
    }
}

/// The number in the name of a column of negatives; sentence-transformers' miner begins with `negative_1`.
fn negative_number(name: &str) -> Option<u64> {
    match name.strip_prefix("negative")? {
        "" => Some(0),
        number => number.strip_prefix('_')?.parse().ok(),
    }
}

/// Neither ids nor empty.
fn is_data(column: &Column) -> bool {
    let name = column.name().as_str();
    let id =
        ["id", "_id", "idx", "__index_level_0__"].contains(&name) || name.ends_with("_id") || name.ends_with("-id");
    !id && *column.dtype() != DataType::Null
}

/// Whether there is such a column, and it holds lists.
fn is_lists(origin: Origin, frame: &DataFrame, name: &str) -> bool {
    let is_list = |column: &Column| matches!(column.dtype(), DataType::List(_) | DataType::Array(..));
    frame.column(name).is_ok_and(|column| is_list(column) || origin.is_nested(name))
}

/// Query and positive are the first columns of texts, if no name says otherwise. Of texts with labels there may be one
/// column alone.
fn by_order(
    origin: Origin,
    frame: &DataFrame,
    query: Option<PlSmallStr>,
    positive: Option<PlSmallStr>,
) -> Result<(PlSmallStr, Option<PlSmallStr>)> {
    let data = frame.columns().iter().filter(|column| is_data(column) && !LABELS.contains(&column.name().as_str()));
    let mut texts = data.filter(|column| *column.dtype() == DataType::String).map(|column| column.name().clone());
    let labelled = LABELS.iter().any(|name| frame.schema().contains(name));
    let alone = labelled && positive.is_none() && texts.clone().count() == 1;
    let first = texts.next().filter(|name| query.as_ref().is_none_or(|query| query == name));
    let second = texts.next().filter(|name| positive.as_ref().is_none_or(|positive| positive == name));
    let free = |name: &PlSmallStr| negative_number(name).is_none();
    match (first.filter(free), second.filter(free)) {
        (Some(first), Some(second)) => Ok((first, Some(second))),
        (Some(first), None) if alone => Ok((first, None)),
        _ => Err(Error::MissingColumn {
            place: origin.name(),
            column: if query.is_some() { "positive" } else { "query" }.to_owned(),
            found: columns(frame),
            expected: "a column of strings".to_owned(),
        }),
    }
}

/// The texts of a column of negatives; of a column of lists one for each position in a list.
pub(super) fn negatives(origin: Origin, frame: &DataFrame, name: &str) -> Result<Vec<StringChunked>> {
    let lists = match column(origin, frame, name, "negatives")?.dtype() {
        DataType::List(_) | DataType::Array(..) => lists(origin, frame, name)?,
        _ => return Ok(vec![texts(origin, frame, name)?.into_owned()]),
    };
    let count = lists.first().map_or(0, Vec::len);
    let mut columns: Vec<StringChunkedBuilder> =
        (0..count).map(|_| StringChunkedBuilder::new(name.into(), lists.len())).collect();
    for (row, list) in lists.iter().enumerate() {
        if list.len() != count || count == 0 {
            let expected = if count == 0 { "at least one".to_owned() } else { format!("{count}, as in the first row") };
            return Err(origin.row(row, name, format!("{} negatives", list.len()), expected));
        }
        columns.iter_mut().zip(list).for_each(|(column, text)| column.append_value(text));
    }
    Ok(columns.into_iter().map(StringChunkedBuilder::finish).collect())
}

/// A column of JSON lists as a column of lists.
pub(super) fn json_lists(origin: Origin, frame: &DataFrame, name: &str) -> Result<Column> {
    let cells = frame.column(name)?.str()?;
    let mut lists = ListStringChunkedBuilder::new(name.into(), cells.len(), cells.len());
    for (row, json) in cells.iter().enumerate() {
        let json = json.ok_or_else(|| origin.row(row, name, "null", "a list of texts"))?;
        let list: Vec<String> =
            serde_json::from_str(json).map_err(|_| origin.row(row, name, format!("`{json}`"), "a list of texts"))?;
        lists.append_values_iter(list.iter().map(String::as_str));
    }
    Ok(lists.finish().into_column())
}

/// The lists of a column of lists or arrays.
fn lists(origin: Origin, frame: &DataFrame, name: &str) -> Result<Vec<Vec<String>>> {
    let found = frame.column(name)?;
    if !found.dtype().inner_dtype().is_some_and(|inner| matches!(inner, DataType::String | DataType::Null)) {
        return Err(origin.column_type(name, found.dtype().to_string(), "strings, or lists of strings"));
    }
    let lists = found.cast(&DataType::List(Box::new(DataType::String)))?;
    let lists = lists.list()?.series_iter().enumerate().map(|(row, list)| {
        let null = || origin.row(row, name, "null", "a list of texts");
        let list = list.ok_or_else(null)?;
        list.str()?.iter().map(|text| Ok(text.ok_or_else(null)?.to_owned())).collect()
    });
    lists.collect()
}
