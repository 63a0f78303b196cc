//! Bias, dropout and residual sum without a norm after them.

use rayon::prelude::*;

use super::ROWS_PER_TASK;
use super::dropout::Site;
use crate::nn::math::vectorised;

/// `stream += dropout(x + bias)`, both `(T, H)`; `x` is overwritten.
pub(crate) fn add(stream: &mut [f32], x: &mut [f32], bias: Option<&[f32]>, width: usize, dropout: Option<Site<'_>>) {
    let task = width * ROWS_PER_TASK;
    stream.par_chunks_mut(task).zip(x.par_chunks_mut(task)).enumerate().for_each(|(index, (stream, x))| {
        let rows = stream.chunks_exact_mut(width).zip(x.chunks_exact_mut(width));
        for (row, (stream, x)) in rows.enumerate() {
            if let Some(bias) = bias {
                add_row(x, bias);
            }
            if let Some(site) = dropout {
                site.apply(index * ROWS_PER_TASK + row, x);
            }
            add_row(stream, x);
        }
    });
}

/// `sum += x`
pub(crate) fn accumulate(sum: &mut [f32], x: &[f32]) {
    const TASK: usize = 1 << 14;
    sum.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(sum, x)| add_row(sum, x));
}

vectorised! {
    fn add_row(sum: &mut [f32], x: &[f32]) {
        for (sum, x) in sum.iter_mut().zip(x) {
            *sum += x;
        }
    }
}
