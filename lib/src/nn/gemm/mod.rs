//! Matrix products, all through one function: blocked products of our own with AVX-512, the `gemm` crate otherwise.
//!
//! `examples/gemm.rs` compares both with MKL in PyTorch, on the products of an encoder.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod blocked;
mod gemm_crate;
#[cfg(target_arch = "x86_64")]
mod rounded;

use super::math::{lane_sum, vectorised};

/// A matrix in a slice, with strides: a transpose, or a head of a fused projection, needs no copy.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Rows that lie `row_stride` apart.
    ///
    /// # Panics
    /// If they do not lie within `data`.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        let end = |rows: usize| (rows - 1).checked_mul(row_stride)?.checked_add(cols);
        let fits = rows == 0 || cols == 0 || end(rows).is_some_and(|end| end <= data.len());
        assert!(fits, "matrix outside of its buffer");
        // Of a single row, or of none, the stride says nothing: no product of it may overflow.
        Self { data, rows, cols, row_stride: row_stride.min(data.len()), col_stride: 1 }
    }

    /// Some of its rows.
    ///
    /// # Panics
    /// If it does not have them.
    pub fn rows(self, rows: &std::ops::Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows outside of a matrix");
        // No rows, or rows of nothing, may begin beyond the end.
        let data = self.data.get(rows.start.saturating_mul(self.row_stride)..).unwrap_or_default();
        Self { data, rows: rows.len(), ..self }
    }

    /// Some of its columns.
    ///
    /// # Panics
    /// If it does not have them.
    pub fn cols(self, cols: &std::ops::Range<usize>) -> Self {
        self.t().rows(cols).t()
    }

    /// The `index`th row of a matrix whose rows are not strided.
    #[inline(always)]
    fn row(&self, index: usize) -> &'a [f32] {
        &self.data[index * self.row_stride..][..self.cols]
    }

    /// The transpose.
    pub fn t(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }
}

vectorised! {
    /// The dot product of each row with that of another matrix of the same shape.
    pub(crate) fn dot_rows(left: View<'_>, right: View<'_>, dots: &mut [f32]) {
        for (index, dot) in dots.iter_mut().enumerate().take(left.rows) {
            *dot = lane_sum([left.row(index), right.row(index)], |[left, right]| left * right);
        }
    }
}

/// Which threads compute a product: all, or only the calling one while others compute other products.
#[derive(Clone, Copy, PartialEq)]
pub enum Threads {
    All,
    This,
}

/// `dst = scale * lhs rhs`, or `dst += ..` with `accumulate`. `dst` is row-major `(lhs.rows, rhs.cols)`. The
/// result does not depend on the number of threads.
///
/// ```
/// use kensaku::nn::{Threads, View, gemm};
///
/// let (lhs, rhs) = ([1.0, 2.0, 3.0, 4.0], [1.0, 10.0, 100.0, 1000.0]);
/// let mut dst = [0.0; 4];
/// gemm(&mut dst, View::new(&lhs, 2, 2), View::new(&rhs, 2, 2).t(), 1.0, false, Threads::All);
/// assert_eq!(dst, [21.0, 2100.0, 43.0, 4300.0]);
/// ```
///
/// # Panics
/// If the shapes do not match.
pub fn gemm(dst: &mut [f32], lhs: View<'_>, rhs: View<'_>, scale: f32, accumulate: bool, threads: Threads) {
    gemm_into((dst, rhs.cols), lhs, rhs, scale, accumulate, threads);
}

/// The same for a product whose rows lie `stride` apart; what is between them is left alone.
pub(crate) fn gemm_into(
    (dst, stride): (&mut [f32], usize),
    lhs: View<'_>,
    rhs: View<'_>,
    scale: f32,
    accumulate: bool,
    threads: Threads,
) {
    let product = Product::new((dst, stride), lhs, rhs, scale, accumulate, threads);
    if lhs.rows == 0 || rhs.cols == 0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if blocked::available() {
        // SAFETY: `View` and `Product::new` keep every element inside its slice.
        return unsafe { blocked::multiply(product) };
    }
    gemm_crate::multiply(product);
}

