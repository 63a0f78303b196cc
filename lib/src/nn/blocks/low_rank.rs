//! A product of low rank beside a linear map, `y += s (drop(x) Aᵀ) Bᵀ`, for some of its outputs: `A (r, in)`,
//! `B (outputs, r)`. Neither pass makes anything of the size of the map itself.

use std::ops::Range;

use super::attention::with_scratch;
use super::dropout::Site;
use crate::nn::gemm::{Threads, View, gemm, gemm_into};
use crate::nn::math::vectorised;

use rayon::prelude::*;

/// One such product.
#[derive(Debug, Clone)]
pub(crate) struct LowRank<'a> {
    pub(crate) a: &'a [f32],
    pub(crate) b: &'a [f32],
    pub(crate) rank: usize,
    /// `s`
    pub(crate) scale: f32,
    /// The outputs of the map that it is added to.
    pub(crate) outputs: Range<usize>,
    /// What is dropped of the input.
    pub(crate) dropout: Option<Site<'a>>,
}

/// Adds it to `y (T, out)`, from `x (T, in)`.
pub(crate) fn forward(y: &mut [f32], x: &[f32], rows: usize, part: &LowRank<'_>) {
    let (width, rank) = (y.len() / rows, part.rank);
    part.with_input(x, rows, |x, inputs, down, _| {
        gemm(down, x, View::new(part.a, rank, inputs).t(), 1.0, false, Threads::All);
        let (y, up) = (&mut y[part.outputs.start..], View::new(part.b, part.outputs.len(), rank).t());
        gemm_into((y, width), View::new(down, rows, rank), up, part.scale, true, Threads::All);
    });
}

/// From `dy (T, out)` and `x (T, in)`: adds the gradients of `A` and `B`, and that of `x` to `dx` where it is wanted.
pub(crate) fn backward(
    dy: &[f32],
    x: &[f32],
    rows: usize,
    part: &LowRank<'_>,
    (d_a, d_b): (&mut [f32], &mut [f32]),
    dx: Option<&mut [f32]>,
) {
    let (width, rank, outputs) = (dy.len() / rows, part.rank, part.outputs.len());
    let dy = View::strided(&dy[part.outputs.start..], rows, outputs, width);
    part.with_input(x, rows, |x, inputs, down, spare| {
        let a = View::new(part.a, rank, inputs);
        gemm(down, x, a.t(), 1.0, false, Threads::All);
        gemm(d_b, dy.t(), View::new(down, rows, rank), part.scale, true, Threads::All);
        // What is there is not needed any more.
        let d_down = down;
        gemm(d_down, dy, View::new(part.b, outputs, rank), part.scale, false, Threads::All);
        let d_down = View::new(d_down, rows, rank);
        gemm(d_a, d_down.t(), x, 1.0, true, Threads::All);
        let Some(dx) = dx else { return };
        match part.dropout {
            None => gemm(dx, d_down, a, 1.0, true, Threads::All),
            Some(site) => {
                gemm(spare, d_down, a, 1.0, false, Threads::All);
                let parts = dx.par_chunks_mut(inputs).zip(spare.par_chunks_mut(inputs)).enumerate();
                parts.for_each(|(row, (dx, spare))| {
                    site.apply(row, spare);
                    add(dx, spare);
                });
            }
        }
    });
}

impl LowRank<'_> {
    /// Runs `work` with the input after its dropout, its width, a buffer `(T, r)`, and with dropout one `(T, in)`.
    fn with_input(&self, x: &[f32], rows: usize, work: impl FnOnce(View<'_>, usize, &mut [f32], &mut [f32])) {
        let (inputs, dropped) = (x.len() / rows, if self.dropout.is_some() { x.len() } else { 0 });
        with_scratch([rows * self.rank, dropped, dropped], |[down, input, spare]| {
            let Some(site) = self.dropout else {
                return work(View::new(x, rows, inputs), inputs, down, spare);
            };
            input.par_chunks_mut(inputs).zip(x.par_chunks(inputs)).enumerate().for_each(|(row, (input, x))| {
                input.copy_from_slice(x);
                site.apply(row, input);
            });
            work(View::new(input, rows, inputs), inputs, down, spare);
        });
    }
}

vectorised! {
    fn add(sum: &mut [f32], term: &[f32]) {
        for (sum, term) in sum.iter_mut().zip(term) {
            *sum += term;
        }
    }
}
