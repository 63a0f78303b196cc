//! The gradient of the scores: each row of a query and its match pull at each other.

use candle_core::{Tensor, WithDType};
use rayon::prelude::*;

use super::{Matches, MaxSim, NONE};

impl MaxSim {
    /// With `g_ij` times the share of each row in the score: `dq_it = sum_j g_ij d_match`, `dd_ju = sum_it g_ij q_it` over the rows that match `u`.
    pub(super) fn backward<T: WithDType>(
        &self,
        queries: &Tensor,
        docs: &Tensor,
        gradient: &Tensor,
        matches: &Matches,
    ) -> candle_core::Result<(Tensor, Tensor)> {
        let width = queries.dim(1)?;
        let (q, d) = (queries.flatten_all()?.to_vec1::<T>()?, docs.flatten_all()?.to_vec1::<T>()?);
        let g = gradient.contiguous()?.flatten_all()?.to_vec1::<T>()?;
        let (rows, doc_count) = (q.len() / width, self.doc_bounds.len() - 1);
        let texts: Vec<usize> =
            self.query_bounds.windows(2).enumerate().flat_map(|(text, rows)| vec![text; rows[1] - rows[0]]).collect();
        let pull = |query: usize, doc: usize| {
            let place = if self.pairwise { query } else { query * doc_count + doc };
            matches.shares.get(place).map_or(g[place], |share| g[place] * T::from_f64(*share))
        };
        let found =
            |row: usize, doc: usize| if self.pairwise { matches.rows[row] } else { matches.rows[doc * rows + row] };

        let mut d_queries = vec![T::zero(); q.len()];
        d_queries.par_chunks_exact_mut(width).enumerate().for_each(|(row, sums)| {
            let query = texts[row];
            let others = if self.pairwise { query..query + 1 } else { 0..doc_count };
            for (doc, at) in others.map(|doc| (doc, found(row, doc))).filter(|(_, at)| *at != NONE) {
                add(sums, pull(query, doc), &d[at as usize * width..][..width]);
            }
        });

        let mut d_docs = vec![T::zero(); d.len()];
        let mut rest = d_docs.as_mut_slice();
        let mut parts = Vec::with_capacity(doc_count);
        for ends in self.doc_bounds.windows(2) {
            let (part, others) = rest.split_at_mut((ends[1] - ends[0]) * width);
            parts.push((ends[0], part));
            rest = others;
        }
        parts.into_par_iter().enumerate().for_each(|(doc, (start, sums))| {
            let own = self.queries_of(doc);
            for row in self.query_bounds[own.start]..self.query_bounds[own.end] {
                let at = found(row, doc);
                if at != NONE {
                    let place = (at as usize - start) * width;
                    add(&mut sums[place..place + width], pull(texts[row], doc), &q[row * width..][..width]);
                }
            }
        });
        let shaped = |values: Vec<T>, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((shaped(d_queries, queries)?, shaped(d_docs, docs)?))
    }
}

/// `sums += factor * row`
fn add<T: WithDType>(sums: &mut [T], factor: T, row: &[T]) {
    if factor == T::zero() {
        return;
    }
    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += factor * *value);
}
