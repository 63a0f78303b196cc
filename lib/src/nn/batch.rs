//! Sequences of token ids, packed one after the other.

use std::ops::Range;

use crate::{Error, Result};

/// A batch without padding. `T` tokens in all, `B` sequences.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PackedBatch {
    /// Token ids `(T,)`.
    pub ids: Vec<u32>,
    /// Segment of each token `(T,)`: 0, or 1 for the second text of a pair.
    pub token_types: Vec<u32>,
    /// Position of each token in its sequence `(T,)`.
    pub positions: Vec<u32>,
    /// Where each sequence starts, and the end of the last `(B + 1,)`.
    pub bounds: Vec<usize>,
    /// How many of each sequence's first tokens are attended to `(B,)`; empty for all of them. The tokens
    /// after those see the text without being seen, as ColBERT's masks that expand a query.
    pub attended: Vec<usize>,
}

impl PackedBatch {
    /// Packs single texts (segment 0, positions from 0).
    ///
    /// ```
    /// let batch = kensaku::nn::PackedBatch::new([vec![2, 7, 3], vec![2, 3]]);
    /// assert_eq!(batch.bounds, [0, 3, 5]);
    /// assert_eq!(batch.positions, [0, 1, 2, 0, 1]);
    /// ```
    pub fn new<S: AsRef<[u32]>>(sequences: impl IntoIterator<Item = S>) -> Self {
        let mut batch = Self { bounds: vec![0], ..Self::default() };
        for sequence in sequences {
            let ids = sequence.as_ref();
            batch.ids.extend_from_slice(ids);
            batch.positions.extend(0..ids.len() as u32);
            batch.bounds.push(batch.ids.len());
        }
        batch.token_types = vec![0; batch.ids.len()];
        batch
    }

    /// The sequences of several batches, one batch after the other.
    ///
    /// ```
    /// use kensaku::nn::PackedBatch;
    ///
    /// let (queries, docs) = (PackedBatch::new([[2, 7, 3]]), PackedBatch::new([vec![2, 3], vec![2, 9, 8, 3]]));
    /// let all = PackedBatch::concat([&queries, &docs]);
    /// assert_eq!(all.bounds, [0, 3, 5, 9]);
    /// assert_eq!(all.slice(1..3), docs);
    /// ```
    pub fn concat<'a>(batches: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all = Self { bounds: vec![0], ..Self::default() };
        for batch in batches {
            // Those before have no list as long as all of their tokens are attended to.
            if !(batch.attended.is_empty() && all.attended.is_empty()) {
                all.attended = (0..all.sequences()).map(|sequence| all.attended_of(sequence)).collect();
                all.attended.extend((0..batch.sequences()).map(|sequence| batch.attended_of(sequence)));
            }
            let start = all.tokens();
            all.ids.extend(&batch.ids);
            all.token_types.extend(&batch.token_types);
            all.positions.extend(&batch.positions);
            all.bounds.extend(batch.bounds.iter().skip(1).map(|bound| start + bound));
        }
        all
    }

    /// Some of its sequences.
    pub fn slice(&self, sequences: Range<usize>) -> Self {
        let bounds = &self.bounds[sequences.start..=sequences.end];
        let (start, end) = (self.bounds[sequences.start], self.bounds[sequences.end]);
        Self {
            ids: self.ids[start..end].to_vec(),
            token_types: self.token_types[start..end].to_vec(),
            positions: self.positions[start..end].to_vec(),
            bounds: bounds.iter().map(|bound| bound - start).collect(),
            attended: self.attended.get(sequences).map(<[usize]>::to_vec).unwrap_or_default(),
        }
    }

    /// The number of tokens of each sequence.
    pub fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.ranges().map(|range| range.len())
    }

    /// `T`, the number of tokens.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// `B`, the number of sequences.
    pub fn sequences(&self) -> usize {
        self.bounds.len().saturating_sub(1)
    }

    /// The tokens of each sequence, as ranges of `0..T`.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.bounds.windows(2).map(|bounds| bounds[0]..bounds[1])
    }

    /// How many tokens of a sequence are attended to.
    pub(super) fn attended_of(&self, sequence: usize) -> usize {
        let all = self.bounds[sequence + 1] - self.bounds[sequence];
        self.attended.get(sequence).copied().unwrap_or(all)
    }

    /// An error for lists that do not belong together.
    pub(crate) fn check(&self) -> Result<()> {
        let tokens = self.tokens();
        let error = |what: &str, found: String, expected: String| {
            Err(Error::Shape { what: format!("{what} of a batch"), found, expected })
        };
        for (what, found) in [("token types", self.token_types.len()), ("positions", self.positions.len())] {
            if found != tokens {
                return error(what, found.to_string(), format!("one per token, {tokens}"));
            }
        }
        let whole = self.bounds.first().is_none_or(|first| *first == 0) && self.bounds.last().unwrap_or(&0) == &tokens;
        if !whole || !self.bounds.is_sorted() {
            return error("bounds", format!("{:?}", self.bounds), format!("0 to {tokens}, rising"));
        }
        if !self.attended.is_empty() && self.attended.len() != self.sequences() {
            let expected = format!("one number per sequence, {}", self.sequences());
            return error("attended tokens", format!("{} numbers", self.attended.len()), expected);
        }
        Ok(())
    }
}
