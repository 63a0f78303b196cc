//! The vectors of documents, in some precision.

use std::ops::Range;

use candle_core::Tensor;
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::FlatPrecision;
use crate::Result;
use crate::error::expect;
use crate::index::array::Array;
use crate::model::{Codes, Quantization, Ranges};
use crate::nn::vectorised;

/// Rows of numbers.
pub(super) struct Vectors {
    pub(super) dim: usize,
    pub(super) codes: Stored,
}

/// The numbers, row-major.
pub(super) enum Stored {
    F32(Array<f32>),
    F16(Array<f16>),
    /// Steps of [`Quantization::Uint8`].
    Int8 {
        codes: Array<u8>,
        ranges: Ranges,
        /// The number of step 0, and the width of steps, by dimension.
        start: Vec<f32>,
        step: Vec<f32>,
    },
    /// The bytes of [`Quantization::Ubinary`], eight a word; the last word of a row is filled up with 0.
    Binary(Array<u64>),
}

impl Vectors {
    /// From finite numbers `(n, dim)`.
    pub(super) fn new(vectors: &Tensor, precision: FlatPrecision) -> Result<Self> {
        let (rows, dim) = vectors.dims2()?;
        let numbers = || -> Result<Vec<f32>> { Ok(vectors.flatten_all()?.to_vec1::<f32>()?) };
        let codes = match precision {
            FlatPrecision::F32 => Stored::F32(numbers()?.into()),
            FlatPrecision::F16 => {
                let numbers = numbers()?;
                let most = numbers.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
                let expected = "vectors whose numbers are at most 65504, as half precision holds them";
                expect("precision", format!("F16 for vectors with {most}"), expected, most <= f16::MAX.to_f32())?;
                let mut halves = vec![f16::ZERO; numbers.len()];
                halves.convert_from_f32_slice(&numbers);
                Stored::F16(halves.into())
            }
            FlatPrecision::Int8 => {
                // A single vector has no range, and needs none.
                let ranges = match rows {
                    0 => Ranges { min: vec![0.0; dim], max: vec![0.0; dim] },
                    1 => Ranges { min: numbers()?, max: numbers()? },
                    _ => Ranges::of(vectors)?,
                };
                let steps = Stored::steps(&ranges);
                let expected = "vectors whose numbers have a difference that single precision holds";
                expect("precision", "Int8 for vectors with such numbers", expected, steps.is_some())?;
                let (start, step) = steps.unwrap_or_default();
                let codes = bytes(Quantization::Uint8.of(vectors, Some(&ranges))?);
                Stored::Int8 { codes: codes.into(), ranges, start, step }
            }
            FlatPrecision::Binary => {
                let bytes = bytes(Quantization::Ubinary.of(vectors, None)?);
                let mut words = Vec::with_capacity(rows * words(dim));
                for row in bytes.chunks_exact(dim.div_ceil(8).max(1)) {
                    words.extend(row.chunks(8).map(|part| {
                        let mut word = [0; 8];
                        word[..part.len()].copy_from_slice(part);
                        u64::from_le_bytes(word)
                    }));
                }
                Stored::Binary(words.into())
            }
        };
        Ok(Self { dim, codes })
    }

    /// The numbers of some rows: where they lie, or decoded into `scratch`.
    pub(super) fn rows<'a>(&'a self, rows: Range<usize>, scratch: &'a mut Vec<f32>) -> &'a [f32] {
        if let Stored::F32(numbers) = &self.codes {
            return &numbers[rows.start * self.dim..rows.end * self.dim];
        }
        scratch.clear();
        self.decode(rows, scratch);
        scratch
    }

    /// Adds the numbers of some rows to `numbers`.
    pub(super) fn decode(&self, rows: Range<usize>, numbers: &mut Vec<f32>) {
        let (start, place) = (numbers.len(), rows.start * self.dim..rows.end * self.dim);
        numbers.resize(start + place.len(), 0.0);
        let found = &mut numbers[start..];
        match &self.codes {
            Stored::F32(numbers) => found.copy_from_slice(&numbers[place]),
            Stored::F16(halves) => halves[place].convert_to_f32_slice(found),
            Stored::Int8 { codes, start, step, .. } => scaled(&codes[place], start, step, found),
            Stored::Binary(bits) => {
                let width = words(self.dim);
                let rows = bits[rows.start * width..rows.end * width].chunks_exact(width.max(1));
                for (row, found) in rows.zip(found.chunks_exact_mut(self.dim.max(1))) {
                    for (word, found) in row.iter().zip(found.chunks_mut(64)) {
                        found.iter_mut().enumerate().for_each(|(place, number)| *number = sign(*word, place));
                    }
                }
            }
        }
    }

