//! Vectors as the number of a centroid and a few bits for each number of what they differ from it by.

use rayon::prelude::*;

use crate::index::array::Array;
use crate::nn::{lane_sum, vectorised};

/// What makes codes of residuals, and the other way round.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Codec {
    pub(super) width: usize,
    /// 1, 2 or 4.
    pub(super) bits: u8,
    /// Whether vectors are of length 1, and so are those that codes stand for.
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
        Decoder { codec: self, centroids: &self.centroids, table }
    }
}

/// Reads codes.
pub(super) struct Decoder<'a> {
    codec: &'a Codec,
    centroids: &'a [f32],
    /// The numbers that each byte stands for.
    table: Vec<f32>,
}

impl Decoder<'_> {
    /// Adds the vectors that codes of centroids and residuals stand for to `rows`.
    pub(super) fn decode(&self, centroids: &[u32], codes: &[u8], rows: &mut Vec<f32>) {
        let Codec { width, bits, unit, .. } = *self.codec;
        let start = rows.len();
        rows.resize(start + centroids.len() * width, 0.0);
        let decode = match bits {
            1 => decode::<8>,
            2 => decode::<4>,
            _ => decode::<2>,
        };
        let all = rows[start..].chunks_exact_mut(width).zip(codes.chunks_exact(self.codec.bytes()));
        for ((row, codes), centroid) in all.zip(centroids) {
            decode(&self.table, codes, &self.centroids[*centroid as usize * width..][..width], row);
            if unit {
                scale_to_one(row);
            }
        }
    }
}

fn decode<const PER_BYTE: usize>(table: &[f32], codes: &[u8], centroid: &[f32], row: &mut [f32]) {
    let table = table.as_chunks::<PER_BYTE>().0;
    let (rows, rest) = row.as_chunks_mut::<PER_BYTE>();
    let (centroids, centroid_rest) = centroid.as_chunks::<PER_BYTE>();
    for ((row, centroid), code) in rows.iter_mut().zip(centroids).zip(codes) {
        let values = &table[usize::from(*code)];
        for place in 0..PER_BYTE {
            row[place] = centroid[place] + values[place];
        }
    }
    if let Some(code) = codes.get(rows.len()) {
        let values = &table[usize::from(*code)];
        rest.iter_mut()
            .zip(centroid_rest.iter().zip(values))
            .for_each(|(row, (centroid, value))| *row = centroid + value);
    }
}

vectorised! {
    fn scale_to_one(row: &mut [f32]) {
        let length = lane_sum([&*row], |[value]| value * value).sqrt();
        let scale = if length > 0.0 { 1.0 / length } else { 1.0 };
        row.iter_mut().for_each(|value| *value *= scale);
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
    use crate::index::late::kmeans::length;

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
                codec.decoder().decode(&[of(row)], &codes, &mut decoded);
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
    fn decoded_rows_are_of_length_1_if_all_are() {
        let centroids = vec![0.6, 0.8, 1.0, 0.0];
        let codec = Codec::new(2, 4, all_unit(&centroids, 2), centroids, vec![-0.1, 0.0, 0.1]);
        let mut rows = Vec::new();
        codec.decoder().decode(&[0, 1], &[0x3f, 0x00], &mut rows);
        assert!(codec.unit && rows.chunks(2).all(|row| (length(row) - 1.0).abs() < 1e-6), "{rows:?}");
    }
}
