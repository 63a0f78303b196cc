//! A walk through the graph towards what is near a vector.

use super::compare::{Near, Vector, Vectors, doc};
use super::graph::{Graph, Links};

/// What a thread keeps from walk to walk.
#[derive(Default)]
pub(super) struct Scratch {
    /// The nearest so far, the nearest first.
    best: Vec<Near>,
    /// Whether the neighbours of each of them have been looked at.
    done: Vec<bool>,
    /// A bit for each document: whether it has been compared.
    seen: Vec<u64>,
    compared: Vec<u32>,
    fresh: Vec<u32>,
    near: Vec<Near>,
}

/// A graph with its vectors.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) vectors: Vectors<'a>,
    pub(super) links: Links<'a>,
    /// Where a walk begins, and on which level.
    pub(super) entry: (u32, u8),
}

impl<'a> Walk<'a> {
    pub(super) fn new(vectors: Vectors<'a>, graph: &'a Graph) -> Self {
        let level = graph.levels.get(graph.entry as usize).copied().unwrap_or(0);
        Self { vectors, links: graph.links(), entry: (graph.entry, level) }
    }

    /// A document near a vector, found on the levels above one.
    pub(super) fn descend(&self, vector: Vector<'_>, above: u8, scratch: &mut Scratch) -> Near {
        let Scratch { near, .. } = scratch;
        let (start, top) = self.entry;
        self.vectors.near(vector, &[start], near);
        let mut best = near[0];
        for level in (above + 1..=top).rev() {
            loop {
                self.vectors.near(vector, self.links.of(doc(best), level), near);
                match near.iter().max() {
                    Some(nearer) if *nearer > best => best = *nearer,
                    _ => break,
                }
            }
        }
        best
    }

    /// The `ef` nearest vectors (at least 1) that a walk over one level finds, nearest first. Each step expands the nearest vector
    /// that is not expanded yet, until all of the `ef` nearest are.
    pub(super) fn nearest<'s>(
        &self,
        vector: Vector<'_>,
        start: Near,
        ef: usize,
        level: u8,
        scratch: &'s mut Scratch,
    ) -> &'s [Near] {
        let Scratch { best, done, seen, compared, fresh, near } = scratch;
        best.clear();
        done.clear();
        best.push(start);
        done.push(false);
        mark(seen, doc(start));
        compared.push(doc(start));
        let mut next = 0;
        while next < best.len() {
            if done[next] {
                next += 1;
                continue;
            }
            done[next] = true;
            fresh.clear();
            fresh.extend(self.links.of(doc(best[next]), level).iter().filter(|other| mark(seen, **other)));
            compared.extend_from_slice(fresh);
            self.vectors.near(vector, fresh, near);
            for near in near.iter() {
                if best.len() == ef {
                    if *near < best[ef - 1] {
                        continue;
                    }
                    best.pop();
                    done.pop();
                }
                let place = best.partition_point(|other| other > near);
                best.insert(place, *near);
                done.insert(place, false);
                next = next.min(place);
            }
        }
        compared.drain(..).for_each(|doc| seen[doc as usize / 64] = 0);
        best
    }
}

impl Scratch {
    /// For a graph of this many documents.
    pub(super) fn new(documents: usize) -> Self {
        Self { seen: vec![0; documents.div_ceil(64)], ..Self::default() }
    }
}

/// Whether a document is seen for the first time.
fn mark(seen: &mut [u64], doc: u32) -> bool {
    let (word, bit) = (&mut seen[doc as usize / 64], 1 << (doc % 64));
    let first = *word & bit == 0;
    *word |= bit;
    first
}
