//! Readers: a file becomes a [`Table`], a table becomes a corpus, queries, judgements or a training set.
//!
//! | format | reader |
//! |---|---|
//! | BEIR folder | [`beir()`]: a whole [`Dataset`](super::Dataset) |
//! | JSON Lines | [`jsonl()`] |
//! | CSV, TSV | [`csv()`] with [`Csv`] |
//! | Parquet | [`parquet()`]: a lazy frame |
//! | TREC | [`Qrels::read_trec`](super::Qrels::read_trec), [`Run::read_trec`](crate::eval::Run::read_trec) |
//!
//! Text is UTF-8, with or without a byte order mark; a gzip file is decompressed, whatever its name.
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
mod jsonl;
mod layout;
mod object;

mod parquet;
mod table;

pub use beir::beir;
pub use csv::{Csv, csv};
pub use jsonl::jsonl;
pub use parquet::parquet;
pub use table::Table;
