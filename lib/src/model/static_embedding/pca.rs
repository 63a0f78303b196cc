//! Principal components.

use super::eigen::symmetric;
use crate::nn::{Threads, View, gemm};
use crate::{Result, interrupt};

/// Rows of one product.
const ROWS: usize = 4_096;

/// What rows `(n, width)` are along their `dims` directions of the largest variance, around their mean: `(n, dims)`. The
/// largest number of a direction is positive, as in scikit-learn's `PCA`.
pub(super) fn project(rows: &mut [f32], width: usize, dims: usize) -> Result<Vec<f32>> {
    let count = rows.len() / width;
    centre(rows, width);
    let mut covariance = vec![0.0_f64; width * width];
    let mut products = vec![0.0; width * width];
    for part in rows.chunks(ROWS * width) {
        interrupt::check("the principal components")?;
        let view = View::new(part, part.len() / width, width);
        gemm(&mut products, view.t(), view, 1.0, false, Threads::All);
        covariance.iter_mut().zip(&products).for_each(|(sum, product)| *sum += f64::from(*product));
    }
    let (_, directions) = symmetric(&covariance, width)?;
    let directions: Vec<f32> = directions.chunks_exact(width).take(dims).flat_map(positive).collect();
    let mut projected = vec![0.0; count * dims];
    gemm(
        &mut projected,
        View::new(rows, count, width),
        View::new(&directions, dims, width).t(),
        1.0,
        false,
        Threads::All,
    );
    Ok(projected)
}

/// Takes the mean of each column away from it.
fn centre(rows: &mut [f32], width: usize) {
    let mut sums = vec![0.0_f64; width];
    for row in rows.chunks_exact(width) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let count = (rows.len() / width).max(1) as f64;
    for row in rows.chunks_exact_mut(width) {
        row.iter_mut().zip(&sums).for_each(|(value, sum)| *value -= (sum / count) as f32);
    }
}

/// A direction with the sign that makes its largest number positive.
fn positive(direction: &[f64]) -> impl Iterator<Item = f32> {
    let largest = direction.iter().fold(0.0_f64, |most, value| if value.abs() > most.abs() { *value } else { most });
    let sign = if largest < 0.0 { -1.0 } else { 1.0 };
    direction.iter().map(move |value| (value * sign) as f32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `PCA(2, svd_solver="full").fit_transform(..)` of scikit-learn.
    #[test]
    fn a_known_projection() {
        let mut rows = [
            [2.0, -1.0, 0.0, 3.0],
            [1.0, 4.0, -2.0, 0.0],
            [-3.0, 2.0, 1.0, 1.0],
            [0.0, 0.0, 5.0, -2.0],
            [4.0, -3.0, 2.0, 1.0],
            [-1.0, 1.0, -4.0, 2.0],
        ];
        let expected = [
            [0.625_443, 2.718_582],
            [-3.208_475, -0.575_245],
            [-1.511_239, -3.053_846],
            [4.181_004, -3.536_604],
            [4.240_9, 3.019_299],
            [-4.327_634, 1.427_815],
        ];
        let found = project(rows.as_flattened_mut(), 4, 2).unwrap();
        assert!(
            found.iter().zip(expected.as_flattened()).all(|(a, b): (&f32, &f32)| (a - b).abs() < 1e-5),
            "{found:?}"
        );
    }

    proptest! {
        #[test]
        fn all_components_keep_distances_and_are_uncorrelated(
            numbers in prop::collection::vec(-50..50_i32, 40),
        ) {
            const WIDTH: usize = 4;
            let rows: Vec<f32> = numbers.iter().map(|number| *number as f32 / 10.0).collect();
            let projected = project(&mut rows.clone(), WIDTH, WIDTH).unwrap();
            let distance = |rows: &[f32], a: usize, b: usize| -> f32 {
                (0..WIDTH).map(|column| (rows[a * WIDTH + column] - rows[b * WIDTH + column]).powi(2)).sum::<f32>().sqrt()
            };
            for (a, b) in [(0, 1), (2, 7), (9, 4)] {
                prop_assert!((distance(&rows, a, b) - distance(&projected, a, b)).abs() < 1e-4);
            }
            let product = |a: usize, b: usize| -> f32 {
                projected.chunks_exact(WIDTH).map(|row| row[a] * row[b]).sum()
            };
            let variances: Vec<f32> = (0..WIDTH).map(|column| product(column, column)).collect();
            prop_assert!(variances.windows(2).all(|pair| pair[0] >= pair[1] - 1e-3));
            for column in 1..WIDTH {
                prop_assert!(product(0, column).abs() < 2e-3 * variances[0].max(1.0));
            }
            let two = project(&mut rows.clone(), WIDTH, 2).unwrap();
            for (row, all) in two.chunks_exact(2).zip(projected.chunks_exact(WIDTH)) {
                prop_assert!((row[0] - all[0]).abs() < 1e-4 && (row[1] - all[1]).abs() < 1e-4);
            }
        }
    }
}
