//! The embedded data set: the documentation of the crates this build depends on.
//!
//! Real text that every user has: cargo keeps the sources of what it built, in the versions of
//! `Cargo.lock`, so it needs no download and is the same on every machine.
//!
//! - **Documents**: each public item with documentation. `title` is its path in words
//!   (`polars core frame data frame height`), `text` its declaration and what its documentation says
//!   after the first sentence, without code blocks, at most [`MAX_CHARS`] characters. Further columns:
//!   `crate`, `path`, `kind`, `signature`.
//! - **Queries**: the first sentences. Items that begin with the same sentence (letter case and
//!   punctuation aside) share one query, and all are relevant to it: nothing in the query tells them
//!   apart. Sentences of fewer than three words, of more than [`MAX_WORDS`], or shared by more than
//!   [`MAX_RELEVANT`] items describe no item in particular and are no queries; their items stay documents.
//! - **Splits**: `test` and `train`, decided by a hash of the sentence: about one in eight is a test
//!   query. Near duplicates ("Returns the number of rows", "Returns the number of columns") go to the
//!   same side as a group, so that no test query was almost seen in training.

mod file;
mod items;
mod near;
mod prose;
mod sources;

use std::collections::{BTreeMap, HashMap};

use polars::prelude::*;
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use self::items::{Entry, entries};
use self::prose::{Prose, path_words, prose, words};
pub use self::sources::CRATES;
use super::{Corpus, Dataset, Qrels, Queries};
use crate::Result;

/// Documents end at the last word within this many characters.
pub const MAX_CHARS: usize = 1_000;
/// The longest first sentence that is a query, in words.
pub const MAX_WORDS: usize = 30;
/// The most items that may share a query.
pub const MAX_RELEVANT: usize = 8;

/// Reads the data set: see the [module](self).
///
/// Fails with [`Error::MissingSource`](crate::Error::MissingSource) where cargo no longer has the
/// sources it built from; `cargo fetch` brings them back.
///
/// ```
/// let data = kensaku::data::rustdoc()?;
/// let train = data.pairs("train")?;
/// assert!(data.corpus.len() > 8_000 && train.len() > 4_000);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn rustdoc() -> Result<Dataset> {
    let sources = sources::locate()?;
    let entries: Vec<Vec<Entry>> = sources.par_iter().map(entries).collect::<Result<_>>()?;
    let items = items(entries.concat());
    let (queries, qrels) = questions(&items)?;
    Dataset::new("rustdoc", corpus(&items)?, queries, qrels)
}

struct Item {
    id: String,
    path: String,
    entry: Entry,
    prose: Prose,
}

/// Items of the same path (for several platforms, say) are numbered from the second on.
fn items(entries: Vec<Entry>) -> Vec<Item> {
    let proses: Vec<Prose> = entries.par_iter().map(|entry| prose(&entry.docs)).collect();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let item = |(entry, prose): (Entry, Prose)| {
        let path = entry.path();
        let count = seen.entry(path.clone()).or_default();
        *count += 1;
        let id = if *count == 1 { path.clone() } else { format!("{path}#{count}") };
        Item { id, path, entry, prose }
    };
    entries.into_iter().zip(proses).map(item).collect()
}

fn corpus(items: &[Item]) -> Result<Corpus> {
    let column = |of: fn(&Item) -> String| items.iter().map(of).collect::<Vec<_>>();
    Corpus::new(df!(
        "doc_id" => column(|item| item.id.clone()),
        "title" => column(|item| path_words(&item.path)),
        "text" => column(text),
        "crate" => column(|item| item.entry.module[0].clone()),
        "path" => column(|item| item.path.clone()),
        "kind" => column(|item| item.entry.kind.to_owned()),
        "signature" => column(|item| item.entry.signature.clone()),
    )?)
}

/// Without the first sentence, even where the documentation repeats it: it is the query.
fn text(item: &Item) -> String {
    let Prose { summary, rest } = &item.prose;
    let rest = if summary.is_empty() { rest.clone() } else { rest.replace(summary, "") };
    let whole = format!("{}\n{}", item.entry.signature, rest.trim());
    match whole.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => whole[..whole[..end].rfind(char::is_whitespace).unwrap_or(end)].trim().to_owned(),
        None => whole.trim().to_owned(),
    }
}

/// The queries, and the judgements of each split.
fn questions(items: &[Item]) -> Result<(Queries, BTreeMap<String, Qrels>)> {
    let mut asked: BTreeMap<Vec<String>, Vec<&Item>> = BTreeMap::new();
    for item in items {
        asked.entry(words(&item.prose.summary)).or_default().push(item);
    }
    asked.retain(|words, items| (3..=MAX_WORDS).contains(&words.len()) && items.len() <= MAX_RELEVANT);
    let (sentences, relevant): (Vec<Vec<String>>, Vec<Vec<&Item>>) = asked.into_iter().unzip();
    let groups = near::groups(&sentences);
    let hashes: Vec<u64> = sentences.iter().map(|words| xxh3_64(words.join(" ").as_bytes())).collect();
    let ids: Vec<String> = hashes.iter().map(|hash| format!("{hash:016x}")).collect();

    let mut qrels: BTreeMap<String, Qrels> = BTreeMap::new();
    for ((id, items), group) in ids.iter().zip(&relevant).zip(groups) {
        // The whole group goes where its first sentence goes.
        let split = if hashes[group].is_multiple_of(8) { "test" } else { "train" };
        let judged = qrels.entry(split.to_owned()).or_default();
        items.iter().for_each(|item| judged.insert(id, &item.id, 1));
    }
    let texts: Vec<&str> = relevant.iter().map(|items| items[0].prose.summary.as_str()).collect();
    Ok((Queries::new(df!("query_id" => ids, "text" => texts)?)?, qrels))
}
