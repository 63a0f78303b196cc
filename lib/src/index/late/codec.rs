//! Vectors as the number of a centroid and a few bits for each number of what they differ from it by.

use rayon::prelude::*;

use crate::index::array::Array;

/// What makes codes of residuals, and the other way round.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Codec {
    pub(super) width: usize,
    /// 1, 2 or 4.
    pub(super) bits: u8,
    /// Whether vectors are of length 1: those that codes stand for are scaled to it.
    pub(super) unit: bool,
    /// `(centroids, width)`
    pub(super) centroids: Array<f32>,
    /// Between the numbers of one code and the next, ascending.
    pub(super) cutoffs: Array<f32>,
    /// The number that each code stands for.
    pub(super) values: Array<f32>,
}

impl Codec {
    /// With codes that are equally frequent among the residuals, which come in any order.
    pub(super) fn new(width: usize, bits: u8, unit: bool, centroids: Vec<f32>, mut residuals: Vec<f32>) -> Self {
        residuals.par_sort_unstable_by(f32::total_cmp);
        let codes = 1_usize << bits;
        let at = |share: f64| quantile(&residuals, share / codes as f64);
        let cutoffs: Vec<f32> = (1..codes).map(|code| at(code as f64)).collect();
        let values: Vec<f32> = (0..codes).map(|code| at(code as f64 + 0.5)).collect();
        Self { width, bits, unit, centroids: centroids.into(), cutoffs: cutoffs.into(), values: values.into() }
    }

    /// Bytes of the codes of a vector.
    pub(super) fn bytes(&self) -> usize {
        (self.width * usize::from(self.bits)).div_ceil(8)
    }

    pub(super) fn centroid(&self, number: u32) -> &[f32] {
        &self.centroids[number as usize * self.width..][..self.width]
    }

    /// Writes the codes of a vector, those of the first numbers in the lowest bits.
    pub(super) fn encode(&self, row: &[f32], centroid: u32, codes: &mut [u8]) {
        let (per_byte, cutoffs) = (8 / usize::from(self.bits), &self.cutoffs[..]);
        let row = row.chunks(per_byte).zip(self.centroid(centroid).chunks(per_byte));
        for (byte, (row, centroid)) in codes.iter_mut().zip(row) {
            *byte = 0;
            for (place, (value, centroid)) in row.iter().zip(centroid).enumerate() {
                let residual = value - centroid;
                let code = cutoffs.iter().map(|cutoff| u8::from(*cutoff < residual)).sum::<u8>();
                *byte |= code << (place * usize::from(self.bits));
            }
        }
    }

    /// What reads codes.
    pub(super) fn decoder(&self) -> Decoder<'_> {
        let (bits, mask) = (u32::from(self.bits), (1_u8 << self.bits) - 1);
        let of_byte = |byte: u8| (0..8 / bits).map(move |place| (byte >> (place * bits)) & mask);
        let table = (0..=u8::MAX).flat_map(of_byte).map(|code| self.values[usize::from(code)]).collect();
        Decoder { codec: self, centroids: &self.centroids, values: &self.values, table }
    }
}

/// Reads codes.
pub(super) struct Decoder<'a> {
    codec: &'a Codec,
    centroids: &'a [f32],
    values: &'a [f32],
    /// The numbers that each byte stands for.
    table: Vec<f32>,
}

impl Decoder<'_> {
    /// Adds the vectors that codes of centroids and residuals stand for to `rows`, times a scale each unless there is none.
    pub(super) fn decode(&self, centroids: &[u32], codes: &[u8], scales: &[f32], rows: &mut Vec<f32>) {
        let (width, start) = (self.codec.width, rows.len());
        rows.resize(start + centroids.len() * width, 0.0);
        let all = rows[start..].chunks_exact_mut(width).zip(codes.chunks_exact(self.codec.bytes()));
        for (token, ((row, codes), centroid)) in all.zip(centroids).enumerate() {
            let centroid = &self.centroids[*centroid as usize * width..][..width];
            self.decode_row(codes, centroid, scales.get(token).copied().unwrap_or(1.0), row);
        }
    }

    fn decode_row(&self, codes: &[u8], centroid: &[f32], scale: f32, row: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if row.len().is_multiple_of(x86::LANES) && is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature was just found.
            return unsafe { x86::decode(self.values, self.codec.bits, codes, centroid, scale, row) };
        }
        match self.codec.bits {
            1 => plain::<8>(&self.table, codes, centroid, scale, row),
            2 => plain::<4>(&self.table, codes, centroid, scale, row),
            _ => plain::<2>(&self.table, codes, centroid, scale, row),
        }
    }
}

