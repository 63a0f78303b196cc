//! The fallback: products by the `gemm` crate, for AVX2, NEON and whatever a processor has.

use gemm::Parallelism;

use super::{Product, Threads};

/// Computes a product.
pub(super) fn multiply(product: Product<'_>) {
    let Product { dst, stride, lhs, rhs, scale, accumulate, threads } = product;
    let (m, n, k) = (lhs.rows, rhs.cols, lhs.cols);
    let parallelism = match threads {
        Threads::All => Parallelism::Rayon(rayon::current_num_threads()),
        Threads::This => Parallelism::None,
    };
    // SAFETY: `View` and `Product::new` keep every element inside its slice, and `dst` is borrowed mutably, so it
    // overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr(),
            1,
            stride as isize,
            accumulate,
            lhs.data.as_ptr(),
            lhs.col_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.col_stride as isize,
            rhs.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}
