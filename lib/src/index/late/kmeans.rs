//! k-means (Lloyd's algorithm) over the vectors of tokens.

use rayon::prelude::*;

use crate::nn::{Threads, View, gemm_into, gemm_rounded, vectorised};
use crate::random::Philox;
use crate::{Result, interrupt};

/// Points, and centroids, whose products are computed at a time: they stay in a core's second-level cache.
const POINTS: usize = 256;
const CENTROIDS: usize = 512;

/// How a product of points and centroids is computed.
type Gemm = fn(&mut [f32], View<'_>, View<'_>);

/// In single precision.
pub(super) const EXACT: Gemm =
    |to, points, centroids| gemm_into((to, CENTROIDS), points, centroids, 1.0, false, Threads::This);
/// In half the bits, which are enough to tell which centroid is near.
const ROUNDED: Gemm = |to, points, centroids| gemm_rounded((to, CENTROIDS), points, centroids, 1.0);

/// At most `count` centroids `(count, width)` of points `(n, width)`, which are drawn among them by `seed` and then moved
/// `iterations` times to the mean of the points that they are nearest to. With `unit`, points and centroids are of length 1.
///
/// A centroid that is nearest to no point moves to one that is farthest from its own.
pub(super) fn centroids(
    points: &[f32],
    width: usize,
    (count, iterations): (usize, usize),
    unit: bool,
    seed: u64,
) -> Result<Vec<f32>> {
    let total = points.len() / width;
    let mut drawn: Vec<u32> = (0..total as u32).collect();
    Philox::new(seed).shuffle(&mut drawn);
    drawn.truncate(count);
    let rows = drawn.iter().flat_map(|point| &points[*point as usize * width..][..width]);
    let mut centroids: Vec<f32> = rows.copied().collect();
    for _ in 0..iterations {
        interrupt::check("clustering")?;
        let found = nearest(points, &centroids, width, ROUNDED)?;
        move_to_means(points, &found, &mut centroids, width, unit);
    }
    Ok(centroids)
}

/// For each point the centroid that is nearest, and half the square of its distance less half the square of the point's length;
/// of equally near ones the first.
pub(super) fn nearest(points: &[f32], centroids: &[f32], width: usize, gemm: Gemm) -> Result<Vec<(u32, f32)>> {
    let halves: Vec<f32> =
        centroids.chunks_exact(width).map(|row| row.iter().map(|value| value * value).sum::<f32>() / 2.0).collect();
    let block = |points: &[f32]| {
        interrupt::check("clustering")?;
        let count = points.len() / width;
        let points = View::new(points, count, width);
        let mut products = vec![0.0; count * CENTROIDS];
        let mut best = vec![(0, f32::NEG_INFINITY); count];
        for (part, rows) in centroids.chunks(CENTROIDS * width).enumerate() {
            let (first, columns) = (part * CENTROIDS, rows.len() / width);
            gemm(&mut products, points, View::new(rows, columns, width).t());
            for (best, products) in best.iter_mut().zip(products.chunks_exact(CENTROIDS)) {
                larger(&products[..columns], &halves[first..first + columns], first as u32, best);
            }
        }
        Ok(best.into_iter().map(|(centroid, most)| (centroid, -most)).collect::<Vec<_>>())
    };
    Ok(points.par_chunks(POINTS * width).map(block).collect::<Result<Vec<_>>>()?.concat())
}

vectorised! {
    /// Replaces the best by the largest difference of two rows, and its place from `first` on, if that is larger.
    fn larger(products: &[f32], halves: &[f32], first: u32, best: &mut (u32, f32)) {
        const LANES: usize = 16;
        let (mut most, mut places) = ([f32::NEG_INFINITY; LANES], [0_u32; LANES]);
        let (products, products_rest) = products.as_chunks::<LANES>();
        let (halves, halves_rest) = halves.as_chunks::<LANES>();
        for (part, (products, halves)) in (0_u32..).zip(products.iter().zip(halves)) {
            for lane in 0..LANES {
                let value = products[lane] - halves[lane];
                let larger = value > most[lane];
                most[lane] = if larger { value } else { most[lane] };
                places[lane] = if larger { part } else { places[lane] };
            }
        }
        let whole = (products.len() * LANES) as u32;
        let lanes = (0_u32..).zip(most.iter().zip(&places)).map(|(lane, (most, part))| (part * LANES as u32 + lane, *most));
        let rest = (whole..).zip(products_rest.iter().zip(halves_rest)).map(|(place, (product, half))| (place, product - half));
        for (place, value) in lanes.chain(rest) {
            if value > best.1 || value == best.1 && first + place < best.0 {
                *best = (first + place, value);
            }
        }
    }
}

