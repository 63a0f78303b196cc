//! The documents and the queries: a frame with unique ids.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use polars::prelude::*;

use super::lookup::Lookup;
use super::origin::Origin;
use crate::{Error, Result};

/// The documents that are searched. Columns: `doc_id` (string or integer, unique), `title` (string, may
/// be missing or null), `text` (string); any further columns are kept.
#[derive(Clone)]
pub struct Corpus {
    frame: DataFrame,
    /// Made when a document is first looked up.
    lookup: Arc<OnceLock<Lookup>>,
}

/// The questions. Columns: `query_id` (string or integer, unique), `text` (string); further columns are
/// kept.
#[derive(Clone)]
pub struct Queries {
    frame: DataFrame,
}

impl Corpus {
    /// Checks the columns and that ids are unique. Integer ids become strings; a text must not be null.
    pub fn new(frame: DataFrame) -> Result<Self> {
        Self::checked(Origin::Frame("corpus"), frame)
    }

    pub(super) fn checked(origin: Origin, mut frame: DataFrame) -> Result<Self> {
        check_ids(origin, &mut frame, "doc_id", "document")?;
        check_texts(origin, &mut frame, "text")?;
        if frame.schema().contains("title") {
            as_strings(origin, &mut frame, "title", texts)?;
        }
        Ok(Self::of(frame))
    }

    fn of(frame: DataFrame) -> Self {
        Self { frame, lookup: Arc::default() }
    }

    /// The frame with all columns.
    pub fn frame(&self) -> &DataFrame {
        &self.frame
    }

    /// Some rows.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Self {
        Self::of(self.frame.slice(rows.start as i64, rows.len()))
    }

    /// The number of documents.
    pub fn len(&self) -> usize {
        self.frame.height()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The document ids, in order of the frame.
    pub fn doc_ids(&self) -> Vec<String> {
        strings(&self.frame, "doc_id")
    }

    /// [`doc_ids`](Self::doc_ids) without a copy.
    pub fn iter_ids(&self) -> impl ExactSizeIterator<Item = &str> {
        values(&self.frame, "doc_id").map(Option::unwrap_or_default)
    }

    /// What is indexed and encoded, in order of the frame: title, a space and text; the text alone
    /// where there is no title. This is what BEIR's baselines do.
    pub fn texts(&self) -> Vec<String> {
        self.iter_texts().map(Cow::into_owned).collect()
    }

    /// [`texts`](Self::texts) one by one; a text without a title is not copied.
    pub fn iter_texts(&self) -> impl ExactSizeIterator<Item = Cow<'_, str>> {
        let mut titles = self.frame.schema().contains("title").then(|| values(&self.frame, "title"));
        values(&self.frame, "text").map(move |text| {
            let title = titles.as_mut().and_then(Iterator::next).flatten().unwrap_or_default();
            let text = text.unwrap_or_default();
            with_title(title, text)
        })
    }

    /// The text of a document, as [`texts`](Self::texts) has it.
    ///
    /// ```
    /// # use kensaku::data::Corpus;
    /// # use polars::prelude::df;
    /// let corpus = Corpus::new(df!("doc_id" => ["d1"], "title" => ["Cats"], "text" => ["They purr."])?)?;
    /// assert_eq!(corpus.text("d1")?, "Cats They purr.");
    /// let message = corpus.text("d2").unwrap_err().to_string();
    /// assert_eq!(message, "corpus: unknown document id `d2`; expected one of the 1 ids of the corpus");
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn text(&self, doc_id: &str) -> Result<Cow<'_, str>> {
        let ids = self.frame.column("doc_id")?.str()?;
        let row = self.lookup.get_or_init(|| Lookup::new(ids)).row(doc_id, ids);
        let row = row.ok_or_else(|| Error::UnknownId {
            place: "corpus".to_owned(),
            kind: "document",
            id: doc_id.to_owned(),
            known: self.len(),
            within: "the corpus".to_owned(),
        })?;
        let titles =
            if self.frame.schema().contains("title") { Some(self.frame.column("title")?.str()?) } else { None };
        let title = titles.and_then(|titles| titles.get(row)).unwrap_or_default();
        Ok(with_title(title, self.frame.column("text")?.str()?.get(row).unwrap_or_default()))
    }
}

