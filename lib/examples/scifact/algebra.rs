//! Two things of linear algebra, for the beginnings of models.

use anyhow::Result;
use kensaku::prelude::*;

/// The `count` directions in which the rows of `(n, width)` are longest, as rows `(count, width)`: orthogonal iteration
/// on their second moments. Nothing is subtracted, so that cosines stay what they are.
pub fn principal_axes(rows: &Tensor, count: usize) -> Result<Tensor> {
    let moments = rows.t()?.matmul(rows)?.to_dtype(DType::F64)?;
    let width = moments.dim(0)?;
    // Rows are the directions; the matrix is symmetric.
    let mut axes = moments.narrow(0, 0, count)?.to_vec2::<f64>()?;
    orthonormal(&mut axes);
    for _ in 0..100 {
        axes = Tensor::from_vec(axes.concat(), (count, width), &Device::Cpu)?.matmul(&moments)?.to_vec2()?;
        orthonormal(&mut axes);
    }
    Ok(Tensor::from_vec(axes.concat(), (count, width), &Device::Cpu)?.to_dtype(DType::F32)?)
}

/// Gram and Schmidt: each row loses what it shares with those before it, and gets length 1.
fn orthonormal(rows: &mut [Vec<f64>]) {
    for row in 0..rows.len() {
        let (before, rest) = rows.split_at_mut(row);
        let row = &mut rest[0];
        for other in before {
            let shared: f64 = row.iter().zip(other.iter()).map(|(x, y)| x * y).sum();
            row.iter_mut().zip(other.iter()).for_each(|(x, y)| *x -= shared * y);
        }
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    }
}

/// The `W` of least `|X W - Y|² + ridge |W|²`, by elimination: `(n, a)`, `(n, b)` -> `(a, b)`.
pub fn least_squares(x: &Tensor, y: &Tensor, ridge: f64) -> Result<Tensor> {
    let products = x.t()?.matmul(&Tensor::cat(&[x, y], 1)?)?.to_dtype(DType::F64)?;
    let mut rows = products.to_vec2::<f64>()?;
    let size = rows.len();
    (0..size).for_each(|row| rows[row][row] += ridge);
    // The matrix is positive definite: no pivot is 0.
    for pivot in 0..size {
        let scale = 1.0 / rows[pivot][pivot];
        rows[pivot].iter_mut().for_each(|value| *value *= scale);
        let own = rows[pivot].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(row, _)| *row != pivot) {
            let factor = row[pivot];
            row.iter_mut().zip(&own).for_each(|(value, own)| *value -= factor * own);
        }
    }
    let solution: Vec<f64> = rows.into_iter().flat_map(|row| row.into_iter().skip(size)).collect();
    Ok(Tensor::from_vec(solution, (size, y.dim(1)?), &Device::Cpu)?.to_dtype(DType::F32)?)
}
