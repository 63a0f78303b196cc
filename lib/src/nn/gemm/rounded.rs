//! Products of operands that are rounded to bf16, summed up in f32, for AVX-512 BF16: two products per lane and
//! instruction.
//!
//! Both operands are packed as pairs of terms, of which one instruction multiplies and adds up both.

use std::arch::x86_64::*;
use std::cell::RefCell;

use super::View;
use super::avx512::{COLS, ROWS, columns};
use crate::nn::math::{LANES, first_lanes};
use crate::nn::saved_tensor::grow;

/// Whether the processor supports it.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
}

/// `dst = scale * lhs rhs`, rows of `dst` lie `stride` apart. One of the strides of `rhs`, and that of the columns of
/// `lhs`, is 1.
///
/// # Safety
/// `dst` has room for the product, the inner dimensions are equal, and the processor is [`available`].
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn multiply(dst: *mut f32, stride: usize, lhs: View<'_>, rhs: View<'_>, scale: f32) {
    thread_local!(static BUFFERS: RefCell<[Vec<u32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) });
    let pairs = lhs.cols.div_ceil(2);
    BUFFERS.with_borrow_mut(|[panels, rows]| {
        grow(panels, rhs.cols.next_multiple_of(COLS) * pairs);
        grow(rows, ROWS * pairs + LANES);
        let (panels, rows) = (panels.as_mut_ptr(), rows.as_mut_ptr());
        // SAFETY: the buffers have room; `View` keeps what it names inside of its slice, and the caller `dst`.
        unsafe {
            for left in (0..rhs.cols).step_by(COLS) {
                let (to, from) = (panels.add(left * pairs), rhs.data.as_ptr().wrapping_add(left * rhs.col_stride));
                let cols = (rhs.cols - left).min(COLS);
                if rhs.col_stride == 1 {
                    pair_rows(to, from, rhs.row_stride, cols, rhs.rows);
                } else {
                    for half in (0..COLS).step_by(LANES) {
                        let from = from.wrapping_add(half * rhs.col_stride);
                        let cols = cols.saturating_sub(half).min(LANES);
                        pair_terms(to.add(half), COLS, from, rhs.col_stride, cols, rhs.rows);
                    }
                }
            }
            for top in (0..lhs.rows).step_by(ROWS) {
                let height = (lhs.rows - top).min(ROWS);
                pair_terms(rows, ROWS, lhs.data.as_ptr().add(top * lhs.row_stride), lhs.row_stride, height, lhs.cols);
                for left in (0..rhs.cols).step_by(COLS) {
                    let out = (dst.wrapping_add(top * stride + left), stride);
                    tile(out, [height, (rhs.cols - left).min(COLS)], rows, panels.add(left * pairs), pairs, scale);
                }
            }
        }
    });
}

/// `out = scale * rows panel`, of which `height` rows and `width` columns are written.
///
/// # Safety
/// All of it lies inside of its memory.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn tile(
    (out, stride): (*mut f32, usize),
    [height, width]: [usize; 2],
    rows: *const u32,
    panel: *const u32,
    pairs: usize,
    scale: f32,
) {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    for pair in 0..pairs {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let right = [0, LANES].map(|lane| as_pairs(_mm512_loadu_epi32(panel.add(pair * COLS + lane).cast())));
            let left = rows.add(pair * ROWS);
            // Written out, as in the tile of f32.
            macro_rules! add_rows {
                ($($i:literal)*) => {$(
                    let x = as_pairs(_mm512_set1_epi32(*left.add($i) as i32));
                    for v in 0..2 {
                        sums[$i][v] = _mm512_dpbf16_ps(sums[$i][v], x, right[v]);
                    }
                )*};
            }
            add_rows!(0 1 2 3 4 5 6 7 8 9 10 11 12 13);
        }
    }
    let (scale, masks) = (_mm512_set1_ps(scale), [first_lanes(width), first_lanes(width.saturating_sub(LANES))]);
    for (i, sums) in sums.iter().enumerate() {
        if i < height {
            for (v, sum) in sums.iter().enumerate() {
                let to = out.wrapping_add(i * stride + v * LANES);
                // SAFETY: as above; what the mask leaves out is not touched.
                unsafe { _mm512_mask_storeu_ps(to, masks[v], _mm512_mul_ps(*sum, scale)) };
            }
        }
    }
}

/// `to[pair * step + i]` gets terms `2 pair` and `2 pair + 1` of row `i` of `from`, for 16 rows; 0 for rows from
/// `height` and terms from `depth` on. Nothing beyond 16 numbers from the last pair on is written.
///
/// # Safety
/// All of it lies inside of its memory.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn pair_terms(to: *mut u32, step: usize, from: *const f32, stride: usize, height: usize, depth: usize) {
    for term in (0..depth).step_by(2 * LANES) {
        let masks = [first_lanes(depth - term), first_lanes((depth - term).saturating_sub(LANES))];
        let mut rows = [_mm512_setzero_ps(); LANES];
        for (i, row) in rows.iter_mut().enumerate() {
            if i < height {
                let from = from.wrapping_add(i * stride + term);
                // SAFETY: guaranteed by the caller; what a mask leaves out is not touched.
                let [low, high] =
                    [0, 1].map(|v| unsafe { _mm512_maskz_loadu_ps(masks[v], from.wrapping_add(v * LANES)) });
                *row = as_numbers(_mm512_cvtne2ps_pbh(high, low));
            }
        }
        let count = (depth - term).div_ceil(2);
        for (pair, column) in columns(rows).into_iter().enumerate() {
            if pair < count {
                // SAFETY: guaranteed by the caller.
                unsafe { _mm512_storeu_ps(to.add((term / 2 + pair) * step).cast(), column) };
            }
        }
    }
}

/// A panel of pairs of rows: `to[pair * COLS + i]` gets `from[2 pair * stride + i]` and that of the next row, 0 for
/// columns from `width` and rows from `depth` on.
///
/// # Safety
/// All of it lies inside of its memory.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn pair_rows(to: *mut u32, from: *const f32, stride: usize, width: usize, depth: usize) {
    for row in (0..depth).step_by(2) {
        for lane in [0, LANES] {
            let mask = first_lanes(width.saturating_sub(lane));
            let from = from.wrapping_add(row * stride + lane);
            // SAFETY: guaranteed by the caller; what a mask leaves out is not touched.
            unsafe {
                let low = _mm512_maskz_loadu_ps(mask, from);
                let other = if row + 1 < depth { mask } else { 0 };
                let high = _mm512_maskz_loadu_ps(other, from.wrapping_add(stride));
                let [low, high] = [low, high].map(|row| _mm512_cvtepu16_epi32(as_halves(_mm512_cvtneps_pbh(row))));
                let pairs = _mm512_or_si512(low, _mm512_slli_epi32::<16>(high));
                _mm512_storeu_epi32(to.add(row / 2 * COLS + lane).cast(), pairs);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn as_pairs(bits: __m512i) -> __m512bh {
    // SAFETY: registers of one size, of which every bit pattern is a value; so below.
    unsafe { std::mem::transmute(bits) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn as_numbers(pairs: __m512bh) -> __m512 {
    // SAFETY: as above.
    unsafe { std::mem::transmute(pairs) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn as_halves(rounded: __m256bh) -> __m256i {
    // SAFETY: as above.
    unsafe { std::mem::transmute(rounded) }
}
