//! Sums of products of bytes for a tile of rows and outputs: AVX-512 VNNI, AVX2, and plain.

use super::INT8_GROUP;

/// Rows of a tile.
pub(super) const ROWS: usize = 8;
/// Outputs of a tile.
pub(super) const OUTPUTS: usize = 48;

/// A tile of a product: where it goes, and what makes numbers of its sums.
pub(super) struct Tile<'a> {
    /// From its first number on, rows `stride` apart.
    pub(super) y: &'a mut [f32],
    pub(super) stride: usize,
    /// Scale and zero of each row, at most [`ROWS`].
    pub(super) rows: (&'a [f32], &'a [i32]),
    /// Scale and sum of each output, at most [`OUTPUTS`].
    pub(super) outputs: (&'a [f32], &'a [i32]),
}

impl Tile<'_> {
    /// Integers to numbers.
    #[inline(always)]
    fn write(&mut self, sums: &[[i32; OUTPUTS]; ROWS]) {
        let rows = self.y.chunks_mut(self.stride).zip(sums).zip(self.rows.0.iter().zip(self.rows.1));
        for ((y, sums), (scale, zero)) in rows {
            let columns = y.iter_mut().zip(sums).zip(self.outputs.0.iter().zip(self.outputs.1));
            for ((y, sum), (own_scale, own_sum)) in columns {
                *y = (sum - zero * own_sum) as f32 * (scale * own_scale);
            }
        }
    }
}

/// `y[i, j] = (sum_k rows[i, k] panel[k, j] - zero_i sum_j) scale_i scale_j`; `rows` are `depth` bytes apart, whole tiles
/// of them; `panel` is `(depth / INT8_GROUP, OUTPUTS, INT8_GROUP)`.
pub(super) fn multiply(tile: Tile<'_>, rows: &[u8], depth: usize, panel: &[i8]) {
    assert!(rows.len() >= ROWS * depth && panel.len() == OUTPUTS * depth && depth.is_multiple_of(INT8_GROUP));
    let (height, width) = (tile.rows.0.len(), tile.outputs.0.len());
    assert!(height == tile.rows.1.len() && width == tile.outputs.1.len());
    assert!((1..=ROWS).contains(&height) && (1..=OUTPUTS.min(tile.stride)).contains(&width));
    assert!((height - 1) * tile.stride + width <= tile.y.len(), "tile outside of its buffer");
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
            // SAFETY: the features were just found, and the lengths just checked.
            return unsafe { x86::vnni(tile, rows, depth, panel) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { x86::avx2(tile, rows, depth, panel) };
        }
    }
    plain(tile, rows, depth, panel);
}

