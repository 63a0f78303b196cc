//! The documents of TREC's collections.

use std::path::Path;

use polars::prelude::*;

use super::Table;
use super::cells::Fault;
use super::markup::{Marked, plain};
use crate::data::Corpus;
use crate::data::source::Lines;
use crate::{Error, Result};

/// Elements that hold a title, in the collections of TREC.
const TITLES: [&str; 6] = ["title", "headline", "head", "hl", "ttl", "ti"];
/// The longest document, in bytes.
const LONGEST: usize = 1 << 30;

/// Reads documents in TREC's SGML, one `<DOC>` after the other; tags may be of small letters.
///
/// `doc_id` is the text of `<DOCNO>`, `title` that of the first of `<TITLE>`, `<HEADLINE>`, `<HEAD>`, `<HL>`, `<TTL>` and
/// `<TI>` that has any, else null. `text` is that of all `<TEXT>`s, or, of a document without one, all that is beside id
/// and title. Tags become spaces, entities their characters. Text outside of a document, one
/// without an id and one that does not end are errors with their line.
///
/// ```
/// # let path = std::env::temp_dir().join("kensaku-trec-docs-example.sgml");
/// # std::fs::write(&path, "<DOC>\n<DOCNO> FT911-1 </DOCNO>\n<HEADLINE>Rain</HEADLINE>\n<TEXT>\n<P>It rains &amp; pours.</P>\n</TEXT>\n</DOC>\n").unwrap();
/// let corpus = kensaku::data::read::trec_docs(&path)?;
/// assert_eq!((corpus.doc_ids(), corpus.texts()), (vec!["FT911-1".to_owned()], vec!["Rain It rains & pours.".to_owned()]));
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// A collection of several files is a corpus of their frames, one after the other:
/// `Corpus::new(concat([one.frame().clone().lazy(), other.frame().clone().lazy()], UnionArgs::default())?.collect()?)?`.
pub fn trec_docs(path: impl AsRef<Path>) -> Result<Corpus> {
    let path = path.as_ref();
    let mut lines = Lines::open(path)?;
    let mut docs = Docs::default();
    let mut number = 0;
    while let Some(line) = lines.next_line()? {
        number += 1;
        if let Err((problem, expected)) = docs.line(number, line) {
            return Err(lines.error(problem, expected));
        }
    }
    match docs.open.take() {
        None => docs.corpus(path),
        Some((line, _)) => Err(Error::Line {
            path: path.to_owned(),
            line,
            problem: "a document that does not end".to_owned(),
            expected: "`</DOC>`".to_owned(),
        }),
    }
}

/// Between documents are tags alone, such as that of the whole file.
fn check_outside(text: &str) -> Result<(), Fault> {
    match plain(text) {
        text if text.is_empty() => Ok(()),
        text => Err((format!("`{text}` outside of a document"), "`<DOC>`".to_owned())),
    }
}

#[derive(Default)]
struct Docs {
    /// The document that has not ended, and the line that it begins on.
    open: Option<(usize, String)>,
    lines: Vec<usize>,
    ids: Vec<String>,
    titles: Vec<Option<String>>,
    texts: Vec<String>,
}

impl Docs {
    fn line(&mut self, number: usize, line: &str) -> Result<(), Fault> {
        let marked = Marked::new(line);
        let mut from = 0;
        loop {
            match self.open.take() {
                None => {
                    let Some((begin, end)) = marked.tag("doc", from) else { return check_outside(&line[from..]) };
                    check_outside(&line[from..begin])?;
                    self.open = Some((number, String::new()));
                    from = end;
                }
                Some((first, mut doc)) => match marked.tag("/doc", from) {
                    Some((begin, end)) => {
                        doc.push_str(&line[from..begin]);
                        self.push(first, &doc)?;
                        from = end;
                    }
                    None => {
                        doc.push_str(&line[from..]);
                        doc.push('\n');
                        if doc.len() > LONGEST {
                            return Err((format!("more than 1 GiB since line {first}"), "`</DOC>`".to_owned()));
                        }
                        self.open = Some((first, doc));
                        return Ok(());
                    }
                },
            }
        }
    }

    fn push(&mut self, line: usize, doc: &str) -> Result<(), Fault> {
        let marked = Marked::new(doc);
        let id = marked
            .first(&["docno"])
            .ok_or_else(|| (format!("the document of line {line} has no id"), "`<DOCNO> id </DOCNO>`".to_owned()))?;
        let title = TITLES.iter().find(|name| !marked.elements(name).is_empty());
        let beside: Vec<&str> = ["docno"].iter().chain(title).copied().collect();
        let texts: Vec<String> = marked.elements("text").into_iter().map(plain).collect();
        let text = if texts.is_empty() { plain(&marked.without(&beside)) } else { texts.join("\n") };
        self.lines.push(line);
        self.ids.push(id);
        self.titles.push(marked.first(&TITLES));
        self.texts.push(text);
        Ok(())
    }

    fn corpus(self, path: &Path) -> Result<Corpus> {
        let columns = vec![
            Column::new("doc_id".into(), self.ids),
            Column::new("title".into(), self.titles).cast(&DataType::String)?,
            Column::new("text".into(), self.texts),
        ];
        Table::new(path, self.lines, columns, Vec::new())?.corpus()
    }
}
