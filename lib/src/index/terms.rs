//! Counting the terms of documents.

use polars::prelude::PlHashMap;
use rayon::prelude::*;

use crate::show::progress;
use crate::text::Analyzer;
use crate::{Result, interrupt};

/// How often each term occurs in each document.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Term -> its number, in order of first appearance.
    pub(super) vocabulary: PlHashMap<String, u32>,
    /// Term number and count, document by document.
    counts: Vec<(u32, u32)>,
    /// Where each document ends in `counts`.
    ends: Vec<usize>,
}

impl Counts {
    /// For each document its distinct terms with their counts.
    pub(super) fn documents(&self) -> impl ExactSizeIterator<Item = &[(u32, u32)]> {
        (0..self.ends.len()).map(|doc| {
            let start = if doc == 0 { 0 } else { self.ends[doc - 1] };
            &self.counts[start..self.ends[doc]]
        })
    }

    fn number(&mut self, term: String) -> u32 {
        let next = self.vocabulary.len() as u32;
        *self.vocabulary.entry(term).or_insert(next)
    }

    /// Appends the documents of `other`, with its terms renumbered.
    fn append(&mut self, other: Counts) {
        let mut terms: Vec<(String, u32)> = other.vocabulary.into_iter().collect();
        terms.sort_unstable_by_key(|(_, number)| *number);
        let numbers: Vec<u32> = terms.into_iter().map(|(term, _)| self.number(term)).collect();
        let before = self.counts.len();
        self.counts.extend(other.counts.iter().map(|(term, count)| (numbers[*term as usize], *count)));
        self.ends.extend(other.ends.iter().map(|end| before + end));
    }
}

/// Counts the terms of every text. Blocks of documents are counted in parallel and joined in order, so the result does
/// not depend on the number of threads.
pub(super) fn count_terms(texts: &[String], analyzer: Analyzer) -> Result<Counts> {
    const BLOCK: usize = 512;
    let bar = progress("indexing", Some(texts.len()));
    let blocks = texts.par_chunks(BLOCK).map(|block| {
        interrupt::check("indexing")?;
        let counts = count_block(block, analyzer);
        bar.inc(block.len());
        Ok(counts)
    });
    let mut all = Counts::default();
    for block in blocks.collect::<Result<Vec<_>>>()? {
        all.append(block);
    }
    Ok(all)
}

fn count_block(texts: &[String], analyzer: Analyzer) -> Counts {
    let mut block = Counts::default();
    // Stemming costs more than looking up, and most words of a block have been seen in it.
    let mut seen: PlHashMap<&str, Option<u32>> = PlHashMap::default();
    let mut numbers = Vec::new();
    for text in texts {
        numbers.clear();
        for word in analyzer.words(text) {
            let number = *seen.entry(word).or_insert_with(|| analyzer.term(word).map(|term| block.number(term)));
            numbers.extend(number);
        }
        numbers.sort_unstable();
        block.counts.extend(numbers.chunk_by(u32::eq).map(|same| (same[0], same.len() as u32)));
        block.ends.push(block.counts.len());
    }
    block
}