fn plain(mut tile: Tile<'_>, rows: &[u8], depth: usize, panel: &[i8]) {
    let mut sums = [[0; OUTPUTS]; ROWS];
    for (row, sums) in rows.chunks_exact(depth).zip(&mut sums) {
        for (group, weights) in row.chunks_exact(INT8_GROUP).zip(panel.chunks_exact(OUTPUTS * INT8_GROUP)) {
            for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(INT8_GROUP)) {
                for (x, weight) in group.iter().zip(weights) {
                    *sum += i32::from(*x) * i32::from(*weight);
                }
            }
        }
    }
    tile.write(&sums);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{INT8_GROUP, OUTPUTS, ROWS, Tile};
    use crate::nn::math::{LANES, first_lanes};

    /// Outputs in a register of 512 bits.
    const WIDE: usize = LANES;
    const REGISTERS: usize = OUTPUTS / WIDE;

    /// SAFETY: all is as long as `multiply` asserts.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) unsafe fn vnni(tile: Tile<'_>, rows: &[u8], depth: usize, panel: &[i8]) {
        let mut registers = [[_mm512_setzero_si512(); REGISTERS]; ROWS];
        for group in 0..depth / INT8_GROUP {
            // SAFETY: inside both slices by the caller's word.
            unsafe {
                let weights = panel.as_ptr().add(group * OUTPUTS * INT8_GROUP);
                let mut loaded = [_mm512_setzero_si512(); REGISTERS];
                for (register, loaded) in loaded.iter_mut().enumerate() {
                    *loaded = _mm512_loadu_si512(weights.add(register * WIDE * INT8_GROUP).cast());
                }
                for (row, registers) in registers.iter_mut().enumerate() {
                    let x = rows.as_ptr().add(row * depth + group * INT8_GROUP).cast::<i32>().read_unaligned();
                    let x = _mm512_set1_epi32(x);
                    for (sum, weights) in registers.iter_mut().zip(&loaded) {
                        *sum = _mm512_dpbusd_epi32(*sum, x, *weights);
                    }
                }
            }
        }
        let width = tile.outputs.0.len();
        let masks: [u16; REGISTERS] =
            std::array::from_fn(|register| first_lanes(width.saturating_sub(register * WIDE)));
        // SAFETY: what a mask leaves out is not touched, the rest is asserted.
        unsafe {
            let (scales, own_sums) = (tile.outputs.0.as_ptr(), tile.outputs.1.as_ptr());
            let scales: [__m512; REGISTERS] = std::array::from_fn(|register| {
                _mm512_maskz_loadu_ps(masks[register], scales.wrapping_add(register * WIDE))
            });
            let own_sums: [__m512i; REGISTERS] = std::array::from_fn(|register| {
                _mm512_maskz_loadu_epi32(masks[register], own_sums.wrapping_add(register * WIDE))
            });
            for (row, registers) in registers.iter().enumerate() {
                // Not a shorter loop: of a known number of turns, it leaves the sums in registers.
                if row >= tile.rows.0.len() {
                    break;
                }
                let scale = _mm512_set1_ps(*tile.rows.0.get_unchecked(row));
                let zero = _mm512_set1_epi32(*tile.rows.1.get_unchecked(row));
                let y = tile.y.as_mut_ptr().add(row * tile.stride);
                for (register, sum) in registers.iter().enumerate() {
                    let sum = _mm512_sub_epi32(*sum, _mm512_mullo_epi32(zero, own_sums[register]));
                    let number = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, scales[register]));
                    _mm512_mask_storeu_ps(y.wrapping_add(register * WIDE), masks[register], number);
                }
            }
        }
    }

    /// Bytes are widened to 16 bits, because the byte instruction of AVX2 saturates.
    ///
    /// SAFETY: as for [`vnni`].
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn avx2(mut tile: Tile<'_>, rows: &[u8], depth: usize, panel: &[i8]) {
        /// Outputs whose four products one register takes, in pairs.
        const FEW: usize = 4;
        /// Registers of outputs, and rows, that go together: 8 sums, 2 weights.
        const SIDE: usize = 2;
        const HIGH: usize = 4;
        let mut sums = [[0; OUTPUTS]; ROWS];
        for first_output in (0..OUTPUTS).step_by(FEW * SIDE) {
            for first_row in (0..ROWS).step_by(HIGH) {
                let mut registers = [[_mm256_setzero_si256(); SIDE]; HIGH];
                for group in 0..depth / INT8_GROUP {
                    // SAFETY: inside both slices by the caller's word.
                    unsafe {
                        let weights = panel.as_ptr().add((group * OUTPUTS + first_output) * INT8_GROUP);
                        let loaded: [__m256i; SIDE] = std::array::from_fn(|register| {
                            _mm256_cvtepi8_epi16(_mm_loadu_si128(weights.add(register * FEW * INT8_GROUP).cast()))
                        });
                        for (row, registers) in registers.iter_mut().enumerate() {
                            let x = rows.as_ptr().add((first_row + row) * depth + group * INT8_GROUP);
                            let x = _mm256_cvtepu8_epi16(_mm_set1_epi32(x.cast::<i32>().read_unaligned()));
                            for (sum, weights) in registers.iter_mut().zip(&loaded) {
                                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(x, *weights));
                            }
                        }
                    }
                }
                for (sums, registers) in sums[first_row..].iter_mut().zip(&registers) {
                    for (sums, register) in sums[first_output..].chunks_exact_mut(FEW).zip(registers) {
                        let mut pairs = [0_i32; 2 * FEW];
                        // SAFETY: the array holds 8 integers.
                        unsafe { _mm256_storeu_si256(pairs.as_mut_ptr().cast(), *register) };
                        for (sum, pair) in sums.iter_mut().zip(pairs.as_chunks::<2>().0) {
                            *sum = pair[0] + pair[1];
                        }
                    }
                }
            }
        }
        tile.write(&sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Philox;

    /// Whole tiles and cut ones, with something between the rows.
    #[test]
    fn every_instruction_set_gives_the_same() {
        let mut rng = Philox::new(8);
        for (depth, height, width) in [(4, ROWS, OUTPUTS), (12, 1, 1), (64, 5, 33), (384, ROWS, 16)] {
            let rows: Vec<u8> = (0..ROWS * depth).map(|_| rng.below(256) as u8).collect();
            let panel: Vec<i8> = (0..OUTPUTS * depth).map(|_| rng.below(256) as u8 as i8).collect();
            let mut scales = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.uniform() as f32).collect() };
            let (row_scales, scales) = (scales(height), scales(width));
            let zeros: Vec<i32> = (0..height).map(|_| rng.below(256) as i32).collect();
            let sums: Vec<i32> = (0..width).map(|_| rng.below(40_000) as i32 - 20_000).collect();
            type Kernel<'a> = &'a dyn Fn(Tile<'_>, &[u8], usize, &[i8]);
            let product = |kernel: Kernel<'_>| {
                let mut y = vec![7.0; height * 50];
                let tile = Tile { y: &mut y, stride: 50, rows: (&row_scales, &zeros), outputs: (&scales, &sums) };
                kernel(tile, &rows, depth, &panel);
                y
            };
            let expected = product(&plain);
            for (place, y) in expected.iter().enumerate() {
                let (row, output) = (place / 50, place % 50);
                if output >= width {
                    assert_eq!(*y, 7.0, "after a row");
                    continue;
                }
                let byte = |k: usize| i64::from(rows[row * depth + k]) - i64::from(zeros[row]);
                let weight =
                    |k: usize| i64::from(panel[(k / INT8_GROUP * OUTPUTS + output) * INT8_GROUP + k % INT8_GROUP]);
                // The sum of the weights is whatever the caller says.
                let own: i64 = (0..depth).map(weight).sum();
                let sum: i64 = (0..depth).map(|k| byte(k) * weight(k)).sum();
                let sum = sum + i64::from(zeros[row]) * (own - i64::from(sums[output]));
                let exact = sum as f64 * f64::from(row_scales[row]) * f64::from(scales[output]);
                assert!((f64::from(*y) - exact).abs() <= 1e-6 * exact.abs(), "{y} {exact}");
            }
            assert_eq!(product(&multiply), expected);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the feature was found, and the lengths are right.
                assert_eq!(
                    product(&|tile, rows, depth, panel| unsafe { x86::avx2(tile, rows, depth, panel) }),
                    expected
                );
            }
        }
    }
}
