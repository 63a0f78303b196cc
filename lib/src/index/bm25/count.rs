//! Counting the terms of documents.

use std::borrow::Cow;

use polars::prelude::StringChunked;
use rayon::prelude::*;

use super::lists::push;
use crate::data::{Corpus, Texts};
use crate::index::strings::{Interner, Strings};
use crate::show::progress;
use crate::text::Analyzer;
use crate::{Result, interrupt};

/// Ids, titles and texts of a corpus by row, without copies.
pub(super) struct Columns {
    pub(super) ids: Texts,
    titles: Option<Texts>,
    texts: Texts,
}

impl Columns {
    pub(super) fn new(corpus: &Corpus) -> Result<Self> {
        let frame = corpus.frame();
        let column = |name: &str| -> Result<Texts> {
            let strings: &StringChunked = frame.column(name)?.str()?;
            Ok(Texts::new(strings.clone()))
        };
        let titles = frame.schema().contains("title").then(|| column("title")).transpose()?;
        Ok(Self { ids: column("doc_id")?, titles, texts: column("text")? })
    }

    /// The rows, by id.
    pub(super) fn sorted(&self) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..self.ids.len() as u32).collect();
        rows.par_sort_unstable_by(|a, b| self.ids[*a as usize].as_bytes().cmp(self.ids[*b as usize].as_bytes()));
        rows
    }

    /// As [`Corpus::texts`].
    fn text(&self, row: usize) -> Cow<'_, str> {
        match self.titles.as_ref().map_or("", |titles| &titles[row]) {
            "" => Cow::Borrowed(&self.texts[row]),
            title => Cow::Owned(format!("{title} {}", &self.texts[row])),
        }
    }
}

/// How often each term occurs in each of some documents.
#[derive(Default)]
pub(super) struct Counted {
    /// In order of first appearance.
    pub(super) terms: Strings,
    /// The distinct terms of each document, ascending, document by document.
    pub(super) numbers: Vec<u32>,
    /// How often, as [`Frequencies`](super::lists::Frequencies) keeps it.
    pub(super) small: Vec<u8>,
    pub(super) large: Vec<(u64, u32)>,
    /// Where each document ends.
    pub(super) ends: Vec<usize>,
}

/// Counts the terms of the texts of rows, in parts that are counted in parallel. The parts are in the order of the rows.
pub(super) fn count_terms(columns: &Columns, rows: &[u32], analyzer: &Analyzer) -> Result<Vec<Counted>> {
    let bar = progress("indexing", Some(rows.len()));
    // With one thread, one part: terms that are in several parts take memory in each.
    let parts = if rayon::current_num_threads() == 1 { 1 } else { 4 * rayon::current_num_threads() };
    let parts = rows.par_chunks(rows.len().div_ceil(parts).max(CHECKED));
    parts.map(|rows| count_part(columns, rows, analyzer, |done| bar.inc(done))).collect()
}

/// Documents between two looks at the interrupt.
const CHECKED: usize = 256;

fn count_part(columns: &Columns, rows: &[u32], analyzer: &Analyzer, done: impl Fn(usize)) -> Result<Counted> {
    let mut part = Counted::default();
    let mut terms = Interner::default();
    // Stemming costs more than looking up, and most words have been seen before.
    let (mut words, mut terms_of_words) = (Interner::default(), Vec::<Option<u32>>::new());
    let mut numbers = Vec::new();
    for block in rows.chunks(CHECKED) {
        interrupt::check("indexing")?;
        for row in block {
            numbers.clear();
            analyzer.words(&columns.text(*row as usize), |word| {
                let word_number = words.number(word) as usize;
                if word_number == terms_of_words.len() {
                    terms_of_words.push(analyzer.term(word).map(|term| terms.number(&term)));
                }
                numbers.extend(terms_of_words[word_number]);
            })?;
            numbers.sort_unstable();
            for same in numbers.chunk_by(u32::eq) {
                part.numbers.push(same[0]);
                push(same.len() as u32, &mut part.small, &mut part.large);
            }
            part.ends.push(part.numbers.len());
        }
        done(block.len());
    }
    part.terms = terms.into_strings();
    Ok(part)
}
