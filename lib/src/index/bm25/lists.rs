//! Inverted lists: for each term the documents that have it, and how often.

use std::ops::Range;

use rayon::prelude::*;

use super::count::{Columns, count_terms};
use super::params::Bm25Params;
use crate::Result;
use crate::data::Corpus;
use crate::index::array::Array;
use crate::index::strings::{Interner, Strings};
use crate::text::Analyzer;

/// What an index knows of its documents, whatever its formula.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Lists {
    /// Sorted: of equal scores the higher document number comes first, as in trec_eval.
    pub(super) ids: Strings,
    /// How many terms each document has.
    pub(super) lengths: Array<u32>,
    /// Sorted, so that the same documents make the same lists, whatever the number of threads and however they came.
    pub(super) terms: Strings,
    /// Where the list of each term ends.
    pub(super) ends: Array<u64>,
    /// Document numbers, list by list, ascending in each.
    pub(super) docs: Array<u32>,
    /// How often the term is in the document.
    pub(super) counts: Frequencies,
}

/// Counts from 1 on: a byte each, and those that do not fit elsewhere.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Frequencies {
    pub(super) small: Array<u8>,
    /// Places at which `small` is [`MANY`], ascending.
    pub(super) large_at: Array<u64>,
    pub(super) large: Array<u32>,
}

/// Marks a count of 255 or more.
pub(super) const MANY: u8 = u8::MAX;

impl Frequencies {
    pub(super) fn new(small: Vec<u8>, mut large: Vec<(u64, u32)>) -> Self {
        large.sort_unstable();
        let (large_at, large): (Vec<u64>, Vec<u32>) = large.into_iter().unzip();
        Self { small: small.into(), large_at: large_at.into(), large: large.into() }
    }

    pub(super) fn get(&self, place: usize) -> u32 {
        match self.small[place] {
            MANY => self.large_at.binary_search(&(place as u64)).map_or(MANY.into(), |found| self.large[found]),
            few => few.into(),
        }
    }
}

/// A count as [`Frequencies`] keeps it.
pub(super) fn push(count: u32, small: &mut Vec<u8>, large: &mut Vec<(u64, u32)>) {
    if count >= MANY.into() {
        large.push((small.len() as u64, count));
    }
    small.push(count.min(MANY.into()) as u8);
}

impl Lists {
    /// Counts the terms of a corpus.
    pub(super) fn new(corpus: &Corpus, analyzer: &Analyzer) -> Result<Self> {
        let columns = Columns::new(corpus)?;
        let rows = columns.sorted();
        let counted = count_terms(&columns, &rows, analyzer)?;

        let mut interner = Interner::default();
        let mut numbers: Vec<Vec<u32>> =
            counted.iter().map(|part| part.terms.iter().map(|term| interner.number(term)).collect()).collect();
        let found = interner.into_strings();
        let mut order: Vec<u32> = (0..found.len() as u32).collect();
        order.par_sort_unstable_by(|a, b| found.raw(*a as usize).cmp(found.raw(*b as usize)));
        let terms: Strings = order.iter().map(|number| found.get(*number as usize)).collect();
        let mut ranks = vec![0; order.len()];
        (0..).zip(&order).for_each(|(rank, number)| ranks[*number as usize] = rank);
        drop((found, order));
        numbers.iter_mut().flatten().for_each(|number| *number = ranks[*number as usize]);

        let mut ends = vec![0_u64; terms.len()];
        for (part, numbers) in counted.iter().zip(&numbers) {
            part.numbers.iter().for_each(|term| ends[numbers[*term as usize] as usize] += 1);
        }
        let mut next = Vec::with_capacity(ends.len());
        let mut end = 0;
        for size in &mut ends {
            next.push(end as usize);
            end += *size;
            *size = end;
        }
        let (mut docs, mut small, mut large) = (vec![0; end as usize], vec![0; end as usize], Vec::new());
        let mut lengths = Vec::with_capacity(rows.len());
        for (part, numbers) in counted.into_iter().zip(numbers) {
            let (mut start, mut many) = (0, part.large.iter());
            for end in part.ends {
                let (doc, mut length) = (lengths.len() as u32, 0_u64);
                for (term, count) in part.numbers[start..end].iter().zip(&part.small[start..end]) {
                    let place = &mut next[numbers[*term as usize] as usize];
                    (docs[*place], small[*place]) = (doc, *count);
                    let count =
                        if *count == MANY { many.next().map_or(0, |(_, count)| *count) } else { (*count).into() };
                    if count >= MANY.into() {
                        large.push((*place as u64, count));
                    }
                    length += u64::from(count);
                    *place += 1;
                }
                lengths.push(u32::try_from(length).unwrap_or(u32::MAX));
                start = end;
            }
        }
        Ok(Self {
            ids: rows.iter().map(|row| &columns.ids[*row as usize]).collect(),
            lengths: lengths.into(),
            terms,
            ends: ends.into(),
            docs: docs.into(),
            counts: Frequencies::new(small, large),
        })
    }

    /// The number of documents.
    pub(super) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// The place of a term's list.
    pub(super) fn range(&self, term: usize) -> Range<usize> {
        let start = if term == 0 { 0 } else { self.ends[term - 1] };
        start as usize..self.ends[term] as usize
    }

    /// The mean length of a document.
    pub(super) fn average(&self) -> f64 {
        self.lengths.iter().map(|length| f64::from(*length)).sum::<f64>() / self.len().max(1) as f64
    }

    /// What every entry of the lists adds to the score of its document.
    pub(super) fn scores(&self, params: &Bm25Params) -> Vec<f32> {
        const TERMS: usize = 4_096;
        let average = self.average();
        let mut scores = vec![0.0; self.docs.len()];
        let (mut rest, mut parts) = (scores.as_mut_slice(), Vec::new());
        for first in (0..self.terms.len()).step_by(TERMS) {
            let last = self.terms.len().min(first + TERMS);
            let (part, others) = rest.split_at_mut(self.range(last - 1).end - self.range(first).start);
            parts.push((first..last, part));
            rest = others;
        }
        parts.into_par_iter().for_each(|(terms, part)| {
            let start = self.range(terms.start).start;
            for term in terms {
                let range = self.range(term);
                let idf = params.idf(self.len(), range.len());
                for place in range {
                    let norm = params.norm(self.lengths[self.docs[place] as usize], average);
                    part[place - start] = (idf * params.gain(self.counts.get(place), norm)) as f32;
                }
            }
        });
        scores
    }
}