/// The text of a document that is encoded: title, a space and text.
fn with_title<'a>(title: &str, text: &'a str) -> Cow<'a, str> {
    if title.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(format!("{title} {text}")) }
}

impl Queries {
    /// Checks the columns and that ids are unique. Integer ids become strings; a text must not be null.
    pub fn new(frame: DataFrame) -> Result<Self> {
        Self::checked(Origin::Frame("queries"), frame)
    }

    pub(super) fn checked(origin: Origin, mut frame: DataFrame) -> Result<Self> {
        check_ids(origin, &mut frame, "query_id", "query")?;
        check_texts(origin, &mut frame, "text")?;
        Ok(Self { frame })
    }

    /// Queries of one's own, numbered from 1.
    ///
    /// ```
    /// let queries = kensaku::data::Queries::from_texts(["how is a frame filtered?"])?;
    /// assert_eq!(queries.query_ids(), ["1"]);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn from_texts<S: Into<String>>(texts: impl IntoIterator<Item = S>) -> Result<Self> {
        let texts: Vec<String> = texts.into_iter().map(Into::into).collect();
        let query_ids: Vec<String> = (1..=texts.len()).map(|number| number.to_string()).collect();
        Self::new(df!("query_id" => query_ids, "text" => texts)?)
    }

    /// The frame with all columns.
    pub fn frame(&self) -> &DataFrame {
        &self.frame
    }

    /// Some rows.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Self {
        Self { frame: self.frame.slice(rows.start as i64, rows.len()) }
    }

    /// The number of queries.
    pub fn len(&self) -> usize {
        self.frame.height()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The query ids, in order of the frame.
    pub fn query_ids(&self) -> Vec<String> {
        strings(&self.frame, "query_id")
    }

    /// [`query_ids`](Self::query_ids) without a copy.
    pub fn iter_ids(&self) -> impl ExactSizeIterator<Item = &str> {
        values(&self.frame, "query_id").map(Option::unwrap_or_default)
    }

    /// The texts, in order of the frame.
    pub fn texts(&self) -> Vec<String> {
        strings(&self.frame, "text")
    }

    /// [`texts`](Self::texts) without a copy.
    pub fn iter_texts(&self) -> impl ExactSizeIterator<Item = &str> {
        values(&self.frame, "text").map(Option::unwrap_or_default)
    }
}

/// The size and the columns: the frame prints itself.
impl fmt::Debug for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Corpus {{ documents: {}, columns: {} }}", self.len(), columns(&self.frame))
    }
}

impl fmt::Debug for Queries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queries {{ queries: {}, columns: {} }}", self.len(), columns(&self.frame))
    }
}

/// The named column, or an error that says which columns there are.
pub(crate) fn column<'a>(origin: Origin, frame: &'a DataFrame, name: &str, expected: &str) -> Result<&'a Column> {
    frame.column(name).map_err(|_| {
        let meant = synonyms(name).iter().find(|other| frame.schema().contains(other));
        Error::MissingColumn {
            place: origin.name(),
            column: name.to_owned(),
            found: columns(frame),
            expected: meant.map_or(expected.to_owned(), |meant| format!("{expected}; rename `{meant}` if it is that")),
        }
    })
}

/// Names that other data sets have for a column.
fn synonyms(name: &str) -> &'static [&'static str] {
    match name {
        "doc_id" => &["_id", "corpus-id", "corpus_id", "docid", "document_id", "passage_id", "pid", "id"],
        "query_id" => &["_id", "query-id", "qid", "id"],
        "grade" => &["relevance", "rel", "score", "label", "rating"],
        "text" => &["body", "content", "contents", "passage", "document", "query", "question"],
        _ => &[],
    }
}