/// `dst = scale * lhs rhs` by the calling thread, for when an error of 2^-7 per term is acceptable: in bf16, where the
/// processor multiplies it at twice the rate. Rows of `lhs` and `dst` are not strided.
pub(crate) fn gemm_rounded((dst, stride): (&mut [f32], usize), lhs: View<'_>, rhs: View<'_>, scale: f32) {
    #[cfg(target_arch = "x86_64")]
    if rounded::available() && lhs.col_stride == 1 && (rhs.row_stride == 1 || rhs.col_stride == 1) {
        let Product { dst, .. } = Product::new((dst, stride), lhs, rhs, scale, false, Threads::This);
        // SAFETY: `View` and `Product::new` keep every element inside its slice; the processor was just asked.
        return unsafe { rounded::multiply(dst.as_mut_ptr(), stride, lhs, rhs, scale) };
    }
    gemm_into((dst, stride), lhs, rhs, scale, false, Threads::This);
}

/// `dst = scale * lhs rhs`, or `dst += ..`; rows of `dst` lie `stride` apart.
struct Product<'a> {
    dst: &'a mut [f32],
    stride: usize,
    lhs: View<'a>,
    rhs: View<'a>,
    scale: f32,
    accumulate: bool,
    threads: Threads,
}

impl<'a> Product<'a> {
    fn new(
        (dst, stride): (&'a mut [f32], usize),
        lhs: View<'a>,
        rhs: View<'a>,
        scale: f32,
        accumulate: bool,
        threads: Threads,
    ) -> Self {
        assert_eq!(lhs.cols, rhs.rows, "inner dimensions of a matrix product");
        let end = |rows: usize| (rows - 1).checked_mul(stride)?.checked_add(rhs.cols);
        let fits = lhs.rows == 0 || rhs.cols == 0 || end(lhs.rows).is_some_and(|end| end <= dst.len());
        assert!(fits && rhs.cols <= stride, "product outside of its buffer");
        Self { dst, stride, lhs, rhs, scale, accumulate, threads }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A matrix whose rows lie somewhat apart, or the transpose of one.
    fn view(data: &[f32], rows: usize, cols: usize, gap: usize, transposed: bool) -> View<'_> {
        if transposed {
            View::strided(data, cols, rows, rows + gap).t()
        } else {
            View::strided(data, rows, cols, cols + gap)
        }
    }

    fn at(view: &View<'_>, row: usize, col: usize) -> f64 {
        f64::from(view.data[row * view.row_stride + col * view.col_stride])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        /// Tiles, blocks and parts of all sizes against the sum in f64; the fallback as well.
        #[test]
        fn equals_the_sum_of_products(
            (m, n) in (0..150_usize, 0..70_usize),
            k in prop_oneof![0..40_usize, 380..390_usize, 765..775_usize, Just(1024)],
            gaps in prop::array::uniform3(0..3_usize),
            (lhs_transposed, rhs_transposed, accumulate, alone) in any::<(bool, bool, bool, bool)>(),
            seed in any::<u64>(),
        ) {
            let mut rng = crate::random::Philox::new(seed);
            let mut numbers = |rows: usize, cols: usize| -> Vec<f32> {
                (0..(rows + 3) * (cols + 3)).map(|_| rng.uniform() as f32 - 0.5).collect()
            };
            let (lhs, rhs, old) = (numbers(m, k), numbers(k, n), numbers(m, n));
            let lhs = view(&lhs, m, k, gaps[0], lhs_transposed);
            let rhs = view(&rhs, k, n, gaps[1], rhs_transposed);
            let stride = n + gaps[2];
            let mut near = old.clone();
            gemm_rounded((&mut near, stride), lhs, rhs, 0.7);
            let threads = if alone { Threads::This } else { Threads::All };
            let (mut dst, mut other) = (old.clone(), old.clone());
            gemm_into((&mut dst, stride), lhs, rhs, 0.7, accumulate, threads);
            gemm_crate::multiply(Product::new((&mut other, stride), lhs, rhs, 0.7, accumulate, threads));
            for (place, old) in old.iter().enumerate().take(m * stride) {
                let (row, col) = (place / stride, place % stride);
                if col >= n {
                    prop_assert_eq!([dst[place], near[place]], [*old; 2], "between rows, at {} {}", row, col);
                    continue;
                }
                let sum: f64 = (0..k).map(|term| at(&lhs, row, term) * at(&rhs, term, col)).sum();
                let size: f64 = (0..k).map(|term| (at(&lhs, row, term) * at(&rhs, term, col)).abs()).sum();
                // Each factor is off by 2^-8 at most.
                prop_assert!((f64::from(near[place]) - 0.7 * sum).abs() <= 0.7 * size / 127.0 + 1e-5, "{} instead of {}", near[place], 0.7 * sum);
                let expected = 0.7 * sum + if accumulate { f64::from(*old) } else { 0.0 };
                for found in [dst[place], other[place]] {
                    prop_assert!((f64::from(found) - expected).abs() < 1e-4, "{} instead of {} at {} {}", found, expected, row, col);
                }
            }
        }
    }

    #[test]
    fn equals_the_definition() {
        let lhs: Vec<f32> = (0..6).map(|x| x as f32).collect();
        let rhs: Vec<f32> = (0..6).map(|x| (x * x) as f32 - 3.0).collect();
        let mut dst = vec![1.0; 4];
        // (2, 3) times the transpose of (2, 3), doubled, on top of ones.
        gemm(&mut dst, View::new(&lhs, 2, 3), View::new(&rhs, 2, 3).t(), 2.0, true, Threads::This);
        let expected = |i: usize, j: usize| 1.0 + 2.0 * (0..3).map(|k| lhs[i * 3 + k] * rhs[j * 3 + k]).sum::<f32>();
        assert_eq!(dst, [expected(0, 0), expected(0, 1), expected(1, 0), expected(1, 1)]);
    }

    /// Sizes whose products wrap to something small are outside of every buffer; what has no elements is inside of any.
    #[test]
    fn sizes_do_not_overflow() {
        const HALF: usize = 1 << (usize::BITS - 1);
        let panics = |work: &(dyn Fn() + std::panic::RefUnwindSafe)| std::panic::catch_unwind(work).is_err();
        assert!(panics(&|| gemm(&mut [], View::new(&[], HALF, 0), View::new(&[], 0, 2), 1.0, false, Threads::This)));
        assert!(panics(&|| gemm_rounded((&mut [], 2), View::new(&[], HALF, 0), View::new(&[], 0, 2), 1.0)));
        assert!(panics(&|| _ = View::strided(&[0.0; 4], 3, 2, HALF)));
        assert!(panics(&|| _ = View::new(&[0.0; 4], HALF + 1, 2)));
        assert!(panics(&|| _ = View::strided(&[0.0; 4], 2, 4, 1)));

        let one = View::strided(&[1.0, 2.0], 1, 2, usize::MAX);
        let mut dst = [0.0];
        gemm(&mut dst, one, one.t(), 1.0, false, Threads::All);
        assert_eq!(dst, [5.0]);
        gemm(&mut [], View::new(&[], usize::MAX, 0), View::new(&[], 0, 0), 1.0, false, Threads::All);
        for empty in [View::new(&[], 0, 500), View::strided(&[], 500, 0, usize::MAX).t()] {
            let mut dst = [1.0; 1_000];
            gemm(&mut dst, View::new(&[], 2, 0), empty, 1.0, false, Threads::This);
            assert_eq!(dst, [0.0; 1_000]);
        }
    }

    #[test]
    fn leaves_what_is_between_rows_alone() {
        let mut dst = [9.0; 6];
        let one = [1.0, 2.0];
        gemm_into((&mut dst, 3), View::new(&one, 2, 1), View::new(&one, 1, 2), 1.0, false, Threads::This);
        assert_eq!(dst, [1.0, 2.0, 9.0, 2.0, 4.0, 9.0]);
    }

    /// Large enough that threads share a product: forward, gradient of the input, gradient of the weight.
    #[test]
    fn does_not_depend_on_threads() {
        let (tokens, inputs, outputs) = (517, 384, 400);
        let numbers = |len: usize, seed: u64| -> Vec<f32> {
            let mut rng = crate::random::Philox::new(seed);
            (0..len).map(|_| rng.normal() as f32).collect()
        };
        let (x, weight, dy) = (numbers(tokens * inputs, 1), numbers(outputs * inputs, 2), numbers(tokens * outputs, 3));
        let products = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| {
                let (mut y, mut dx) = (vec![0.0; tokens * outputs], vec![0.0; tokens * inputs]);
                let mut d_weight = vec![1.0; outputs * inputs];
                let (x, dy) = (View::new(&x, tokens, inputs), View::new(&dy, tokens, outputs));
                let weight = View::new(&weight, outputs, inputs);
                gemm(&mut y, x, weight.t(), 1.0, false, Threads::All);
                gemm(&mut dx, dy, weight, 1.0, false, Threads::All);
                gemm(&mut d_weight, dy.t(), x, 1.0, true, Threads::All);
                [y, dx, d_weight]
            })
        };
        let one = products(1);
        for threads in [2, 3, 7, 16, 64] {
            assert!(one == products(threads), "{threads} threads");
        }
    }
}
