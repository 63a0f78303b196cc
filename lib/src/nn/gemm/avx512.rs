//! The innermost loops of a product, for AVX-512: a tile of sums in registers, and the packing of panels.

use std::arch::x86_64::*;

use crate::nn::math::{LANES, first_lanes};

/// Rows and columns of a tile: its sums fill 28 of the 32 registers.
pub(super) const ROWS: usize = 14;
pub(super) const COLS: usize = 2 * LANES;

/// The left operand of a tile: `(i, k)` is at `start + i * row + k * col`, and `row` or `col` is 1.
#[derive(Clone, Copy)]
pub(super) struct Left {
    pub(super) start: *const f32,
    pub(super) row: usize,
    pub(super) col: usize,
}

/// Where the sums of a tile go: row `i` begins at `start + i * stride`.
#[derive(Clone, Copy)]
pub(super) struct Out {
    pub(super) start: *mut f32,
    pub(super) stride: usize,
    pub(super) cols: usize,
    pub(super) scale: f32,
    pub(super) accumulate: bool,
}

/// Rows that are fetched ahead while others are packed: the processor does not foresee where the next one lies.
const AHEAD: usize = 8;

type Tile = unsafe fn(Left, *const f32, usize, Out);

/// `out = scale * left panel`, or `out += ..`, for `rows` rows and `depth` terms of a panel `(depth, COLS)`. The
/// terms of a sum are added in their order, whatever the tile's shape.
///
/// # Safety
/// All of it lies inside of its memory, `rows` and `out.cols` are 1 to [`ROWS`] and [`COLS`].
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn tile(left: Left, rows: usize, panel: *const f32, depth: usize, out: Out) {
    macro_rules! heights {
        ($vectors:literal, $packed:literal: $($rows:literal)*) => { [$(sums::<$rows, $vectors, $packed> as Tile),*] };
    }
    macro_rules! widths {
        ($packed:literal) => {
            [
                heights!(1, $packed: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
                heights!(2, $packed: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            ]
        };
    }
    static TILES: [[[Tile; ROWS]; 2]; 2] = [widths!(false), widths!(true)];
    let tile = TILES[usize::from(left.row == 1)][usize::from(out.cols > LANES)][rows - 1];
    // SAFETY: guaranteed by the caller.
    unsafe { tile(left, panel, depth, out) }
}

/// A tile of `R` rows and `V` registers per row. With `UNIT` rows lie side by side, else columns do.
///
/// # Safety
/// As for [`tile`].
#[target_feature(enable = "avx512f")]
unsafe fn sums<const R: usize, const V: usize, const UNIT: bool>(
    left: Left,
    panel: *const f32,
    depth: usize,
    out: Out,
) {
    // Three rows share a pointer: fourteen would leave no register for anything else.
    let mut starts: [*const f32; ROWS.div_ceil(3)] =
        std::array::from_fn(|three| left.start.wrapping_add(3 * three * left.row));
    let step = if UNIT { left.col } else { 1 };
    for i in 0..R {
        // Fetched while the sums are made: a product is seldom in a near cache.
        _mm_prefetch::<_MM_HINT_T0>(out.start.wrapping_add(i * out.stride).cast());
        _mm_prefetch::<_MM_HINT_T0>(out.start.wrapping_add(i * out.stride + (V - 1) * LANES).cast());
    }
    let mut panel = panel;
    let mut sums = [[_mm512_setzero_ps(); V]; R];
    for _ in 0..depth {
        // SAFETY: inside of both operands guaranteed by the caller.
        unsafe {
            let right: [__m512; V] = std::array::from_fn(|v| _mm512_loadu_ps(panel.add(v * LANES)));
            // Written out, because the compiler leaves a loop of fourteen turns, and the sums then leave the registers.
            macro_rules! add_rows {
                ($($i:literal)*) => {$(
                    if $i < R {
                        let x = if UNIT { starts[0].add($i) } else { starts[$i / 3].wrapping_add($i % 3 * left.row) };
                        let x = _mm512_set1_ps(*x);
                        for v in 0..V {
                            sums[$i % R][v] = _mm512_fmadd_ps(x, right[v], sums[$i % R][v]);
                        }
                    }
                )*};
            }
            add_rows!(0 1 2 3 4 5 6 7 8 9 10 11 12 13);
        }
        panel = panel.wrapping_add(COLS);
        starts = starts.map(|start| start.wrapping_add(step));
    }
    let scale = _mm512_set1_ps(out.scale);
    for (i, sums) in sums.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            let (start, mask) = (out.start.wrapping_add(i * out.stride + v * LANES), first_lanes(out.cols - v * LANES));
            let product = _mm512_mul_ps(*sum, scale);
            // SAFETY: as above; what the mask leaves out is not touched.
            unsafe {
                let old = if out.accumulate { _mm512_maskz_loadu_ps(mask, start) } else { _mm512_setzero_ps() };
                _mm512_mask_storeu_ps(start, mask, _mm512_add_ps(product, old));
            }
        }
    }
}

