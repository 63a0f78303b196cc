//! The vectors of documents that an index is made of.

use std::ops::Range;

/// Vectors of the tokens of documents, which are numbered in the order of their ids.
pub(super) struct Docs<'a> {
    /// `(tokens, width)`, in the order of the rows.
    pub(super) vectors: &'a [f32],
    /// Where the tokens of each row begin, and the end of the last.
    pub(super) bounds: &'a [usize],
    pub(super) width: usize,
    /// The row of each document.
    pub(super) order: &'a [u32],
}

impl Docs<'_> {
    /// The number of documents.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn tokens(&self, doc: usize) -> usize {
        let row = self.order[doc] as usize;
        self.bounds[row + 1] - self.bounds[row]
    }

    pub(super) fn vectors(&self, doc: usize) -> &[f32] {
        let row = self.order[doc] as usize;
        &self.vectors[self.bounds[row] * self.width..self.bounds[row + 1] * self.width]
    }

    /// The vectors of some documents, one after the other.
    pub(super) fn gathered(&self, docs: impl Iterator<Item = usize>) -> Vec<f32> {
        let mut vectors = Vec::new();
        docs.for_each(|doc| vectors.extend_from_slice(self.vectors(doc)));
        vectors
    }

    /// Where the tokens of each document end.
    pub(super) fn ends(&self) -> Vec<u64> {
        let mut end = 0;
        let ends = (0..self.len()).map(|doc| {
            end += self.tokens(doc) as u64;
            end
        });
        ends.collect()
    }

    /// Ranges of documents in order, each of at most a number of tokens, or one document that has more.
    pub(super) fn windows(&self, tokens: usize) -> Vec<Range<usize>> {
        let (mut windows, mut start, mut held) = (Vec::new(), 0, 0);
        for doc in 0..self.len() {
            if doc > start && held + self.tokens(doc) > tokens {
                windows.push(start..doc);
                (start, held) = (doc, 0);
            }
            held += self.tokens(doc);
        }
        if start < self.len() {
            windows.push(start..self.len());
        }
        windows
    }
}
