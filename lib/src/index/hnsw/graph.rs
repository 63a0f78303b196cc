//! Which vectors are neighbours.

use crate::index::array::Array;
use crate::nn::prefer_large_pages;

/// Neighbours of every document on its levels. A row of places holds them, the first ones; the others are [`NONE`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Graph {
    pub(super) m: usize,
    /// The highest level of each document.
    pub(super) levels: Array<u8>,
    /// Those of the lowest level, `(documents, 2 m)`.
    pub(super) lowest: Array<u32>,
    /// Those of the levels above, `(.., m)`: the rows of a document one after the other.
    pub(super) upper: Array<u32>,
    /// The first row of each document in `upper`.
    starts: Vec<u32>,
    /// A document of the highest level; 0 if there is none.
    pub(super) entry: u32,
}

pub(super) const NONE: u32 = u32::MAX;

impl Graph {
    /// Of documents with these levels, without neighbours.
    pub(super) fn new(m: usize, levels: Vec<u8>) -> Self {
        let upper = levels.iter().map(|level| usize::from(*level)).sum::<usize>();
        let mut lowest = Vec::with_capacity(levels.len() * 2 * m);
        prefer_large_pages(lowest.spare_capacity_mut());
        lowest.resize(levels.len() * 2 * m, NONE);
        Self::of(m, levels.into(), lowest.into(), vec![NONE; upper * m].into(), 0)
    }

    pub(super) fn of(m: usize, levels: Array<u8>, lowest: Array<u32>, upper: Array<u32>, entry: u32) -> Self {
        let mut next = 0_u32;
        let starts = levels.iter().map(|level| {
            let start = next;
            next = next.wrapping_add(u32::from(*level));
            start
        });
        let starts = starts.collect();
        Self { m, levels, lowest, upper, starts, entry }
    }

    /// The most neighbours on a level.
    pub(super) fn most(&self, level: u8) -> usize {
        if level == 0 { 2 * self.m } else { self.m }
    }

    pub(super) fn links(&self) -> Links<'_> {
        Links { m: self.m, lowest: &self.lowest, upper: &self.upper, starts: &self.starts }
    }

    /// Replaces the neighbours of a document on one of its levels.
    pub(super) fn set(&mut self, doc: u32, level: u8, neighbours: &[u32]) {
        let most = self.most(level);
        let (table, row) = match level {
            0 => (&mut self.lowest, doc as usize),
            _ => (&mut self.upper, self.starts[doc as usize] as usize + usize::from(level) - 1),
        };
        let Array::Owned(table) = table else { return };
        let places = &mut table[row * most..][..most];
        let (own, others) = places.split_at_mut(neighbours.len().min(most));
        own.copy_from_slice(&neighbours[..own.len()]);
        others.fill(NONE);
    }

    /// What does not fit in a graph that was read. No number in one that passes leads outside of it.
    pub(super) fn problem(&self, documents: usize) -> Option<&'static str> {
        let Self { m, levels, lowest, upper, entry, .. } = self;
        let rows = levels.iter().map(|level| u128::from(*level)).sum::<u128>();
        if levels.len() != documents
            || lowest.len() as u128 != documents as u128 * 2 * *m as u128
            || upper.len() as u128 != rows * *m as u128
        {
            return Some("its documents have another number of neighbours");
        }
        if rows > u128::from(u32::MAX) || documents >= NONE as usize {
            return Some("it has more neighbours than there are numbers");
        }
        if documents > 0 && *entry as usize >= documents {
            return Some("it starts with a document that there is not");
        }
        let links = self.links();
        for doc in 0..documents as u32 {
            for level in 0..=levels[doc as usize] {
                let known = |other: &u32| levels.get(*other as usize).is_some_and(|own| *own >= level);
                if !links.of(doc, level).iter().all(known) {
                    return Some("a neighbour is not on a level, or not there");
                }
            }
        }
        None
    }
}

/// Neighbours to look up.
#[derive(Clone, Copy)]
pub(super) struct Links<'a> {
    m: usize,
    lowest: &'a [u32],
    upper: &'a [u32],
    starts: &'a [u32],
}

impl<'a> Links<'a> {
    /// The neighbours of a document on one of its levels.
    pub(super) fn of(&self, doc: u32, level: u8) -> &'a [u32] {
        let places = if level == 0 {
            &self.lowest[doc as usize * 2 * self.m..][..2 * self.m]
        } else {
            &self.upper[(self.starts[doc as usize] as usize + usize::from(level) - 1) * self.m..][..self.m]
        };
        let count = places.iter().position(|place| *place == NONE).unwrap_or(places.len());
        &places[..count]
    }
}