    /// Bytes of all rows.
    pub(super) fn bytes(&self) -> usize {
        match &self.codes {
            Stored::F32(numbers) => size_of_val(&numbers[..]),
            Stored::F16(halves) => size_of_val(&halves[..]),
            Stored::Int8 { codes, .. } => codes.len(),
            Stored::Binary(words) => size_of_val(&words[..]),
        }
    }
}

impl Stored {
    /// The value of step 0 and the width of a step, per dimension; `None` for ranges that make no sense.
    pub(super) fn steps(ranges: &Ranges) -> Option<(Vec<f32>, Vec<f32>)> {
        let Ranges { min, max } = ranges;
        let step = |(min, max): (&f32, &f32)| {
            let step = (max - min) / 255.0;
            // Decoded to the middle of its step, no number is off by more than half a step.
            (step.is_finite() && step >= 0.0).then_some((min + step / 2.0, step))
        };
        min.iter().zip(max).map(step).collect::<Option<Vec<_>>>().map(|steps| steps.into_iter().unzip())
    }
}

/// Words of 64 dimensions in a row.
pub(super) fn words(dim: usize) -> usize {
    dim.div_ceil(64)
}

/// 1 or -1: the first of eight dimensions is the highest bit of its byte.
fn sign(word: u64, place: usize) -> f32 {
    let bit = place / 8 * 8 + 7 - place % 8;
    if word >> bit & 1 == 1 { 1.0 } else { -1.0 }
}

fn bytes(codes: Codes) -> Vec<u8> {
    match codes {
        Codes::U8(bytes) => bytes,
        Codes::F32(_) | Codes::I8(_) => Vec::new(),
    }
}

vectorised! {
    fn scaled(codes: &[u8], start: &[f32], step: &[f32], numbers: &mut [f32]) {
        let dim = start.len().max(1);
        for (codes, numbers) in codes.chunks_exact(dim).zip(numbers.chunks_exact_mut(dim)) {
            for ((number, code), (start, step)) in numbers.iter_mut().zip(codes).zip(start.iter().zip(step)) {
                *number = start + step * f32::from(*code);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_decoded_is_near_to_what_was_given(
            numbers in prop::collection::vec(-9.0_f32..9.0, 0..600),
            dim in 1..150_usize,
        ) {
            let rows = numbers.len() / dim;
            let numbers = &numbers[..rows * dim];
            let tensor = Tensor::from_slice(numbers, (rows, dim), &Device::Cpu).unwrap();
            let decoded = |precision| {
                let (vectors, mut found) = (Vectors::new(&tensor, precision).unwrap(), vec![7.0]);
                vectors.decode(0..rows / 2, &mut found);
                found.extend_from_slice(vectors.rows(rows / 2..rows, &mut vec![8.0]));
                assert_eq!(found[0], 7.0);
                found[1..].to_vec()
            };
            prop_assert_eq!(decoded(FlatPrecision::F32), numbers);
            for (half, number) in decoded(FlatPrecision::F16).iter().zip(numbers) {
                prop_assert!((half - number).abs() <= number.abs() / 2048.0 + 1e-7);
            }
            // A step is less than 18 / 255.
            for (byte, number) in decoded(FlatPrecision::Int8).iter().zip(numbers) {
                prop_assert!((byte - number).abs() <= 9.0 / 255.0 + 1e-5, "{byte} {number}");
            }
            for (sign, number) in decoded(FlatPrecision::Binary).iter().zip(numbers) {
                prop_assert_eq!(*sign, if *number > 0.0 { 1.0 } else { -1.0 });
            }
        }
    }

    #[test]
    fn numbers_that_a_precision_does_not_hold() {
        let message = |numbers: &[f32], precision| {
            let tensor = Tensor::from_slice(numbers, (numbers.len(), 1), &Device::Cpu).unwrap();
            Vectors::new(&tensor, precision).map(drop).unwrap_err().to_string()
        };
        assert!(message(&[1.0, -7e4], FlatPrecision::F16).contains("F16 for vectors with 70000: expected"));
        assert!(message(&[3e38, -3e38], FlatPrecision::Int8).contains("single precision holds"));
    }
}
