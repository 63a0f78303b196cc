//! Sums of products of bytes for a tile of rows and outputs: AVX-512 VNNI, AVX2, and plain.

use super::GROUP;

/// Rows of a tile.
pub(super) const ROWS: usize = 8;
/// Outputs of a tile.
pub(super) const OUTPUTS: usize = 48;

/// `sums[i][j] = sum_k rows[i, k] panel[k, j]`; `rows` are `depth` bytes apart, `panel` is
/// `(depth / GROUP, OUTPUTS, GROUP)`.
pub(super) fn tile(sums: &mut [[i32; OUTPUTS]; ROWS], rows: &[u8], depth: usize, panel: &[i8]) {
    assert!(rows.len() >= ROWS * depth && panel.len() == OUTPUTS * depth && depth.is_multiple_of(GROUP));
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
            // SAFETY: the features were just found, and the lengths just checked.
            return unsafe { x86::vnni(sums, rows, depth, panel) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { x86::avx2(sums, rows, depth, panel) };
        }
    }
    plain(sums, rows, depth, panel);
}

fn plain(sums: &mut [[i32; OUTPUTS]; ROWS], rows: &[u8], depth: usize, panel: &[i8]) {
    for (row, sums) in rows.chunks_exact(depth).zip(sums) {
        sums.fill(0);
        for (group, weights) in row.chunks_exact(GROUP).zip(panel.chunks_exact(OUTPUTS * GROUP)) {
            for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(GROUP)) {
                for (x, weight) in group.iter().zip(weights) {
                    *sum += i32::from(*x) * i32::from(*weight);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{GROUP, OUTPUTS, ROWS};

    /// Outputs in a register of 512 bits.
    const WIDE: usize = 16;
    const REGISTERS: usize = OUTPUTS / WIDE;

    /// SAFETY: `rows` hold `ROWS * depth` bytes, `panel` `OUTPUTS * depth`, and `depth` is a multiple of 4.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) unsafe fn vnni(sums: &mut [[i32; OUTPUTS]; ROWS], rows: &[u8], depth: usize, panel: &[i8]) {
        let mut registers = [[_mm512_setzero_si512(); REGISTERS]; ROWS];
        for group in 0..depth / GROUP {
            // SAFETY: inside both slices by the caller's word.
            unsafe {
                let weights = panel.as_ptr().add(group * OUTPUTS * GROUP);
                let mut loaded = [_mm512_setzero_si512(); REGISTERS];
                for (register, loaded) in loaded.iter_mut().enumerate() {
                    *loaded = _mm512_loadu_si512(weights.add(register * WIDE * GROUP).cast());
                }
                for (row, registers) in registers.iter_mut().enumerate() {
                    let x = rows.as_ptr().add(row * depth + group * GROUP).cast::<i32>().read_unaligned();
                    let x = _mm512_set1_epi32(x);
                    for (sum, weights) in registers.iter_mut().zip(&loaded) {
                        *sum = _mm512_dpbusd_epi32(*sum, x, *weights);
                    }
                }
            }
        }
        for (sums, registers) in sums.iter_mut().zip(&registers) {
            for (sums, register) in sums.chunks_exact_mut(WIDE).zip(registers) {
                // SAFETY: the chunk holds 16 integers.
                unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), *register) };
            }
        }
    }

    /// Bytes are widened to 16 bits, because the byte instruction of AVX2 saturates.
    ///
    /// SAFETY: as for [`vnni`].
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn avx2(sums: &mut [[i32; OUTPUTS]; ROWS], rows: &[u8], depth: usize, panel: &[i8]) {
        /// Outputs whose four products one register takes, in pairs.
        const FEW: usize = 4;
        /// Registers of outputs, and rows, that go together: 8 sums, 2 weights.
        const SIDE: usize = 2;
        const HIGH: usize = 4;
        for first_output in (0..OUTPUTS).step_by(FEW * SIDE) {
            for first_row in (0..ROWS).step_by(HIGH) {
                let mut registers = [[_mm256_setzero_si256(); SIDE]; HIGH];
                for group in 0..depth / GROUP {
                    // SAFETY: inside both slices by the caller's word.
                    unsafe {
                        let weights = panel.as_ptr().add((group * OUTPUTS + first_output) * GROUP);
                        let loaded: [__m256i; SIDE] = std::array::from_fn(|register| {
                            _mm256_cvtepi8_epi16(_mm_loadu_si128(weights.add(register * FEW * GROUP).cast()))
                        });
                        for (row, registers) in registers.iter_mut().enumerate() {
                            let x = rows.as_ptr().add((first_row + row) * depth + group * GROUP);
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Philox;

    #[test]
    fn every_instruction_set_gives_the_same() {
        let mut rng = Philox::new(8);
        for depth in [4, 12, 64, 384] {
            let rows: Vec<u8> = (0..ROWS * depth).map(|_| rng.below(256) as u8).collect();
            let panel: Vec<i8> = (0..OUTPUTS * depth).map(|_| rng.below(256) as u8 as i8).collect();
            let mut expected = [[0; OUTPUTS]; ROWS];
            plain(&mut expected, &rows, depth, &panel);
            #[cfg(target_arch = "x86_64")]
            for (found, kernel) in [
                (is_x86_feature_detected!("avx512vnni"), x86::vnni as unsafe fn(&mut _, &_, _, &_)),
                (is_x86_feature_detected!("avx2"), x86::avx2),
            ] {
                let mut sums = [[0; OUTPUTS]; ROWS];
                if found {
                    // SAFETY: the feature was found, and the lengths are right.
                    unsafe { kernel(&mut sums, &rows, depth, &panel) };
                    assert_eq!(sums, expected);
                }
            }
            let mut sums = [[0; OUTPUTS]; ROWS];
            tile(&mut sums, &rows, depth, &panel);
            assert_eq!(sums, expected);
        }
    }
}
