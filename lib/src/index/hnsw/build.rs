//! A graph of vectors, a batch at a time.
//!
//! All of a batch look for their neighbours at once, in the graph of those before and among themselves, and are then linked in
//! order: so the graph does not depend on threads.

use std::cmp::Reverse;

use rayon::prelude::*;

use super::HnswConfig;
use super::compare::{Near, Vectors, doc, near, similarity};
use super::graph::Graph;
use super::walk::{Scratch, Walk};
use crate::random::Philox;
use crate::show::progress;
use crate::{Result, interrupt};

/// Vectors that are added at once. Each is compared with all others of its batch.
const BATCH: usize = 512;
/// No document is on a higher level.
const HIGHEST: f64 = 30.0;

/// The graph of this many documents.
pub(super) fn build(vectors: Vectors<'_>, documents: usize, config: &HnswConfig) -> Result<Graph> {
    let levels: Vec<u8> = (0..documents as u64).map(|doc| level(doc, config)).collect();
    let mut graph = Graph::new(config.m, levels);
    let mut order: Vec<u32> = (0..documents as u32).collect();
    Philox::new(config.seed).shuffle(&mut order);
    let bar = progress("indexing", Some(documents));
    for (number, batch) in order.chunks(BATCH).enumerate() {
        interrupt::check("indexing")?;
        let walk = (number > 0).then(|| Walk::new(vectors, &graph));
        let among = Among { vectors, levels: &graph.levels, batch, walk, config };
        let chosen = batch.par_iter().map_init(|| Scratch::new(documents), |scratch, doc| among.choose(*doc, scratch));
        let chosen: Vec<Vec<Vec<Near>>> = chosen.collect();
        let mut back = Vec::new();
        for (own, levels) in batch.iter().zip(&chosen) {
            for (level, chosen) in (0..).zip(levels) {
                let neighbours: Vec<u32> = chosen.iter().map(|near| doc(*near)).collect();
                graph.set(*own, level, &neighbours);
                back.extend(chosen.iter().map(|other| Back {
                    doc: doc(*other),
                    level,
                    near: near(similarity(*other), *own),
                }));
            }
        }
        for (doc, level, neighbours) in linked_back(back, vectors, &graph) {
            graph.set(doc, level, &neighbours);
        }
        for own in batch {
            if graph.levels[*own as usize] > graph.levels[graph.entry as usize] || number == 0 && own == &batch[0] {
                graph.entry = *own;
            }
        }
        bar.inc(batch.len());
    }
    Ok(graph)
}

/// The highest level of a document: each level has a share `1 / m` of the one below.
fn level(doc: u64, config: &HnswConfig) -> u8 {
    let share = 1.0 - Philox::stream(config.seed, doc).uniform();
    (-share.ln() / (config.m as f64).ln()).min(HIGHEST) as u8
}

/// Where the documents of a batch look for neighbours.
struct Among<'a> {
    vectors: Vectors<'a>,
    levels: &'a [u8],
    batch: &'a [u32],
    /// The graph of those before, if there are any.
    walk: Option<Walk<'a>>,
    config: &'a HnswConfig,
}

impl Among<'_> {
    /// The neighbours of a document on each of its levels.
    fn choose(&self, own: u32, scratch: &mut Scratch) -> Vec<Vec<Near>> {
        let (vector, highest) = (self.vectors.row(own), self.levels[own as usize]);
        let others: Vec<u32> = self.batch.iter().copied().filter(|other| *other != own).collect();
        let mut near = Vec::new();
        self.vectors.near(vector, &others, &mut near);
        let mut start = self.walk.map(|walk| (walk.descend(vector, highest, scratch), walk));
        let mut chosen = Vec::new();
        for level in (0..=highest).rev() {
            let mut candidates = Vec::new();
            if let Some((start, walk)) = &mut start
                && level <= walk.entry.1
            {
                candidates.extend_from_slice(walk.nearest(vector, *start, self.config.ef_construction, level, scratch));
                *start = candidates[0];
            }
            candidates.extend(near.iter().filter(|near| self.levels[doc(**near) as usize] >= level));
            nearest_first(&mut candidates, own);
            candidates.truncate(self.config.ef_construction);
            chosen.push(apart(self.vectors, &candidates, if level == 0 { 2 * self.config.m } else { self.config.m }));
        }
        chosen.reverse();
        chosen
    }
}

/// Sorts the candidate neighbours of a document. Ties are broken differently for each document: with one order for all,
/// duplicate vectors would share the same few neighbours, and the others could not be reached.
fn nearest_first(candidates: &mut [Near], own: u32) {
    let mixed = |near: Near| (near ^ u64::from(own) << 16).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    candidates.sort_unstable_by_key(|near| (Reverse(near >> 32), mixed(*near)));
}

/// At most `most` of the candidates, the nearest first: if there are more, those that are nearer than to each one that was
/// chosen before, so that neighbours lie in all directions (Malkov and Yashunin, algorithm 4).
fn apart(vectors: Vectors<'_>, candidates: &[Near], most: usize) -> Vec<Near> {
    if candidates.len() <= most {
        return candidates.to_vec();
    }
    let mut chosen: Vec<Near> = Vec::new();
    for candidate in candidates {
        let own = similarity(*candidate);
        let vector = vectors.row(doc(*candidate));
        if chosen.iter().all(|other| vectors.similarity(vector, doc(*other)) <= own) {
            chosen.push(*candidate);
            if chosen.len() == most {
                break;
            }
        }
    }
    chosen
}

/// A document that another one has chosen: `near` is that one, and how similar they are.
#[derive(Clone, Copy)]
struct Back {
    doc: u32,
    level: u8,
    near: Near,
}

/// The new neighbours of documents that others have chosen.
fn linked_back(mut back: Vec<Back>, vectors: Vectors<'_>, graph: &Graph) -> Vec<(u32, u8, Vec<u32>)> {
    back.par_sort_unstable_by_key(|back| (back.doc, back.level, Reverse(back.near)));
    let groups: Vec<&[Back]> = back.chunk_by(|a, b| (a.doc, a.level) == (b.doc, b.level)).collect();
    let linked = |group: &&[Back]| -> (u32, u8, Vec<u32>) {
        let Back { doc: own, level, .. } = group[0];
        let before = graph.links().of(own, level);
        let new = group.iter().map(|back| back.near).filter(|near| !before.contains(&doc(*near)));
        if before.len() + group.len() <= graph.most(level) {
            return (own, level, before.iter().copied().chain(new.map(doc)).collect());
        }
        let mut candidates = Vec::new();
        vectors.near(vectors.row(own), before, &mut candidates);
        candidates.extend(new);
        nearest_first(&mut candidates, own);
        (own, level, apart(vectors, &candidates, graph.most(level)).into_iter().map(doc).collect())
    };
    groups.par_iter().map(linked).collect()
}
