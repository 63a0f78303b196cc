//! Vectors in a byte a number: a walk compares with many vectors, and waits for memory.

use super::prefetch::prefetch;
use crate::index::array::Array;
use crate::nn::{prefer_large_pages, vectorised};

/// Vectors as whole numbers from -127 to 127 times a scale each.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Codes {
    pub(super) width: usize,
    /// `(n, width)`, the bytes of `i8`.
    pub(super) values: Array<u8>,
    pub(super) scales: Array<f32>,
}

/// A vector as whole numbers.
#[derive(Clone, Copy)]
pub(super) struct Code<'a> {
    values: &'a [i8],
    scale: f32,
}

impl Codes {
    /// A sum of products of more numbers could exceed an `i32`.
    pub(super) const WIDEST: usize = 1 << 16;

    pub(super) fn new(vectors: &[f32], width: usize) -> Self {
        let (mut values, mut scales) = (Vec::with_capacity(vectors.len()), Vec::new());
        prefer_large_pages(values.spare_capacity_mut());
        for row in vectors.chunks_exact(width) {
            let (scale, codes) = coded(row);
            values.extend(codes.map(|code| code as u8));
            scales.push(scale);
        }
        Self { width, values: values.into(), scales: scales.into() }
    }

    pub(super) fn view(&self) -> View<'_> {
        View { width: self.width, values: bytemuck::cast_slice(&self.values), scales: &self.scales }
    }
}

impl<'a> Code<'a> {
    /// A vector that is not one of the index.
    pub(super) fn of(row: &[f32], values: &'a mut Vec<i8>) -> Self {
        let (scale, codes) = coded(row);
        values.clear();
        values.extend(codes);
        Self { values, scale }
    }
}

fn coded(row: &[f32]) -> (f32, impl Iterator<Item = i8>) {
    let scale = row.iter().fold(0.0_f32, |most, value| most.max(value.abs())) / 127.0;
    (scale, row.iter().map(move |value| if scale > 0.0 { (value / scale).round() as i8 } else { 0 }))
}

/// Codes to compare.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    width: usize,
    values: &'a [i8],
    scales: &'a [f32],
}

impl<'a> View<'a> {
    pub(super) fn row(&self, doc: u32) -> Code<'a> {
        let values = &self.values[doc as usize * self.width..][..self.width];
        Code { values, scale: self.scales[doc as usize] }
    }

    /// Dot products with some rows.
    pub(super) fn dots(&self, vector: Code<'_>, docs: &[u32], mut told: impl FnMut(u32, f32)) {
        let mut sums = [0; 64];
        for docs in docs.chunks(sums.len()) {
            products(vector.values, self.values, docs, &mut sums);
            for (doc, sum) in docs.iter().zip(sums) {
                told(*doc, sum as f32 * (vector.scale * self.scales[*doc as usize]));
            }
        }
    }

    pub(super) fn dot(&self, one: Code<'_>, other: Code<'_>) -> f32 {
        product(one.values, other.values) as f32 * (one.scale * other.scale)
    }
}

vectorised! {
    fn product(one: &[i8], other: &[i8]) -> i32 {
        sum(one, other)
    }
}

vectorised! {
    fn products(vector: &[i8], values: &[i8], docs: &[u32], sums: &mut [i32]) {
        let width = vector.len();
        for doc in docs.iter().take(AHEAD) {
            prefetch(&values[*doc as usize * width..][..width]);
        }
        for (place, (doc, own)) in docs.iter().zip(sums).enumerate() {
            if let Some(next) = docs.get(place + AHEAD) {
                prefetch(&values[*next as usize * width..][..width]);
            }
            *own = sum(vector, &values[*doc as usize * width..][..width]);
        }
    }
}

/// Vectors that are fetched ahead: the processor does not foresee where the next one lies.
const AHEAD: usize = 6;

#[inline(always)]
fn sum(one: &[i8], other: &[i8]) -> i32 {
    one.iter().zip(other).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn dots_are_near(width in 1..300_usize, scale in 1e-3..1e3_f32, seed in any::<u64>()) {
            let mut rng = crate::random::Philox::new(seed);
            let rows: Vec<f32> = (0..3 * width).map(|_| scale * rng.normal() as f32).collect();
            let codes = Codes::new(&rows, width);
            let (view, mut buffer) = (codes.view(), Vec::new());
            let vector = Code::of(&rows[..width], &mut buffer);
            let length = |row: &[f32]| row.iter().map(|value| value * value).sum::<f32>().sqrt();
            view.dots(vector, &[2, 1, 0], |doc, dot| {
                let row = &rows[doc as usize * width..][..width];
                let exact: f32 = rows[..width].iter().zip(row).map(|(a, b)| a * b).sum();
                assert!((dot - exact).abs() <= 0.05 * length(&rows[..width]) * length(row), "{dot} {exact}");
                assert_eq!(dot, view.dot(view.row(0), view.row(doc)));
            });
        }
    }

    #[test]
    fn zeros_and_the_largest() {
        let codes = Codes::new(&[0.0, 0.0, -3.0, 1.5], 2);
        assert_eq!(bytemuck::cast_slice::<u8, i8>(&codes.values), [0, 0, -127, 64]);
        let view = codes.view();
        assert_eq!(view.dot(view.row(0), view.row(1)), 0.0);
    }
}
