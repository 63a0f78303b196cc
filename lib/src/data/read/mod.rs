//! Readers: a file becomes a [`Table`], a table becomes a corpus, queries, judgements or a training set.
//!
//! | format | reader |
//! |---|---|
//! | BEIR folder | [`beir()`]: a whole [`Dataset`](super::Dataset); [`beir_with()`]: with what cannot be used left out and counted |
//! | JSON Lines | [`jsonl()`] |
//! | CSV, TSV | [`csv()`] with [`Csv`] |
//! | Parquet | [`parquet()`]: a lazy frame |
//! | TREC | [`trec_docs()`], [`trec_topics()`], [`Qrels::read_trec`](super::Qrels::read_trec), [`Run::read_trec`](crate::eval::Run::read_trec) |
//! | MS MARCO | [`msmarco_passages()`], [`msmarco_documents()`], [`msmarco_queries()`], [`msmarco_triples()`] |
//! | triples of ids, ColBERT | [`id_triples()`] |
//! | SQuAD, JSQuAD | [`squad()`]: a whole [`Dataset`](super::Dataset) |
//! | STS-B, JSTS, JNLI | [`stsb()`], [`jsts()`], [`jnli()`] |
//! | FlagEmbedding, Tevatron | [`flag_embedding()`], [`tevatron()`] |
//!
//! Text is UTF-8, with or without a byte order mark; a gzip or Zstandard file is decompressed, whatever its name.
//! What a reader does not take as it is written is an error with file and line.
//!
//! ```
//! # let folder = std::env::temp_dir().join("kensaku-read-example");
//! # std::fs::create_dir_all(&folder).map_err(|source| kensaku::Error::Io { path: folder.clone(), source })?;
//! # let path = folder.join("docs.jsonl");
//! # std::fs::write(&path, "{\"_id\": \"a\", \"text\": \"first\"}\n{\"_id\": \"b\", \"text\": \"second\"}\n").unwrap();
//! use kensaku::data::read;
//!
//! let corpus = read::jsonl(&path)?.rename(&[("_id", "doc_id")])?.corpus()?;
//! assert_eq!(corpus.doc_ids(), ["a", "b"]);
//! # Ok::<(), kensaku::Error>(())
//! ```

mod beir;
mod cells;
mod csv;
mod examples;
mod flag_embedding;
mod id_triples;
mod jsonl;
mod layout;
mod lenient;
mod lines;
mod markup;
mod msmarco;
mod object;
mod pairs;
mod parquet;
mod report;
mod row_groups;
mod squad;
mod table;
mod tevatron;
mod trec_docs;
mod trec_topics;

pub(crate) use beir::{BeirFiles, find, splits};
pub use beir::{Strictness, beir, beir_with};
pub use csv::{Csv, csv};
pub use flag_embedding::flag_embedding;
pub use id_triples::id_triples;
pub use jsonl::jsonl;
pub use msmarco::{msmarco_documents, msmarco_passages, msmarco_queries, msmarco_triples};
pub use pairs::{jnli, jsts, stsb};
pub use parquet::parquet;
pub use report::{ReadNote, ReadReport};
pub(crate) use row_groups::RowGroups;
pub use squad::squad;
pub use table::Table;
pub use tevatron::tevatron;
pub use trec_docs::trec_docs;
pub use trec_topics::trec_topics;
