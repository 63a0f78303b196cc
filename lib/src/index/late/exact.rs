//! MaxSim of queries with all documents.

use std::ops::Range;

use super::LateIndex;
use crate::index::flat::scan::{self, Score};
use crate::loss::block_max_sim;
use crate::show::Progress;
use crate::{Error, Result};

/// Queries whose best are kept at a time.
const WINDOW: usize = 64;

/// For each query its best documents with their scores. Of queries come ids, vectors, and where each begins.
pub(super) fn search(
    index: &LateIndex,
    tokens: &[f32],
    (ids, vectors, bounds): (&[String], &[f32], &[usize]),
    k: usize,
    bar: &Progress,
) -> Result<Vec<Vec<(u32, f32)>>> {
    let (queries, width) = (bounds.len() - 1, index.width);
    let mut all = Vec::with_capacity(queries);
    for start in (0..queries).step_by(WINDOW) {
        let window = &bounds[start..=queries.min(start + WINDOW)];
        let own = &vectors[window[0] * width..window[window.len() - 1] * width];
        let bounds: Vec<usize> = window.iter().map(|bound| bound - window[0]).collect();
        let best = scan::best(&Compared { index, tokens, queries: (own, &bounds) }, k)?;
        all.extend(best.map_err(|odd| {
            let problem = format!("of no use: its score for document `{}` is NaN", index.doc_ids[odd.row]);
            Error::Vector { kind: "query", id: ids[start + odd.query].clone(), problem }
        })?);
        bar.inc(window.len() - 1);
    }
    Ok(all)
}

/// All documents with some queries.
struct Compared<'a> {
    index: &'a LateIndex,
    tokens: &'a [f32],
    queries: (&'a [f32], &'a [usize]),
}

impl Score for Compared<'_> {
    fn rows(&self) -> usize {
        self.index.len()
    }

    fn queries(&self) -> usize {
        self.queries.1.len() - 1
    }

    fn score(&self, rows: Range<usize>, _: &mut Vec<f32>, scores: &mut [f32]) -> Result<()> {
        let bounds: Vec<usize> = self.index.bounds(rows).collect();
        let (start, end, width) = (bounds[0], bounds[bounds.len() - 1], self.index.width);
        let bounds: Vec<usize> = bounds.iter().map(|bound| bound - start).collect();
        block_max_sim(self.queries, (&self.tokens[start * width..end * width], &bounds), width, scores);
        Ok(())
    }
}
