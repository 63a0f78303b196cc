//! Groups of texts that are near to one of them.

use std::borrow::Borrow;
use std::cmp::Reverse;

use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::expect;
use crate::index::flat;
use crate::loss::Similarity;
use crate::nn::{Threads, View, gemm};
use crate::show::progress;
use crate::{Result, interrupt};

/// What [`community_detection`] takes for a community. Defaults are those of sentence-transformers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommunityConfig {
    /// The least cosine with the centre. Default 0.75.
    pub threshold: f32,
    /// The fewest rows, the centre among them. Default 10.
    pub min_community_size: usize,
}

impl Default for CommunityConfig {
    fn default() -> Self {
        Self { threshold: 0.75, min_community_size: 10 }
    }
}

/// Rows of `vectors` `(n, dim)` whose cosine with a common centre is at least `threshold`, the largest community first. A row
/// is in one community at most; the first row of each is its centre, the others follow by cosine. Equal to
/// sentence-transformers' function of this name.
///
/// ```
/// use kensaku::index::{CommunityConfig, community_detection};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let vectors = Tensor::new(&[[1.0f32, 0.0], [0.0, 1.0], [0.9, 0.1], [0.1, 0.9], [0.2, 0.9]], &Device::Cpu)?;
/// let config = CommunityConfig { min_community_size: 2, ..Default::default() };
/// assert_eq!(community_detection(&vectors, config)?, [vec![1, 3, 4], vec![0, 2]]);
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// # Errors
/// For a size of 0, a threshold that is NaN, and numbers that are not finite.
pub fn community_detection(vectors: &Tensor, config: impl Borrow<CommunityConfig>) -> Result<Vec<Vec<usize>>> {
    let CommunityConfig { threshold, min_community_size: least } = *config.borrow();
    expect("min_community_size", least, "at least 1", least > 0)?;
    expect("threshold", threshold, "a number", !threshold.is_nan())?;
    let vectors = flat::prepare_rows(vectors, Similarity::Cosine)?;
    let (rows, dim) = vectors.dims2()?;
    let numbers = vectors.flatten_all()?.to_vec1::<f32>()?;
    let mut near = near(&numbers, (rows, dim), threshold)?;
    near.retain(|(_, rows)| rows.len() >= least);
    near.sort_by_key(|(_, rows)| Reverse(rows.len()));

    let (mut taken, mut communities) = (vec![false; rows], Vec::new());
    for (centre, rows) in near {
        if taken[centre] {
            continue;
        }
        let mut free: Vec<usize> = rows.into_iter().map(|row| row as usize).filter(|row| !taken[*row]).collect();
        if free.len() >= least {
            free.retain(|row| *row != centre);
            free.insert(0, centre);
            free.iter().for_each(|row| taken[*row] = true);
            communities.push(free);
        }
    }
    communities.sort_by_key(|community| Reverse(community.len()));
    Ok(communities)
}

/// Rows that are compared at a time, with as many others.
const BLOCK: usize = 512;

/// Each row with those near to it, by score; of equal scores the earlier row is first.
fn near(numbers: &[f32], (rows, dim): (usize, usize), threshold: f32) -> Result<Vec<(usize, Vec<u32>)>> {
    let bar = progress("comparing", Some(rows));
    let all = View::new(numbers, rows, dim);
    let blocks = (0..rows.div_ceil(BLOCK)).into_par_iter().map(|block| {
        let own = block * BLOCK..rows.min((block + 1) * BLOCK);
        let (mut found, mut scores) = (vec![Vec::new(); own.len()], vec![0.0; own.len() * BLOCK]);
        for start in (0..rows).step_by(BLOCK) {
            interrupt::check("community detection")?;
            let others = start..rows.min(start + BLOCK);
            let scores = &mut scores[..own.len() * others.len()];
            gemm(scores, all.rows(&own), all.rows(&others).t(), 1.0, false, Threads::This);
            for (found, scores) in found.iter_mut().zip(scores.chunks_exact(others.len())) {
                let near = (start as u32..).zip(scores).filter(|(_, score)| **score >= threshold);
                found.extend(near.map(|(row, score)| (row, *score)));
            }
        }
        bar.inc(own.len());
        let sorted = |mut near: Vec<(u32, f32)>| {
            near.sort_by(|a, b| b.1.total_cmp(&a.1));
            near.into_iter().map(|(row, _)| row).collect()
        };
        Ok(own.zip(found.into_iter().map(sorted)).collect::<Vec<_>>())
    });
    Ok(blocks.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;

    /// The peer's procedure on the whole matrix of scores.
    fn brute_force(scores: &[Vec<f32>], threshold: f32, least: usize) -> Vec<Vec<usize>> {
        let near = |row: &Vec<f32>| {
            let mut near: Vec<usize> = (0..row.len()).filter(|other| row[*other] >= threshold).collect();
            near.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
            near
        };
        let mut all: Vec<(usize, Vec<usize>)> = scores.iter().map(near).enumerate().collect();
        all.retain(|(_, rows)| rows.len() >= least);
        all.sort_by_key(|(_, rows)| Reverse(rows.len()));
        let (mut used, mut unique) = (vec![false; scores.len()], Vec::new());
        for (centre, rows) in all {
            let free: Vec<usize> = rows.into_iter().filter(|row| !used[*row]).collect();
            if !used[centre] && free.len() >= least {
                let others = free.into_iter().filter(|row| *row != centre);
                let community: Vec<usize> = std::iter::once(centre).chain(others).collect();
                community.iter().for_each(|row| used[*row] = true);
                unique.push(community);
            }
        }
        unique.sort_by_key(|community| Reverse(community.len()));
        unique
    }

    proptest! {
        #[test]
        fn equals_the_whole_matrix(
            numbers in prop::collection::vec(-3..4_i8, 0..160),
            threshold in 0.3_f32..1.0,
            least in 1..6_usize,
        ) {
            let rows = numbers.len() / 2;
            let numbers: Vec<f32> = numbers[..rows * 2].iter().map(|number| f32::from(*number)).collect();
            let vectors = Tensor::from_slice(&numbers, (rows, 2), &Device::Cpu).unwrap();
            let config = CommunityConfig { threshold, min_community_size: least };
            let found = community_detection(&vectors, config).unwrap();
            let unit = flat::prepare_rows(&vectors, Similarity::Cosine).unwrap();
            let unit = unit.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let mut scores = vec![0.0; rows * rows];
            let view = View::new(&unit, rows, 2);
            gemm(&mut scores, view, view.t(), 1.0, false, Threads::This);
            let scores: Vec<Vec<f32>> = scores.chunks(rows.max(1)).map(<[f32]>::to_vec).collect();
            prop_assert_eq!(found, brute_force(&scores, threshold, least));
        }
    }
}
