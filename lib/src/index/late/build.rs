//! Vectors of documents as codes, and lists of the documents near each centroid.

use rayon::prelude::*;

use super::LateConfig;
use super::codec::{Codec, all_unit};
use super::docs::Docs;
use super::kmeans::{self, nearest};
use crate::index::array::Array;
use crate::random::Philox;
use crate::show::progress;
use crate::{Result, interrupt};

/// Documents as codes. What the tokens of a document are is told by where they end.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Coded {
    pub(super) codec: Codec,
    /// The centroid of each token.
    pub(super) centroids: Array<u32>,
    /// The codes of each token's residual, [`Codec::bytes`] each.
    pub(super) residuals: Array<u8>,
    /// What makes vectors of length 1 of those that codes stand for; empty if vectors are of any length.
    pub(super) scales: Array<f32>,
    /// Where the list of each centroid ends.
    pub(super) ends: Array<u64>,
    /// The documents that have a token of the centroid, ascending.
    pub(super) docs: Array<u32>,
}

/// Tokens that are coded at a time.
const WINDOW: usize = 1 << 16;
/// Tokens that a thread codes at a time.
const TASK: usize = 256;

impl Coded {
    pub(super) fn new(docs: &Docs<'_>, bits: u8, config: &LateConfig) -> Result<Self> {
        let codec = learn(docs, bits, config)?;
        let (width, bytes) = (docs.width, codec.bytes());
        let (mut centroids, mut residuals, mut scales) = (Vec::new(), Vec::new(), Vec::new());
        let bar = progress("indexing", Some(docs.len()));
        for window in docs.windows(WINDOW) {
            interrupt::check("indexing")?;
            let vectors = docs.gathered(window.clone());
            let found = nearest(&vectors, &codec.centroids, width, kmeans::EXACT)?;
            let start = residuals.len();
            residuals.resize(start + found.len() * bytes, 0);
            let parts = residuals[start..].par_chunks_mut(TASK * bytes).zip(vectors.par_chunks(TASK * width));
            parts.zip(found.par_chunks(TASK)).for_each(|((codes, vectors), found)| {
                let rows = codes.chunks_exact_mut(bytes).zip(vectors.chunks_exact(width));
                rows.zip(found).for_each(|((codes, row), (centroid, _))| codec.encode(row, *centroid, codes));
            });
            let found: Vec<u32> = found.into_iter().map(|(centroid, _)| centroid).collect();
            if codec.unit {
                let coded = found.par_chunks(TASK).zip(residuals[start..].par_chunks(TASK * bytes));
                scales.par_extend(coded.flat_map_iter(|(centroids, codes)| lengths(&codec, centroids, codes)));
            }
            centroids.extend(found);
            bar.inc(window.len());
        }
        let (ends, lists) = lists(&docs.ends(), &centroids, codec.centroids.len() / width);
        Ok(Self {
            codec,
            centroids: centroids.into(),
            residuals: residuals.into(),
            scales: scales.into(),
            ends: ends.into(),
            docs: lists.into(),
        })
    }
}

/// What makes vectors of length 1 of those that codes stand for.
fn lengths(codec: &Codec, centroids: &[u32], codes: &[u8]) -> Vec<f32> {
    let mut rows = Vec::new();
    codec.decoder().decode(centroids, codes, &[], &mut rows);
    rows.chunks_exact(codec.width).map(|row| 1.0 / kmeans::length(row)).collect()
}

/// Learns centroids, and what codes stand for, from the vectors of a sample of the documents.
fn learn(docs: &Docs<'_>, bits: u8, config: &LateConfig) -> Result<Codec> {
    let (width, tokens) = (docs.width, docs.vectors.len() / docs.width);
    let mut rng = Philox::new(config.seed);
    let size = config.sample.unwrap_or(1 + (16.0 * (120.0 * docs.len() as f64).sqrt()) as usize);
    let mut sample: Vec<usize> = (0..docs.len()).collect();
    if size < docs.len() {
        rng.shuffle(&mut sample);
        sample.truncate(size);
    }
    let mut points = docs.gathered(sample.into_iter());
    let unit = all_unit(&points, width);
    shuffle_rows(&mut points, width, &mut rng);

    let usual = || 1 << (16.0 * (tokens.max(1) as f64).sqrt()).log2() as u32;
    let count = config.centroids.unwrap_or_else(usual).min(points.len() / width);
    // What is left for the codes was not learned from: residuals of other vectors are larger.
    let left = (points.len() / width / 20).min(LEFT);
    let learned = (points.len() / width - left).min(count.saturating_mul(config.max_points_per_centroid)).max(count);
    let centroids =
        kmeans::centroids(&points[..learned * width], width, (count, config.kmeans_iterations), unit, config.seed)?;
    let others = if left >= FEW { &points[points.len() - left * width..] } else { &points[..] };
    let found = nearest(others, &centroids, width, kmeans::EXACT)?;
    let residual = |(row, (centroid, _)): (&[f32], (u32, f32))| {
        let centroid = &centroids[centroid as usize * width..][..width];
        row.iter().zip(centroid).map(|(value, centroid)| value - centroid).collect::<Vec<_>>()
    };
    let residuals = others.chunks_exact(width).zip(found).flat_map(residual).collect();
    Ok(Codec::new(width, bits, unit, centroids, residuals))
}

/// Vectors of a sample that codes are learned from, at most; of fewer than this, all of the sample is taken.
const LEFT: usize = 50_000;
const FEW: usize = 100;

/// Puts rows in random order.
fn shuffle_rows(rows: &mut [f32], width: usize, rng: &mut Philox) {
    for last in (1..rows.len() / width).rev() {
        let other = rng.below(last + 1);
        if other < last {
            let (low, high) = rows.split_at_mut(last * width);
            low[other * width..][..width].swap_with_slice(&mut high[..width]);
        }
    }
}

/// For each centroid the documents that have a token of it.
fn lists(doc_ends: &[u64], centroids: &[u32], count: usize) -> (Vec<u64>, Vec<u32>) {
    let mut own = Vec::new();
    let mut each = |visit: &mut dyn FnMut(u32, u32)| {
        let mut start = 0;
        for (doc, end) in (0..).zip(doc_ends) {
            own.clear();
            own.extend_from_slice(&centroids[start..*end as usize]);
            start = *end as usize;
            own.sort_unstable();
            own.dedup();
            own.iter().for_each(|centroid| visit(doc, *centroid));
        }
    };
    let mut ends = vec![0_u64; count];
    each(&mut |_, centroid| ends[centroid as usize] += 1);
    let mut end = 0;
    let mut next = Vec::with_capacity(count);
    for size in &mut ends {
        next.push(end as usize);
        end += *size;
        *size = end;
    }
    let mut docs = vec![0; end as usize];
    each(&mut |doc, centroid| {
        let place = &mut next[centroid as usize];
        docs[*place] = doc;
        *place += 1;
    });
    (ends, docs)
}
