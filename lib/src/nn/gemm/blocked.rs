//! Blocked products (Goto and van de Geijn 2008): a block of the right operand is packed into panels that stay in a
//! core's second-level cache, and every tile of sums stays in registers while it goes through one.
//!
//! The left operand is read where it lies if its rows do; a transposed one is packed, a few rows at a time.

use std::cell::RefCell;

use rayon::prelude::*;

use super::avx512::{COLS, Left, Out, ROWS, copy, interleave, interleaved, prefetch, tile, transpose};
use super::{Product, Threads, View};

/// Rows and columns of a block, 576 KiB of the 1 to 2 MiB that a core has.
const DEPTH: usize = 384;
const WIDTH: usize = 12 * COLS;

/// Rows that lie a multiple of 4 KiB apart share the few places of one set of the first-level cache.
const SAME_SET: usize = 1024;

/// Rows of a transposed left operand that are packed together: whole cache lines of it are read.
const PACKED: usize = 8 * ROWS;

/// The smallest part of a product that is worth a separate task, in numbers.
const TASK: usize = 1 << 14;

/// Whether the processor supports it.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
}

/// The place of a product, of which tasks write disjoint parts.
#[derive(Clone, Copy)]
struct Place {
    start: *mut f32,
    stride: usize,
    scale: f32,
    accumulate: bool,
}

// SAFETY: only `multiply` shares one, and its tasks write disjoint parts.
unsafe impl Send for Place {}
unsafe impl Sync for Place {}

impl Place {
    /// The part that begins in a row and a column.
    fn at(&self, row: usize, col: usize) -> Self {
        Self { start: self.start.wrapping_add(row * self.stride + col), ..*self }
    }
}

/// Computes a product.
///
/// # Safety
/// `dst` has room for the product, the inner dimensions are equal, and the processor is [`available`].
pub(super) unsafe fn multiply(product: Product<'_>) {
    let Product { dst, stride, lhs, rhs, scale, accumulate, threads } = product;
    let place = Place { start: dst.as_mut_ptr(), stride, scale, accumulate };
    let (m, n) = (lhs.rows, rhs.cols);
    let tasks = match threads {
        Threads::This => 1,
        // Two per thread, so that a delayed one delays less; where both operands are packed, that costs more.
        Threads::All => (rayon::current_num_threads() * if lhs.col_stride == 1 { 2 } else { 1 }).min(m * n / TASK + 1),
    };
    // Of all ways to cut the product into this many parts, the one that packs least: every part packs its own operands.
    let packed = |tall: &usize| tall * n + tasks / tall * m;
    let tall = (1..=tasks).filter(|tall| tasks.is_multiple_of(*tall)).min_by_key(packed).unwrap_or(1);
    let height = m.div_ceil(tall).next_multiple_of(ROWS);
    let width = n.div_ceil(tasks / tall).next_multiple_of(COLS);
    let (tall, wide) = (lhs.rows.div_ceil(height.max(1)), rhs.cols.div_ceil(width.max(1)));
    let task = |task: usize| {
        let (top, left) = (task / wide * height, task % wide * width);
        let rows = top..(top + height).min(lhs.rows);
        let cols = left..(left + width).min(rhs.cols);
        // SAFETY: guaranteed by the caller; no two tasks have a row and a column in common.
        unsafe { part(place.at(top, left), lhs.rows(&rows), rhs.cols(&cols)) };
    };
    match (threads, tall * wide) {
        (Threads::All, 2..) => (0..tall * wide).into_par_iter().for_each(task),
        (_, count) => (0..count).for_each(task),
    }
}

