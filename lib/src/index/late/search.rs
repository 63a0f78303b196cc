//! A search in residual codes.
//!
//! The products of a query's tokens with all centroids tell, for each token, which centroids are nearest: the documents in their
//! lists are looked at. Three selections follow, each slower and closer to MaxSim than the one before: by the centroids above a
//! threshold in the place of vectors, by all centroids, and by the vectors that codes stand for.

use rayon::prelude::*;

use super::build::Coded;
use super::codec::Decoder;
use super::{LateIndex, LateSearch};
use crate::index::flat::scan::Found;
use crate::index::top::Best;
use crate::nn::{Threads, View, gemm, lane_max, vectorised};
use crate::show::Progress;
use crate::{Result, interrupt};

/// Tokens of a query are repeated up to a multiple of this; what is repeated does not count.
const LANES: usize = 16;
/// Tokens of documents that are decoded at a time.
const DECODED: usize = 512;

/// For each query its best documents with their scores. Queries are their vectors, and where each begins.
pub(super) fn search(
    index: &LateIndex,
    coded: &Coded,
    (vectors, bounds): (&[f32], &[usize]),
    k: usize,
    bar: &Progress,
) -> Result<Vec<Vec<(u32, f32)>>> {
    let decoder = coded.codec.decoder();
    let hits = bounds.par_windows(2).map_init(Scratch::default, |scratch, ends| {
        interrupt::check("searching")?;
        let query = &vectors[ends[0] * index.width..ends[1] * index.width];
        let hits = Search::new(index, coded, &decoder, query).best(k, scratch);
        bar.inc(1);
        Ok(hits)
    });
    hits.collect()
}

/// What a thread keeps from query to query.
#[derive(Default)]
struct Scratch {
    /// Products with the tokens of the query, `(.., columns)`: first those of the centroids, then those of decoded rows.
    scores: Vec<f32>,
    /// Which documents have been looked at: the number of the query that did.
    seen: Vec<u32>,
    query: u32,
    /// Decoded vectors.
    rows: Vec<f32>,
    /// 0, 1, 2, ..
    numbers: Vec<u32>,
}

/// One query.
struct Search<'a> {
    index: &'a LateIndex,
    centroids: &'a [u32],
    residuals: &'a [u8],
    scales: &'a [f32],
    coded: &'a Coded,
    decoder: &'a Decoder<'a>,
    /// `(columns, width)`: its tokens, repeated.
    query: Vec<f32>,
    tokens: usize,
    columns: usize,
}

impl<'a> Search<'a> {
    fn new(index: &'a LateIndex, coded: &'a Coded, decoder: &'a Decoder<'a>, query: &'a [f32]) -> Self {
        let tokens = query.len() / index.width;
        let columns = tokens.next_multiple_of(LANES);
        let query = query.iter().copied().cycle().take(columns * index.width).collect();
        Self {
            index,
            centroids: &coded.centroids,
            residuals: &coded.residuals,
            scales: &coded.scales,
            coded,
            decoder,
            query,
            tokens,
            columns,
        }
    }

    fn best(&self, k: usize, scratch: &mut Scratch) -> Vec<(u32, f32)> {
        if self.tokens == 0 || k == 0 {
            return Vec::new();
        }
        let nearest = self.probe(scratch);
        let candidates = self.candidates(&nearest, scratch);
        let LateSearch { ndocs, centroid_score_threshold, .. } = self.index.config.search;
        let candidates = self.select(candidates, ndocs.max(k), Some(centroid_score_threshold), &scratch.scores);
        let candidates = self.select(candidates, (ndocs / 4).max(k), None, &scratch.scores);
        self.score(&candidates, k, scratch)
    }

    /// The centroids nearest to each token, and the products of all of them.
    fn probe(&self, scratch: &mut Scratch) -> Vec<u32> {
        let (all, width, columns) = (&*self.coded.codec.centroids, self.index.width, self.columns);
        let mut found = Found::new(columns, self.index.config.search.nprobe.min(all.len() / width));
        self.products(all, &mut scratch.scores);
        found.add(0, &scratch.scores[..all.len() / width * columns]);
        let nearest = found.best.into_iter().take(self.tokens).flat_map(Best::sorted);
        let mut nearest: Vec<u32> = nearest.map(|(centroid, _)| centroid).collect();
        nearest.sort_unstable();
        nearest.dedup();
        nearest
    }

    /// The documents in the lists of some centroids, in order.
    fn candidates(&self, centroids: &[u32], scratch: &mut Scratch) -> Vec<u32> {
        let Scratch { seen, query, .. } = scratch;
        seen.resize(self.index.len(), 0);
        *query = query.checked_add(1).unwrap_or_else(|| {
            seen.fill(0);
            1
        });
        let (ends, docs) = (&*self.coded.ends, &*self.coded.docs);
        let mut candidates = Vec::new();
        for centroid in centroids {
            let start = if *centroid == 0 { 0 } else { ends[*centroid as usize - 1] };
            let list = &docs[start as usize..ends[*centroid as usize] as usize];
            let new = list.iter().filter(|doc| std::mem::replace(&mut seen[**doc as usize], *query) != *query);
            candidates.extend(new);
        }
        candidates.sort_unstable();
        candidates
    }

