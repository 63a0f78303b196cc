//! Scores of queries with documents, whatever their numbers are kept as.

use std::ops::Range;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::scan::{NotANumber, Scanned, Score};
use super::vectors::{Stored, Vectors, words};
use crate::index::top::Best;
use crate::loss::Similarity;
use crate::nn::{Threads, View, gemm, vectorised};
use crate::{Result, interrupt};

/// Queries with the documents that they are compared with.
pub(super) struct Numbers<'a> {
    docs: &'a Vectors,
    /// `(queries, dim)`, also as they lie in memory.
    queries: Tensor,
    values: Vec<f32>,
    similarity: Similarity,
    sizes: (usize, usize),
}

impl<'a> Numbers<'a> {
    /// With as many documents.
    pub(super) fn new(docs: &'a Vectors, rows: usize, queries: Tensor, similarity: Similarity) -> Result<Self> {
        let (values, sizes) = (queries.flatten_all()?.to_vec1::<f32>()?, (rows, queries.dim(0)?));
        Ok(Self { docs, queries, values, similarity, sizes })
    }

    /// The scores of documents with these numbers: `(rows, queries)`.
    fn compare(&self, docs: &[f32], rows: usize, scores: &mut [f32]) -> Result<()> {
        let ((_, queries), dim) = (self.sizes, self.docs.dim);
        match self.similarity {
            Similarity::Cosine | Similarity::Dot => {
                let (docs, queries) = (View::new(docs, rows, dim), View::new(&self.values, queries, dim));
                gemm(scores, docs, queries.t(), self.scale(), false, Threads::This);
            }
            similarity => {
                let docs = Tensor::from_slice(docs, (rows, dim), &Device::Cpu)?;
                scores.copy_from_slice(&similarity.of(&docs, &self.queries)?.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        Ok(())
    }

    /// Signs as -1 and 1 are no rows of length 1.
    fn scale(&self) -> f32 {
        let signs = matches!(self.docs.codes, Stored::Binary(_));
        if signs && self.similarity == Similarity::Cosine { (self.docs.dim.max(1) as f32).sqrt().recip() } else { 1.0 }
    }
}

impl Score for Numbers<'_> {
    fn rows(&self) -> usize {
        self.sizes.0
    }

    fn queries(&self) -> usize {
        self.sizes.1
    }

    fn score(&self, rows: Range<usize>, scratch: &mut Vec<f32>, scores: &mut [f32]) -> Result<()> {
        self.compare(self.docs.rows(rows.clone(), scratch), rows.len(), scores)
    }
}

/// Signs of queries with those of documents: the dot product, or the cosine, of vectors of -1 and 1.
pub(super) struct Signs<'a> {
    docs: &'a [u64],
    /// The first words of all queries, then the second ones, ..
    queries: Vec<u64>,
    dim: usize,
    similarity: Similarity,
    sizes: (usize, usize),
}

impl<'a> Signs<'a> {
    /// With the rows of documents.
    pub(super) fn new(docs: &'a [u64], rows: usize, queries: &Tensor, similarity: Similarity) -> Result<Self> {
        let (count, dim) = queries.dims2()?;
        let bits = Vectors::new(queries, super::FlatPrecision::Binary)?;
        let mut turned = vec![0; count * words(dim)];
        if let Stored::Binary(bits) = &bits.codes {
            for (query, row) in bits.chunks_exact(words(dim).max(1)).enumerate() {
                row.iter().enumerate().for_each(|(place, word)| turned[place * count + query] = *word);
            }
        }
        Ok(Self { docs, queries: turned, dim, similarity, sizes: (rows, count) })
    }
}

impl Score for Signs<'_> {
    fn rows(&self) -> usize {
        self.sizes.0
    }

    fn queries(&self) -> usize {
        self.sizes.1
    }

    fn score(&self, rows: Range<usize>, _: &mut Vec<f32>, scores: &mut [f32]) -> Result<()> {
        let width = words(self.dim);
        let scale = if self.similarity == Similarity::Cosine { (self.dim.max(1) as f32).recip() } else { 1.0 };
        let docs = &self.docs[rows.start * width..rows.end * width];
        agreements(docs, &self.queries, (width, self.dim as f32, scale), scores, &mut vec![0; self.sizes.1]);
        Ok(())
    }
}

vectorised! {
    /// `(dim - 2 * different bits) * scale` of each row with each query.
    fn agreements(
        docs: &[u64],
        queries: &[u64],
        sizes: (usize, f32, f32),
        scores: &mut [f32],
        different: &mut [u32],
    ) {
        let (width, dim, scale) = sizes;
        for (row, scores) in scores.chunks_exact_mut(different.len()).enumerate() {
            different.fill(0);
            for (word, queries) in docs[row * width..][..width].iter().zip(queries.chunks_exact(different.len())) {
                for (count, query) in different.iter_mut().zip(queries) {
                    *count += (word ^ query).count_ones();
                }
            }
            for (score, count) in scores.iter_mut().zip(&*different) {
                *score = (dim - 2.0 * *count as f32) * scale;
            }
        }
    }
}

/// Documents that are rescored at a time.
const BLOCK: usize = 4_096;

/// The best `k` of each query's candidates, by other numbers.
pub(super) fn rescore(
    docs: &Vectors,
    queries: &Tensor,
    similarity: Similarity,
    candidates: Vec<Vec<(u32, f32)>>,
    k: usize,
) -> Result<Scanned> {
    let rescored = candidates.into_par_iter().enumerate().map_init(Vec::new, |scratch, (query, mut candidates)| {
        interrupt::check("search")?;
        // In the order of a file that they may be read from.
        candidates.sort_unstable_by_key(|(row, _)| *row);
        let numbers = Numbers::new(docs, candidates.len(), queries.narrow(0, query, 1)?, similarity)?;
        let mut best = Best::new(k, f32::NEG_INFINITY);
        for block in candidates.chunks(BLOCK) {
            scratch.clear();
            block.iter().for_each(|(row, _)| docs.decode(*row as usize..*row as usize + 1, scratch));
            let mut scores = vec![0.0; block.len()];
            numbers.compare(scratch, block.len(), &mut scores)?;
            for ((row, _), score) in block.iter().zip(scores) {
                if score.is_nan() {
                    return Ok(Err(NotANumber { query, row: *row as usize }));
                }
                if score >= best.threshold() {
                    best.push(*row, score);
                }
            }
        }
        Ok(Ok(best.sorted()))
    });
    Ok(rescored.collect::<Result<Vec<_>>>()?.into_iter().collect())
}
