//! The linear algebra of a model's beginning, for several examples.

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