    /// The best `count` of the candidates, in order, with centroids in the place of vectors; those below the threshold do not
    /// count.
    fn select(&self, candidates: Vec<u32>, count: usize, threshold: Option<f32>, scores: &[f32]) -> Vec<u32> {
        if candidates.len() <= count {
            return candidates;
        }
        let counts: Option<Vec<bool>> = threshold.map(|threshold| {
            let most = |scores: &[f32]| lane_max(&scores[..self.tokens], f32::NEG_INFINITY);
            let centroids = scores.chunks_exact(self.columns).take(self.coded.ends.len());
            centroids.map(|scores| most(scores) >= threshold).collect()
        });
        let (mut best, mut kept) = (Best::new(count, f32::NEG_INFINITY), Vec::new());
        for doc in candidates {
            let centroids = &self.centroids[self.bounds(doc)];
            let centroids = match &counts {
                None => centroids,
                Some(counts) => {
                    kept.clear();
                    kept.extend(centroids.iter().filter(|centroid| counts[**centroid as usize]));
                    &kept[..]
                }
            };
            let score = sum_of_largest(centroids, scores, self.columns, self.tokens);
            if score >= best.threshold() {
                best.push(doc, score);
            }
        }
        let mut best: Vec<u32> = best.sorted().into_iter().map(|(doc, _)| doc).collect();
        best.sort_unstable();
        best
    }

    /// The best `k` of the candidates by the vectors that their codes stand for.
    fn score(&self, candidates: &[u32], k: usize, scratch: &mut Scratch) -> Vec<(u32, f32)> {
        let Scratch { scores, rows, numbers, .. } = scratch;
        let bytes = self.coded.codec.bytes();
        let mut best = Best::new(k.min(candidates.len()), f32::NEG_INFINITY);
        let (mut ends, mut start) = (Vec::new(), 0);
        rows.clear();
        for (place, doc) in candidates.iter().enumerate() {
            let tokens = self.bounds(*doc);
            let codes = &self.residuals[tokens.start * bytes..tokens.end * bytes];
            let scales = self.scales.get(tokens.clone()).unwrap_or_default();
            self.decoder.decode(&self.centroids[tokens], codes, scales, rows);
            ends.push(rows.len() / self.index.width);
            let count = ends[ends.len() - 1];
            if count < DECODED && place + 1 < candidates.len() {
                continue;
            }
            self.products(rows, scores);
            numbers.extend(numbers.len() as u32..count as u32);
            let mut first = 0;
            for (doc, end) in candidates[start..].iter().zip(ends.drain(..)) {
                let score = sum_of_largest(&numbers[first..end], scores, self.columns, self.tokens);
                if score >= best.threshold() {
                    best.push(*doc, score);
                }
                first = end;
            }
            start = place + 1;
            rows.clear();
        }
        best.sorted()
    }

    /// The products of some rows with the tokens of the query: `(rows, columns)`, at the start of `scores`.
    fn products(&self, rows: &[f32], scores: &mut Vec<f32>) {
        let (width, columns) = (self.index.width, self.columns);
        let count = rows.len() / width;
        if scores.len() < count * columns {
            scores.resize(count * columns, 0.0);
        }
        let (rows, query) = (View::new(rows, count, width), View::new(&self.query, columns, width));
        gemm(&mut scores[..count * columns], rows, query.t(), 1.0, false, Threads::This);
    }

    /// The tokens of a document.
    fn bounds(&self, doc: u32) -> std::ops::Range<usize> {
        let ends = &*self.index.ends;
        let start = if doc == 0 { 0 } else { ends[doc as usize - 1] };
        start as usize..ends[doc as usize] as usize
    }
}

vectorised! {
    /// MaxSim of rows whose products with the tokens of a query are `scores`, `(.., columns)`; 0 without rows.
    fn sum_of_largest(rows: &[u32], scores: &[f32], columns: usize, tokens: usize) -> f32 {
        let (scores, mut sum) = (scores.as_chunks::<LANES>().0, 0.0);
        for first in (0..columns).step_by(LANES) {
            let mut best = [f32::NEG_INFINITY; LANES];
            for row in rows {
                let scores = &scores[(*row as usize * columns + first) / LANES];
                for lane in 0..LANES {
                    best[lane] = if scores[lane] > best[lane] { scores[lane] } else { best[lane] };
                }
            }
            let own = &best[..LANES.min(tokens - first)];
            sum += own.iter().filter(|best| **best > f32::NEG_INFINITY).sum::<f32>();
        }
        sum
    }
}
