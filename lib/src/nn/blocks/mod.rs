//! The fused kernels that encoders are made of: each a forward and a backward function.
//!
//! Parallel loops cut the work by rows, columns or (sequence, head), never by thread count, so a
//! result does not depend on the number of threads.
//!
//! A kernel is one function over whole buffers, and all matrix products go through [`gemm`](super::gemm()): these
//! functions are where another device gets its bodies, and nothing above them knows how they compute.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod bag;
pub mod dropout;
pub(crate) mod embedding;
pub(crate) mod gate;
pub(crate) mod linear;
pub(crate) mod norm;
pub(crate) mod relative;
pub(crate) mod residual;
pub(crate) mod rotary;
pub(crate) mod rows;

/// Rows that one task of a row-wise kernel takes.
pub(crate) const ROWS_PER_TASK: usize = 32;
