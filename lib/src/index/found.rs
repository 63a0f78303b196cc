//! What was found, to be read.

use std::fmt;

use polars::prelude::*;

use crate::Result;
use crate::data::{Corpus, Queries};
use crate::eval::Run;
use crate::show::shorten;

/// The documents that were found for queries, with the texts of both: shown as a table.
///
/// ```
/// use kensaku::data::{Corpus, Queries};
/// use kensaku::index::{Bm25, Bm25Params, Found};
/// # use kensaku::polars::prelude::*;
///
/// let corpus = Corpus::new(df!("doc_id" => ["a", "b"], "text" => ["Cats purr.", "Dogs chase cats."])?)?;
/// let bm25 = Bm25::new(&corpus, Bm25Params::default())?;
/// let queries = Queries::from_texts(["a cat"])?;
/// let found = Found::new(&queries, bm25.search(&queries, 10)?).with_texts(&corpus)?;
/// assert_eq!(found.to_string(), "a cat\n 1   0.0903  a  Cats purr.\n 2   0.0766  b  Dogs chase cats.");
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Found {
    /// Ids and texts.
    queries: Vec<(String, String)>,
    run: Run,
    /// Of each query's hits.
    texts: Option<Vec<Vec<String>>>,
}

impl Found {
    /// The hits of these queries.
    pub fn new(queries: &Queries, run: Run) -> Self {
        Self { queries: queries.query_ids().into_iter().zip(queries.texts()).collect(), run, texts: None }
    }

    /// The same with the texts of the documents.
    ///
    /// Errors: a document that the corpus lacks.
    pub fn with_texts(mut self, corpus: &Corpus) -> Result<Self> {
        let texts = |query_id: &str| -> Result<Vec<String>> {
            self.run.hits(query_id).doc_ids().map(|doc_id| Ok(corpus.text(doc_id)?.into_owned())).collect()
        };
        self.texts = Some(self.queries.iter().map(|(query_id, _)| texts(query_id)).collect::<Result<_>>()?);
        Ok(self)
    }

    /// The hits without texts.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// One row per hit, queries in their order: `query`, `rank` (from 1), `score`, `doc_id`, and `text` where there are texts.
    pub fn frame(&self) -> Result<DataFrame> {
        let rows = || self.rows().flat_map(|(query, hits)| hits.map(move |hit| (query, hit)));
        let mut frame = df!(
            "query" => rows().map(|(query, _)| query).collect::<Vec<_>>(),
            "rank" => rows().map(|(_, hit)| hit.rank).collect::<Vec<_>>(),
            "score" => rows().map(|(_, hit)| hit.score).collect::<Vec<_>>(),
            "doc_id" => rows().map(|(_, hit)| hit.doc_id).collect::<Vec<_>>(),
        )?;
        if self.texts.is_some() {
            let texts: Vec<&str> = rows().map(|(_, hit)| hit.text.unwrap_or_default()).collect();
            frame.with_column(Column::new("text".into(), texts))?;
        }
        Ok(frame)
    }

    /// The text of each query, and its hits.
    fn rows(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = Row<'_>>)> {
        self.queries.iter().enumerate().map(|(query, (query_id, text))| {
            let texts = self.texts.as_ref().map(|texts| &texts[query]);
            let hits = (1..).zip(self.run.hits(query_id)).map(move |(rank, hit)| {
                let text = texts.and_then(|texts| texts.get(rank as usize - 1)).map(String::as_str);
                Row { rank, doc_id: hit.doc_id, score: hit.score, text }
            });
            (text.as_str(), hits)
        })
    }

    /// What it is in a line: `Found: 10 documents for 2 queries`.
    pub(crate) fn caption(&self) -> String {
        let hits: usize = self.rows().map(|(_, hits)| hits.count()).sum();
        let docs = if hits == 1 { "document" } else { "documents" };
        match &self.queries[..] {
            [(_, text)] => format!("Found: {hits} {docs} for `{}`", shorten(text, 80)),
            queries => format!("Found: {hits} {docs} for {} queries", queries.len()),
        }
    }

    pub(crate) fn is_of_one(&self) -> bool {
        self.queries.len() == 1
    }
}

/// A hit.
struct Row<'a> {
    rank: u32,
    doc_id: &'a str,
    score: f64,
    text: Option<&'a str>,
}

/// Each query, and below it a line for each of its documents.
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (query, (text, hits)) in self.rows().enumerate() {
            let end = if query == 0 { "" } else { "\n\n" };
            write!(f, "{end}{text}")?;
            for Row { rank, doc_id, score, text } in hits {
                write!(f, "\n{rank:>2} {score:>8.4}  {doc_id}")?;
                if let Some(text) = text {
                    write!(f, "  {}", shorten(text, 80))?;
                }
            }
        }
        Ok(())
    }
}

/// The size only.
impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.caption())
    }
}