/// Panels of `COLS` columns of a matrix whose rows lie one after the other: that of number `p` has
/// `from[k * stride + p * COLS + i]` at `k * COLS + i`, 0 for the columns after the last.
///
/// # Safety
/// All of it lies inside of its memory.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn copy(to: *mut f32, from: *const f32, stride: usize, cols: usize, depth: usize) {
    let whole = cols / COLS * COLS;
    let last = [0, LANES].map(|left| first_lanes((cols - whole).saturating_sub(left)));
    for k in 0..depth {
        let (row, to) = (from.wrapping_add(k * stride), to.wrapping_add(k * COLS));
        // SAFETY: guaranteed by the caller; what a mask leaves out is not touched.
        unsafe {
            for left in (0..whole).step_by(COLS) {
                prefetch(row.wrapping_add(AHEAD * stride + left), COLS);
                let (from, to) = (row.add(left), to.add(left * depth));
                _mm512_storeu_ps(to, _mm512_loadu_ps(from));
                _mm512_storeu_ps(to.add(LANES), _mm512_loadu_ps(from.add(LANES)));
            }
            if whole < cols {
                let (from, to) = (row.add(whole), to.add(whole * depth));
                _mm512_storeu_ps(to, _mm512_maskz_loadu_ps(last[0], from));
                _mm512_storeu_ps(to.add(LANES), _mm512_maskz_loadu_ps(last[1], from.wrapping_add(LANES)));
            }
        }
    }
}

/// Asks for numbers that will soon be read, where the processor does not foresee it.
#[inline(always)]
pub(super) fn prefetch(start: *const f32, length: usize) {
    for line in (0..length).step_by(LANES) {
        // SAFETY: every x86-64 processor has the instruction, and it changes nothing, wherever the address points.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(start.wrapping_add(line).cast()) };
    }
}

/// From one panel of `ROWS` columns to the next: a register between them takes what [`interleave`] writes over.
pub(super) const fn interleaved(depth: usize) -> usize {
    depth * ROWS + LANES
}

/// Panels of `ROWS` columns, one after the other: that of number `p` has `from[k * stride + p * ROWS + i]` at
/// `k * ROWS + i`.
///
/// # Safety
/// All of it lies inside of its memory.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn interleave(to: *mut f32, from: *const f32, stride: usize, cols: usize, depth: usize) {
    // A register holds two numbers more than a panel has: its next row is written over them. Whole registers first.
    let whole = (cols + ROWS).saturating_sub(LANES) / ROWS * ROWS;
    for k in 0..depth {
        let row = from.wrapping_add(k * stride);
        prefetch(row.wrapping_add(AHEAD * stride), cols);
        // SAFETY: guaranteed by the caller; what the mask leaves out is not touched.
        unsafe {
            let panel = |left: usize| to.add(left / ROWS * interleaved(depth) + k * ROWS);
            for left in (0..whole).step_by(ROWS) {
                _mm512_storeu_ps(panel(left), _mm512_loadu_ps(row.add(left)));
            }
            for left in (whole..cols).step_by(ROWS) {
                _mm512_storeu_ps(panel(left), _mm512_maskz_loadu_ps(first_lanes(cols - left), row.add(left)));
            }
        }
    }
}

/// A panel of columns: `to[k * COLS + i] = from[i * stride + k]` for `k < depth` and `i < cols`, 0 for those after.
///
/// # Safety
/// All of it lies inside of its memory; `cols <= COLS`.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn transpose(to: *mut f32, from: *const f32, stride: usize, cols: usize, depth: usize) {
    for left in (0..COLS).step_by(LANES) {
        for top in (0..depth).step_by(LANES) {
            let (width, height) = (cols.saturating_sub(left).min(LANES), (depth - top).min(LANES));
            let (from, to) = (from.wrapping_add(left * stride + top), to.wrapping_add(top * COLS + left));
            // SAFETY: guaranteed by the caller. A block of a known size stays in registers.
            unsafe {
                match (width, height) {
                    (LANES, LANES) => transpose_block::<true>(to, from, stride, width, height),
                    _ => transpose_block::<false>(to, from, stride, width, height),
                }
            }
        }
    }
}

/// A block of at most 16 x 16, or of just these.
///
/// # Safety
/// As for [`transpose`].
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn transpose_block<const WHOLE: bool>(
    to: *mut f32,
    from: *const f32,
    stride: usize,
    width: usize,
    height: usize,
) {
    let (width, height) = if WHOLE { (LANES, LANES) } else { (width, height) };
    let mut rows = [_mm512_setzero_ps(); LANES];
    for (i, row) in rows.iter_mut().enumerate().take(width) {
        // SAFETY: guaranteed by the caller; what the mask leaves out is not touched.
        *row = unsafe { _mm512_maskz_loadu_ps(first_lanes(height), from.add(i * stride)) };
    }
    for (k, column) in columns(rows).into_iter().enumerate().take(height) {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_storeu_ps(to.add(k * COLS), column) };
    }
}

/// The columns of 16 rows: pairs of numbers, pairs of pairs, then quarters of registers change places.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn columns(rows: [__m512; LANES]) -> [__m512; LANES] {
    let (mut twos, mut fours, mut columns) = (rows, rows, rows);
    for i in (0..LANES).step_by(2) {
        twos[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
        twos[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for i in (0..LANES).step_by(4) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|j| _mm512_castps_pd(twos[i + j]));
        fours[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
        fours[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        fours[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
        fours[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    }
    for j in 0..4 {
        let [a, b, c, d] = [0, 4, 8, 12].map(|i| fours[i + j]);
        let (low, low_behind) = (_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0x44>(c, d));
        let (high, high_behind) = (_mm512_shuffle_f32x4::<0xEE>(a, b), _mm512_shuffle_f32x4::<0xEE>(c, d));
        columns[j] = _mm512_shuffle_f32x4::<0x88>(low, low_behind);
        columns[4 + j] = _mm512_shuffle_f32x4::<0xDD>(low, low_behind);
        columns[8 + j] = _mm512_shuffle_f32x4::<0x88>(high, high_behind);
        columns[12 + j] = _mm512_shuffle_f32x4::<0xDD>(high, high_behind);
    }
    columns
}
