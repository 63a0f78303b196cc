//! The quantised input.

use rayon::prelude::*;

use super::INT8_GROUP;
use super::kernel::ROWS;
use crate::nn::math::{lane_max, lane_min, vectorised};

/// Rows `(T, width)` as unsigned bytes, each with its own scale and zero.
#[derive(Debug, Clone, Default)]
pub(crate) struct Int8Rows {
    pub(super) width: usize,
    /// The width in memory, a multiple of [`INT8_GROUP`].
    pub(super) depth: usize,
    pub(super) values: Vec<u8>,
    pub(super) scales: Vec<f32>,
    pub(super) zeros: Vec<i32>,
}

impl Int8Rows {
    #[cfg(test)]
    pub(crate) fn new(x: &[f32], width: usize) -> Self {
        let mut rows = Self::default();
        rows.fill(x, width);
        rows
    }

    /// Quantises rows, in the memory of the last ones.
    pub(crate) fn fill(&mut self, x: &[f32], width: usize) {
        let count = x.len() / width;
        (self.width, self.depth) = (width, width.next_multiple_of(INT8_GROUP));
        // The kernel reads whole tiles; what follows the last row is not used.
        self.values.resize(count.next_multiple_of(ROWS) * self.depth, 0);
        self.scales.resize(count, 0.0);
        self.zeros.resize(count, 0);
        let rows = self.values.par_chunks_mut(self.depth).zip(x.par_chunks(width));
        rows.zip(self.scales.par_iter_mut().zip(&mut self.zeros)).with_min_len(32).for_each(
            |((values, x), (scale, zero))| {
                (*scale, *zero) = quantise(values, x);
            },
        );
    }

    /// The bytes from a row on.
    pub(super) fn from(&self, row: usize) -> &[u8] {
        &self.values[row * self.depth..]
    }
}

vectorised! {
    /// Returns scale and zero. Zero itself is always exact.
    fn quantise(values: &mut [u8], x: &[f32]) -> (f32, i32) {
        // Not in one pass: the compiler would mix the two up.
        let (least, most) = (lane_min(x, 0.0), lane_max(x, 0.0));
        let scale = if most > least { (most - least) / 255.0 } else { 1.0 };
        let (inverse, zero) = (1.0 / scale, (-least / scale).round());
        for (value, x) in values.iter_mut().zip(x) {
            // Adding 2^23 rounds to an integer, which is then the low bits.
            *value = ((x * inverse + zero).clamp(0.0, 255.0) + 8_388_608.0).to_bits() as u8;
        }
        (scale, zero as i32)
    }
}