/// The names of the columns: `doc_id, title, text`; of very many the first ones.
pub(crate) fn columns(frame: &DataFrame) -> String {
    const MOST: usize = 50;
    let names = frame.get_column_names();
    let mut list = names.iter().take(MOST).map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "none".clone_into(&mut list),
        count if count > MOST => list += &format!(" and {} more", count - MOST),
        _ => (),
    }
    list
}

/// The named column if it holds texts.
pub(crate) fn texts<'a>(origin: Origin, frame: &'a DataFrame, name: &str) -> Result<Cow<'a, StringChunked>> {
    let column = column(origin, frame, name, "a column of strings")?;
    match column.dtype() {
        _ if origin.is_nested(name) => Err(origin.column_type(name, "arrays or objects", "strings")),
        DataType::String => Ok(Cow::Borrowed(column.str()?)),
        // A column without any value, and words that Polars keeps by number.
        DataType::Null | DataType::Categorical(..) | DataType::Enum(..) => {
            Ok(Cow::Owned(column.cast(&DataType::String)?.str()?.clone()))
        }
        other => Err(origin.column_type(name, other.to_string(), "strings")),
    }
}

/// The named column if it holds ids; integers are written as strings.
pub(crate) fn ids<'a>(origin: Origin, frame: &'a DataFrame, name: &str) -> Result<Cow<'a, StringChunked>> {
    let column = column(origin, frame, name, "a column of strings or integers")?;
    if column.dtype().is_integer() {
        return Ok(Cow::Owned(column.cast(&DataType::String)?.str()?.clone()));
    }
    texts(origin, frame, name)
}

/// The strings of a checked column; a null is an empty text.
pub(crate) fn strings(frame: &DataFrame, name: &str) -> Vec<String> {
    values(frame, name).map(|value| value.unwrap_or_default().to_owned()).collect()
}

/// The cells of a checked column.
fn values<'a>(frame: &'a DataFrame, name: &str) -> impl ExactSizeIterator<Item = Option<&'a str>> {
    let column = frame.column(name).and_then(|column| column.str());
    let height = column.as_ref().map_or(0, |column| column.len());
    let mut cells = column.into_iter().flat_map(|column| column.iter());
    (0..height).map(move |_| cells.next().flatten())
}

type Read = for<'a> fn(Origin, &'a DataFrame, &str) -> Result<Cow<'a, StringChunked>>;

/// Replaces a column by its strings.
pub(crate) fn as_strings(origin: Origin, frame: &mut DataFrame, name: &str, read: Read) -> Result<()> {
    let replaced = match read(origin, frame, name)? {
        Cow::Borrowed(_) => None,
        Cow::Owned(strings) => Some(strings),
    };
    if let Some(strings) = replaced {
        frame.with_column(strings.with_name(name.into()).into_column())?;
    }
    Ok(())
}

/// Texts without a null.
pub(crate) fn check_texts(origin: Origin, frame: &mut DataFrame, name: &str) -> Result<()> {
    as_strings(origin, frame, name, texts)?;
    let texts = texts(origin, frame, name)?;
    check_full(origin, &texts, name)
}

/// An error for the first null of a column.
pub(crate) fn check_full(origin: Origin, texts: &StringChunked, name: &str) -> Result<()> {
    match texts.first_null() {
        Some(row) => Err(origin.row(row, name, "null", "a text")),
        None => Ok(()),
    }
}

fn check_ids(origin: Origin, frame: &mut DataFrame, name: &str, kind: &'static str) -> Result<()> {
    as_strings(origin, frame, name, ids)?;
    let ids = ids(origin, frame, name)?;
    let mut first_row = HashMap::with_capacity(ids.len());
    for (row, id) in ids.iter().enumerate() {
        let Some(id) = id else { return Err(origin.row(row, name, "no id", format!("a {kind} id"))) };
        if let Some(first) = first_row.insert(id, row) {
            return Err(origin.duplicate(kind, id, first, row));
        }
    }
    Ok(())
}