/// A product by one thread.
///
/// # Safety
/// As for [`multiply`].
#[target_feature(enable = "avx512f")]
unsafe fn part(place: Place, lhs: View<'_>, rhs: View<'_>) {
    thread_local!(static BUFFERS: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) });
    BUFFERS.with_borrow_mut(|[block, panels]| {
        block.resize(DEPTH * WIDTH, 0.0);
        panels.resize(PACKED / ROWS * interleaved(DEPTH), 0.0);
        let depth = lhs.cols;
        // Parts of equal size, so that the last is not a small one. One of no terms writes the zeros of an empty sum.
        let parts = depth.div_ceil(DEPTH).max(1);
        let most = depth.div_ceil(parts);
        for left in (0..rhs.cols).step_by(WIDTH) {
            let cols = left..(left + WIDTH).min(rhs.cols);
            for part in 0..parts {
                let terms = part * most..((part + 1) * most).min(depth);
                let (lhs, rhs) = (lhs.cols(&terms), rhs.rows(&terms).cols(&cols));
                let place = Place { accumulate: place.accumulate || part > 0, ..place.at(0, left) };
                // SAFETY: the buffers have room for the largest parts; the rest guaranteed by the caller.
                unsafe {
                    pack(block, rhs);
                    strip(place, lhs, block, cols.len(), panels);
                }
            }
        }
    });
}

/// Packs columns into panels `(depth, COLS)`, one after the other.
#[target_feature(enable = "avx512f")]
unsafe fn pack(block: &mut [f32], rhs: View<'_>) {
    let (depth, start) = (rhs.rows, rhs.data.as_ptr());
    assert!(rhs.cols.next_multiple_of(COLS) * depth <= block.len(), "block outside of its buffer");
    if rhs.col_stride == 1 {
        // SAFETY: `View` keeps what it names inside of its slice, and the block has room.
        return unsafe { copy(block.as_mut_ptr(), start, rhs.row_stride, rhs.cols, depth) };
    }
    for left in (0..rhs.cols).step_by(COLS) {
        let (from, cols) = (start.wrapping_add(left * rhs.col_stride), (rhs.cols - left).min(COLS));
        // SAFETY: as above.
        unsafe { transpose(block.as_mut_ptr().add(left * depth), from, rhs.col_stride, cols, depth) };
    }
}

/// The product of all rows with one block.
#[target_feature(enable = "avx512f")]
unsafe fn strip(place: Place, lhs: View<'_>, block: &[f32], cols: usize, panels: &mut [f32]) {
    let depth = lhs.cols;
    for top in (0..lhs.rows).step_by(ROWS) {
        let (rows, start) = ((lhs.rows - top).min(ROWS), lhs.data.as_ptr().wrapping_add(top * lhs.row_stride));
        let left = if lhs.col_stride == 1 && !lhs.row_stride.is_multiple_of(SAME_SET) {
            Left { start, row: lhs.row_stride, col: 1 }
        } else if lhs.col_stride == 1 {
            for (row, to) in panels.chunks_exact_mut(depth + COLS).enumerate().take(rows) {
                to[..depth].copy_from_slice(&lhs.data[(top + row) * lhs.row_stride..][..depth]);
            }
            Left { start: panels.as_ptr(), row: depth + COLS, col: 1 }
        } else {
            if top.is_multiple_of(PACKED) {
                let rows = (lhs.rows - top).min(PACKED);
                // SAFETY: `panels` has room, and `View` keeps what it names inside of its slice.
                unsafe { interleave(panels.as_mut_ptr(), start, lhs.col_stride, rows, depth) };
            }
            Left { start: panels[top % PACKED / ROWS * interleaved(depth)..].as_ptr(), row: 1, col: ROWS }
        };
        for first in (0..cols).step_by(COLS) {
            if lhs.col_stride == 1 {
                // Some of the next rows, while these are multiplied.
                let next = |first: usize| (top + ROWS + ROWS * first / cols).min(lhs.rows);
                (next(first)..next(first + COLS)).for_each(|row| prefetch(lhs.row(row).as_ptr(), depth));
            }
            let Place { start, stride, scale, accumulate } = place.at(top, first);
            let out = Out { start, stride, cols: (cols - first).min(COLS), scale, accumulate };
            // SAFETY: guaranteed by the caller; rows and columns are cut to a tile.
            unsafe { tile(left, rows, block.as_ptr().wrapping_add(first * depth), depth, out) };
        }
    }
}
