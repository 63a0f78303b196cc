//! The tab-separated files of MS MARCO, which have no header.

use std::path::Path;

use super::{Csv, csv};
use crate::Result;
use crate::data::{Corpus, Queries, TrainingSet};

fn named<const N: usize>(names: [&str; N]) -> Csv {
    Csv { names: Some(names.map(str::to_owned).to_vec()), ..Csv::tsv() }
}

/// Reads passages of MS MARCO, `collection.tsv`: id and text.
///
/// Its judgements are [TREC's](crate::data::Qrels::read_trec), its `qidpidtriples` [`id_triples`](super::id_triples).
///
/// ```
/// # let path = std::env::temp_dir().join("kensaku-msmarco-example.tsv");
/// # std::fs::write(&path, "0\tThe presence of communication\n1\tThe \"Manhattan\" project\n").unwrap();
/// let corpus = kensaku::data::read::msmarco_passages(&path)?;
/// assert_eq!(corpus.texts()[1], "The \"Manhattan\" project");
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn msmarco_passages(path: impl AsRef<Path>) -> Result<Corpus> {
    csv(path, &named(["doc_id", "text"]))?.corpus()
}

/// Reads documents of MS MARCO, `msmarco-docs.tsv`: id, URL, title and body. The URL is kept as column `url`.
///
/// ```
/// # let path = std::env::temp_dir().join("kensaku-msmarco-docs-example.tsv");
/// # std::fs::write(&path, "D1\thttps://example.org\tA title\tA body\n").unwrap();
/// let corpus = kensaku::data::read::msmarco_documents(&path)?;
/// assert_eq!(corpus.texts(), ["A title A body"]);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn msmarco_documents(path: impl AsRef<Path>) -> Result<Corpus> {
    csv(path, &named(["doc_id", "url", "title", "text"]))?.corpus()
}

/// Reads queries of MS MARCO, such as `queries.dev.tsv`: id and text.
///
/// ```
/// # let path = std::env::temp_dir().join("kensaku-msmarco-queries-example.tsv");
/// # std::fs::write(&path, "121352\tdefine extreme\n").unwrap();
/// let queries = kensaku::data::read::msmarco_queries(&path)?;
/// assert_eq!(queries.query_ids(), ["121352"]);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn msmarco_queries(path: impl AsRef<Path>) -> Result<Queries> {
    csv(path, &named(["query_id", "text"]))?.queries()
}

/// Reads triples of texts, such as MS MARCO's `triples.train.small.tsv`: query, positive and negative.
///
/// ```
/// # let path = std::env::temp_dir().join("kensaku-msmarco-triples-example.tsv");
/// # std::fs::write(&path, "define extreme\tvery great\ta fruit\n").unwrap();
/// let triples = kensaku::data::read::msmarco_triples(&path)?;
/// assert_eq!(triples.columns().len(), 3);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn msmarco_triples(path: impl AsRef<Path>) -> Result<TrainingSet> {
    csv(path, &named(["query", "positive", "negative"]))?.training_set()
}