/// A byte at a time.
fn plain<const PER_BYTE: usize>(table: &[f32], codes: &[u8], centroid: &[f32], scale: f32, row: &mut [f32]) {
    let rows = row.chunks_mut(PER_BYTE).zip(centroid.chunks(PER_BYTE));
    for ((row, centroid), code) in rows.zip(codes) {
        let values = &table[usize::from(*code) * PER_BYTE..][..PER_BYTE];
        for (row, (centroid, value)) in row.iter_mut().zip(centroid.iter().zip(values)) {
            *row = (centroid + value) * scale;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    pub(super) const LANES: usize = 16;

    /// A register of codes at a time: the table of their numbers is a register, too.
    #[target_feature(enable = "avx512f")]
    pub(super) fn decode(values: &[f32], bits: u8, codes: &[u8], centroid: &[f32], scale: f32, row: &mut [f32]) {
        let mut table = [0.0_f32; LANES];
        table[..values.len()].copy_from_slice(values);
        // The lower half of the lanes reads one word, the upper half another, or the same one further up.
        let (bytes, apart) = (2 * usize::from(bits), if bits == 4 { 0 } else { 8 * i32::from(bits) });
        let shift = |lane: i32| lane % 8 * i32::from(bits) + if lane < 8 { 0 } else { apart };
        let shifts: [i32; LANES] = std::array::from_fn(|lane| shift(lane as i32));
        let (rows, centroids) = (row.as_chunks_mut::<LANES>().0, centroid.as_chunks::<LANES>().0);
        // SAFETY: arrays of as many numbers as are loaded.
        let (table, shifts) = unsafe { (_mm512_loadu_ps(table.as_ptr()), _mm512_loadu_epi32(shifts.as_ptr())) };
        let (mask, scale) = (_mm512_set1_epi32((1 << bits) - 1), _mm512_set1_ps(scale));
        for ((row, centroid), codes) in rows.iter_mut().zip(centroids).zip(codes.chunks_exact(bytes)) {
            let mut word = [0_u8; 8];
            word[..bytes].copy_from_slice(codes);
            let word = u64::from_le_bytes(word);
            let upper = if bits == 4 { (word >> 32) as i32 } else { word as i32 };
            let words = _mm512_inserti64x4::<1>(_mm512_set1_epi32(word as i32), _mm256_set1_epi32(upper));
            let codes = _mm512_and_si512(_mm512_srlv_epi32(words, shifts), mask);
            // SAFETY: as above.
            unsafe {
                let sum = _mm512_add_ps(_mm512_loadu_ps(centroid.as_ptr()), _mm512_permutexvar_ps(codes, table));
                _mm512_storeu_ps(row.as_mut_ptr(), _mm512_mul_ps(sum, scale));
            }
        }
    }
}

/// Between the two numbers next to a share of sorted ones, linearly; 0 without any.
fn quantile(sorted: &[f32], share: f64) -> f32 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let (low, high) = (sorted[place as usize], sorted[last.min(place as usize + 1)]);
    low + (high - low) * place.fract() as f32
}

/// Whether all rows are of length 1, as far as a model's are.
pub(super) fn all_unit(rows: &[f32], width: usize) -> bool {
    let square = |row: &[f32]| row.iter().map(|value| value * value).sum::<f32>();
    rows.par_chunks_exact(width).all(|row| (square(row) - 1.0).abs() < 1e-3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A number becomes that of its code, which is near.
        #[test]
        fn codes_and_back(bits in prop_oneof![Just(1_u8), Just(2), Just(4)], width in 1..40_usize, seed in any::<u64>()) {
            let mut rng = crate::random::Philox::new(seed);
            let mut numbers = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal() as f32).collect() };
            let (centroids, rows) = (numbers(3 * width), numbers(200 * width));
            let of = |row: usize| (row % 3) as u32;
            let differences = |row: usize| {
                let centroid = &centroids[row % 3 * width..][..width];
                rows[row * width..][..width].iter().zip(centroid).map(|(value, centroid)| value - centroid).collect::<Vec<_>>()
            };
            let residuals: Vec<f32> = (0..200).flat_map(differences).collect();
            let codec = Codec::new(width, bits, false, centroids.clone(), residuals.clone());
            prop_assert!(codec.cutoffs.is_sorted() && codec.values.is_sorted());
            let (mut codes, mut decoded) = (vec![0; codec.bytes()], Vec::new());
            let mut error = 0.0;
            for row in 0..200 {
                codec.encode(&rows[row * width..][..width], of(row), &mut codes);
                decoded.clear();
                codec.decoder().decode(&[of(row)], &codes, &[], &mut decoded);
                let (mut again, number) = (vec![0.0; width], of(row));
                let plain = [plain::<8>, plain::<4>, plain::<2>][usize::from(bits / 2)];
                plain(&codec.decoder().table, &codes, codec.centroid(number), 1.0, &mut again);
                prop_assert_eq!(&decoded, &again);
                for (place, residual) in differences(row).into_iter().enumerate() {
                    let code = codec.cutoffs.iter().filter(|cutoff| **cutoff < residual).count();
                    let own = decoded[place] - centroids[row % 3 * width + place];
                    prop_assert!((own - codec.values[code]).abs() < 1e-5);
                    error += (own - residual).powi(2);
                }
            }
            let variance: f32 = residuals.iter().map(|value| value * value).sum();
            // For normal numbers 0.36, 0.13 and 0.02 of the variance are left.
            prop_assert!(error < variance * [0.0, 0.6, 0.35, 0.0, 0.12][usize::from(bits)], "{} of {}", error, variance);
        }
    }

    #[test]
    fn quantiles_as_pytorch_has_them() {
        // `torch.quantile(torch.tensor([0., 1., 2., 10.]), torch.tensor([0.125, 0.5, 0.9]))`
        let sorted = [0.0, 1.0, 2.0, 10.0];
        let found = [0.125, 0.5, 0.9].map(|share| quantile(&sorted, share));
        assert!(
            found.iter().zip([0.375, 1.5, 7.6]).all(|(found, expected)| (found - expected).abs() < 1e-5),
            "{found:?}"
        );
        assert_eq!((quantile(&[], 0.5), quantile(&[3.0], 1.0)), (0.0, 3.0));
    }

    #[test]
    fn rows_are_scaled() {
        let codec = Codec::new(2, 4, true, vec![0.6, 0.8, 1.0, 0.0], vec![-0.1, 0.0, 0.1]);
        let (mut rows, mut scaled) = (Vec::new(), Vec::new());
        codec.decoder().decode(&[0, 1], &[0x3f, 0x00], &[], &mut rows);
        codec.decoder().decode(&[0, 1], &[0x3f, 0x00], &[2.0, 0.5], &mut scaled);
        assert_eq!(scaled, [2.0 * rows[0], 2.0 * rows[1], 0.5 * rows[2], 0.5 * rows[3]]);
    }
}
