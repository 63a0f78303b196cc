//! The text formats of TREC: one judgement or one hit per line, columns separated by white space.

use std::path::Path;

use memchr::memchr;

use super::Qrels;
use super::source::Lines;
use crate::{Error, Result};

impl Qrels {
    /// From the lines `query_id 0 doc_id grade` of a TREC qrels file, which may be gzip; the second
    /// column is not looked at. A line that begins with `#` is a comment, unless it is a judgement of a
    /// query whose id begins so. A document that is judged twice for a query is an error.
    pub fn read_trec(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut qrels = Self::new();
        read_judgements(path, |query_id, doc_id, grade| {
            qrels.push(query_id, doc_id, grade);
            Ok(())
        })?;
        let Some(twice) = qrels.sort(|_, _| true) else { return Ok(qrels) };
        let (query_id, doc_id) = (&twice.query_id, &twice.doc_id);
        // The second of its lines is the one to name.
        let mut seen = false;
        read_judgements(path, |query, doc, _| {
            let this = (query, doc) == (query_id, doc_id);
            if this && seen {
                return Err(format!("document `{doc_id}` is judged twice for query `{query_id}`"));
            }
            seen |= this;
            Ok(())
        })?;
        Err(changed(path))
    }
}

fn read_judgements(path: &Path, mut take: impl FnMut(&str, &str, i64) -> Result<(), String>) -> Result<()> {
    read_trec(path, &QRELS, |fields| {
        // More columns are a run file, whose rank would pass for a grade.
        if let Some(more) = fields.get(QRELS.columns()) {
            return Err(format!("a fifth column `{more}`"));
        }
        let grade = fields[3].parse().map_err(|_| format!("the grade is `{}`", fields[3]))?;
        take(fields[0], fields[2], grade)
    })
}

/// The error for a file that was another one at the second reading.
pub(crate) fn changed(path: &Path) -> Error {
    Error::Io { path: path.to_owned(), source: std::io::Error::other("the file changed while it was read") }
}

/// A format: its columns, and the one that holds a number.
pub(crate) struct Trec {
    columns: &'static str,
    number: usize,
}

const QRELS: Trec = Trec { columns: "query_id 0 doc_id grade", number: 3 };
pub(crate) const RUN: Trec = Trec { columns: "query_id Q0 doc_id rank score tag", number: 4 };

impl Trec {
    fn columns(&self) -> usize {
        self.columns.split(' ').count()
    }

    /// Ids may begin with `#`, so a comment is what does not read as a line of data.
    fn is_comment(&self, line: &str, fields: &[&str]) -> bool {
        let data = || fields.len() >= self.columns() && fields[self.number].parse::<f64>().is_ok();
        line.starts_with('#') && !data()
    }
}

/// Whether a character separates columns. Others that look like space, a no-break space say, are part of an id.
pub(crate) fn is_separator(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\u{b}' | '\u{c}')
}

/// The most columns of a line that are told apart: one more than a format has.
const MOST: usize = 7;

/// Calls `take` with the columns of each line; its error is reported with the line. A line with fewer columns
/// than the format has is an error; the first of any additional ones is passed on.
pub(crate) fn read_trec(path: &Path, format: &Trec, mut take: impl FnMut(&[&str]) -> Result<(), String>) -> Result<()> {
    let (mut lines, columns) = (Lines::open(path)?, format.columns());
    while let Some(line) = lines.next_line()? {
        let (fields, count) = fields(line);
        let fields = &fields[..count];
        let taken = if fields.is_empty() || format.is_comment(line, fields) {
            Ok(())
        } else if memchr(b'\r', line.as_bytes()).is_some_and(|_| line.trim_end_matches('\r').contains('\r')) {
            Err("a carriage return within the line".to_owned())
        } else if count < columns {
            Err(format!("{count} columns"))
        } else {
            take(fields)
        };
        if let Err(problem) = taken {
            return Err(lines.error(problem, format!("`{}`", format.columns)));
        }
    }
    Ok(())
}

/// The columns of a line, of which the first [`MOST`] are given, and their number.
fn fields(line: &str) -> ([&str; MOST], usize) {
    let (mut fields, mut count, mut start) = ([""; MOST], 0, 0);
    for (place, byte) in line.bytes().enumerate() {
        // All separators are below the letters of an id, and of one byte.
        if byte > b' ' || !is_separator(char::from(byte)) {
            continue;
        }
        if start < place {
            fields[count] = &line[start..place];
            count += 1;
            if count == MOST {
                return (fields, count);
            }
        }
        start = place + 1;
    }
    if start < line.len() {
        fields[count] = &line[start..];
        count += 1;
    }
    (fields, count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn columns_are_what_is_between_separators(
            parts in prop::collection::vec(prop::sample::select(vec!["a", "1.5", "#", "é", "\u{a0}", " ", "\t", "\r", "\u{b}", "\u{1}"]), 0..30),
        ) {
            let line = parts.concat();
            let expected: Vec<&str> = line.split(is_separator).filter(|field| !field.is_empty()).take(MOST).collect();
            let (found, count) = fields(&line);
            prop_assert_eq!(&found[..count], expected);
        }
    }
}
