//! The text formats of TREC: one judgement or one hit a line, columns separated by white space.

use std::path::Path;

use super::Qrels;
use crate::{Error, Result, interrupt};

impl Qrels {
    /// From the lines `query_id 0 doc_id grade` of a TREC qrels file; the second column is not looked
    /// at, lines that start with `#` are comments. A document that is judged twice for a query is an error.
    pub fn read_trec(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let mut qrels = Self::new();
        for line in trec_lines(path, &text, "query_id 0 doc_id grade") {
            interrupt::check("reading judgements")?;
            let line = line?;
            let (query_id, doc_id, grade) = (line.fields[0], line.fields[2], line.fields[3]);
            // More columns are a run file, whose rank would pass for a grade.
            if let Some(more) = line.fields.get(4) {
                return Err(line.error(format!("a fifth column `{more}`")));
            }
            let Ok(grade) = grade.parse() else { return Err(line.error(format!("the grade is `{grade}`"))) };
            if qrels.judgements(query_id).is_some_and(|judged| judged.contains_key(doc_id)) {
                return Err(line.error(format!("document `{doc_id}` is judged twice for query `{query_id}`")));
            }
            qrels.insert(query_id, doc_id, grade);
        }
        Ok(qrels)
    }
}

/// A line with at least the columns of its format.
pub(crate) struct TrecLine<'a> {
    pub(crate) fields: Vec<&'a str>,
    number: usize,
    path: &'a Path,
    format: &'static str,
}

impl TrecLine<'_> {
    pub(crate) fn error(&self, problem: String) -> Error {
        Error::Line { path: self.path.to_owned(), line: self.number, problem, expected: format!("`{}`", self.format) }
    }
}

/// The lines of a TREC file that are neither empty nor comments. `format` names the columns; a line
/// with fewer is an error, further ones are kept.
pub(crate) fn trec_lines<'a>(
    path: &'a Path,
    text: &'a str,
    format: &'static str,
) -> impl Iterator<Item = Result<TrecLine<'a>>> {
    let numbered = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    numbered.map(move |(number, line)| {
        let line = TrecLine { fields: line.split_whitespace().collect(), number, path, format };
        let columns = format.split_whitespace().count();
        match line.fields.len() {
            found if found < columns => Err(line.error(format!("{found} columns"))),
            _ => Ok(line),
        }
    })
}