/// Moves every centroid to the mean of its points, which are added up in their order.
fn move_to_means(points: &[f32], found: &[(u32, f32)], centroids: &mut [f32], width: usize, unit: bool) {
    let count = centroids.len() / width;
    let mut ends = vec![0_usize; count];
    found.iter().for_each(|(centroid, _)| ends[*centroid as usize] += 1);
    let free: Vec<usize> = (0..count).filter(|centroid| ends[*centroid] == 0).collect();
    let mut end = 0;
    for size in &mut ends {
        end += *size;
        *size = end;
    }
    let start = |centroid: usize| if centroid == 0 { 0 } else { ends[centroid - 1] };
    let mut next: Vec<usize> = (0..count).map(start).collect();
    let mut members = vec![0_u32; found.len()];
    for (point, (centroid, _)) in (0..).zip(found) {
        members[next[*centroid as usize]] = point;
        next[*centroid as usize] += 1;
    }
    let row = |point: u32| &points[point as usize * width..][..width];
    centroids.par_chunks_exact_mut(width).enumerate().for_each(|(number, centroid)| {
        let members = &members[start(number)..ends[number]];
        if members.is_empty() {
            return;
        }
        centroid.fill(0.0);
        members.iter().for_each(|point| centroid.iter_mut().zip(row(*point)).for_each(|(sum, value)| *sum += value));
        let size = if unit { length(centroid) } else { members.len() as f32 };
        centroid.iter_mut().for_each(|value| *value /= size);
    });
    let distance = |point: u32| {
        let (_, half) = found[point as usize];
        half + row(point).iter().map(|value| value * value).sum::<f32>() / 2.0
    };
    let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    let farthest = |centroid: usize| {
        members[start(centroid)..ends[centroid]].iter().map(|point| (distance(*point), *point)).min_by(order)
    };
    let mut far: Vec<(f32, u32)> = if free.is_empty() { Vec::new() } else { (0..count).filter_map(farthest).collect() };
    far.sort_unstable_by(order);
    for (centroid, (_, point)) in free.into_iter().zip(far) {
        centroids[centroid * width..][..width].copy_from_slice(row(point));
    }
}

/// The length of a row; 1 of one that has none.
pub(super) fn length(row: &[f32]) -> f32 {
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 { length } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gemm;

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = Philox::new(seed);
        (0..count).map(|_| rng.normal() as f32).collect()
    }

    #[test]
    fn the_nearest_is_the_nearest() {
        let width = 9;
        for (points, centroids) in [(1, 1), (300, 15), (700, 1_100)] {
            let (points, centroids) = (numbers(points * width, 1), numbers(centroids * width, 2));
            let found = nearest(&points, &centroids, width, EXACT).unwrap();
            let mut products = vec![0.0; points.len() / width * (centroids.len() / width)];
            let sizes = (points.len() / width, centroids.len() / width);
            let rows = View::new(&centroids, sizes.1, width);
            gemm(&mut products, View::new(&points, sizes.0, width), rows.t(), 1.0, false, Threads::All);
            for (row, (centroid, half)) in points.chunks_exact(width).zip(found) {
                let distance = |other: &[f32]| row.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
                let own = distance(&centroids[centroid as usize * width..][..width]);
                let best = centroids.chunks_exact(width).map(distance).fold(f32::INFINITY, f32::min);
                let square: f32 = row.iter().map(|value| value * value).sum();
                assert!(own < best + 1e-4 && (2.0 * half + square - own).abs() < 1e-4, "{own} {best} {half}");
            }
        }
    }

    #[test]
    fn clusters_are_found_whatever_is_drawn() {
        let width = 16;
        // Few different points, many times each: a centroid moves to each of them.
        let different = numbers(20 * width, 3);
        let points: Vec<f32> = (0..4_000).flat_map(|row| &different[row % 20 * width..][..width]).copied().collect();
        for seed in 0..5 {
            let found = centroids(&points, width, (40, 4), false, seed).unwrap();
            let nearest = nearest(&points, &found, width, EXACT).unwrap();
            for (row, (centroid, _)) in points.chunks_exact(width).zip(nearest) {
                let centroid = &found[centroid as usize * width..][..width];
                assert!(row.iter().zip(centroid).all(|(a, b)| (a - b).abs() < 1e-4));
            }
        }
    }

    #[test]
    fn threads_change_nothing() {
        let points = numbers(3_000 * 24, 4);
        let centroids = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| centroids(&points, 24, (100, 3), false, 7).unwrap())
        };
        assert!(centroids(1) == centroids(3));
    }
}
