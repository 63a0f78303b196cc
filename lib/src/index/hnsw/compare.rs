//! Vectors compared one with one.

use super::codes::{self, Code, Codes};
use super::prefetch::prefetch;
use crate::loss::Similarity;
use crate::nn::vectorised;

/// The vectors of all documents, and how they are compared.
#[derive(Clone, Copy)]
pub(super) struct Vectors<'a> {
    /// `(n, width)`
    values: &'a [f32],
    width: usize,
    similarity: Similarity,
    /// With these, comparisons are as near as codes are. There are none for sums of absolute differences.
    codes: Option<codes::View<'a>>,
}

/// A vector to compare with.
#[derive(Clone, Copy)]
pub(super) struct Vector<'a> {
    values: &'a [f32],
    code: Option<Code<'a>>,
    /// Of the code with itself.
    square: f32,
}

/// A similarity in the upper half, the number of a document in the lower: in order of these numbers, the less similar of two
/// comes first, and of equally similar ones the one whose id comes first.
pub(super) type Near = u64;

impl<'a> Vectors<'a> {
    pub(super) fn new(values: &'a [f32], width: usize, similarity: Similarity, codes: Option<&'a Codes>) -> Self {
        Self { values, width, similarity, codes: codes.map(Codes::view) }
    }

    pub(super) fn row(&self, doc: u32) -> Vector<'a> {
        let values = &self.values[doc as usize * self.width..][..self.width];
        self.vector(values, self.codes.map(|codes| codes.row(doc)))
    }

    /// A vector that is not one of the index.
    pub(super) fn other<'v>(&self, values: &'v [f32], buffer: &'v mut Vec<i8>) -> Vector<'v> {
        self.vector(values, self.codes.map(|_| Code::of(values, buffer)))
    }

    fn vector<'v>(&self, values: &'v [f32], code: Option<Code<'v>>) -> Vector<'v> {
        let square = match (self.similarity, self.codes, code) {
            (Similarity::Euclidean, Some(codes), Some(code)) => codes.dot(code, code),
            _ => 0.0,
        };
        Vector { values, code, square }
    }

    /// How near a vector is to some documents, as near as codes are.
    pub(super) fn near(&self, vector: Vector<'_>, docs: &[u32], found: &mut Vec<Near>) {
        let (Some(codes), Some(code)) = (self.codes, vector.code) else { return self.exact(vector, docs, found) };
        found.clear();
        codes.dots(code, docs, |doc, dot| found.push(near(self.by_dot(vector, dot, doc), doc)));
    }

    /// The same by the vectors themselves.
    pub(super) fn exact(&self, vector: Vector<'_>, docs: &[u32], found: &mut Vec<Near>) {
        found.clear();
        match self.similarity {
            Similarity::Cosine | Similarity::Dot => products(vector.values, self.values, docs, found),
            Similarity::Euclidean => squares(vector.values, self.values, docs, found),
            Similarity::Manhattan => differences(vector.values, self.values, docs, found),
        }
    }

    /// How similar two documents are, in the order of [`Near`].
    pub(super) fn similarity(&self, one: Vector<'_>, other: u32) -> f32 {
        let own = self.row(other);
        if let (Some(codes), Some(code), Some(other_code)) = (self.codes, one.code, own.code) {
            return self.by_dot(one, codes.dot(code, other_code), other);
        }
        match self.similarity {
            Similarity::Cosine | Similarity::Dot => product(one.values, own.values),
            Similarity::Euclidean => square(one.values, own.values),
            Similarity::Manhattan => difference(one.values, own.values),
        }
    }

    /// From the product of codes: `|a - b|^2 = |a|^2 + |b|^2 - 2 ab`.
    fn by_dot(&self, vector: Vector<'_>, dot: f32, doc: u32) -> f32 {
        match self.similarity {
            Similarity::Euclidean => -(vector.square + self.row(doc).square - 2.0 * dot).max(0.0),
            _ => dot,
        }
    }

    /// Whether [`near`](Self::near) is as exact as [`exact`](Self::exact).
    pub(super) fn is_exact(&self) -> bool {
        self.codes.is_none()
    }

    /// The document that is near, and its score.
    pub(super) fn hit(&self, near: Near) -> (u32, f32) {
        let score = similarity(near);
        // Squares are in the same order.
        (doc(near), if self.similarity == Similarity::Euclidean { -(-score).sqrt() } else { score })
    }
}

pub(super) fn doc(near: Near) -> u32 {
    near as u32
}

const SIGN: u32 = 1 << 31;

pub(super) fn near(similarity: f32, doc: u32) -> Near {
    // Not -0, which is not below 0.
    let bits = (similarity + 0.0).to_bits();
    let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
    u64::from(ordered) << 32 | u64::from(doc)
}

pub(super) fn similarity(near: Near) -> f32 {
    let ordered = (near >> 32) as u32;
    f32::from_bits(if ordered & SIGN == 0 { !ordered } else { ordered & !SIGN })
}

macro_rules! compared {
    ($one:ident, $all:ident, $term:expr) => {
        vectorised! {
            fn $one(one: &[f32], other: &[f32]) -> f32 {
                sum(one, other, $term)
            }
        }

        vectorised! {
            fn $all(vector: &[f32], values: &[f32], docs: &[u32], found: &mut Vec<Near>) {
                let width = vector.len();
                for (place, doc) in docs.iter().enumerate() {
                    if let Some(next) = docs.get(place + AHEAD) {
                        prefetch(&values[*next as usize * width..][..width]);
                    }
                    found.push(near(sum(vector, &values[*doc as usize * width..][..width], $term), *doc));
                }
            }
        }
    };
}

/// Vectors that are fetched ahead: the processor does not foresee where the next one lies.
const AHEAD: usize = 2;

compared!(product, products, |a, b| a * b);
compared!(square, squares, |a, b| -(a - b) * (a - b));
compared!(difference, differences, |a, b| -(a - b).abs());

/// The sum of terms of two rows, in lanes that are added up at the end: an order of additions that does not depend on the machine,
/// and sums that need not wait for each other.
#[inline(always)]
fn sum(one: &[f32], other: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    const LANES: usize = 64;
    let mut lanes = [0.0_f32; LANES];
    let (blocks, rest) = one.as_chunks::<LANES>();
    let (other_blocks, other_rest) = other.as_chunks::<LANES>();
    for (one, other) in blocks.iter().zip(other_blocks) {
        for lane in 0..LANES {
            lanes[lane] += term(one[lane], other[lane]);
        }
    }
    for (lane, (one, other)) in lanes.iter_mut().zip(rest.iter().zip(other_rest)) {
        *lane += term(*one, *other);
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sums_of_any_width(width in 1..300_usize, seed in any::<u64>()) {
            let mut rng = crate::random::Philox::new(seed);
            let values: Vec<f32> = (0..2 * width).map(|_| rng.normal() as f32).collect();
            let (one, other) = values.split_at(width);
            for similarity in [Similarity::Dot, Similarity::Euclidean, Similarity::Manhattan] {
                let term = |a: f32, b: f32| match similarity {
                    Similarity::Dot => a * b,
                    Similarity::Euclidean => -(a - b).powi(2),
                    _ => -(a - b).abs(),
                };
                let expected: f64 = one.iter().zip(other).map(|(a, b)| f64::from(term(*a, *b))).sum();
                let codes = Codes::new(&values, width);
                for (codes, most) in [(None, 1e-3), (Some(&codes), 1e-3 + 0.1 * width as f64)] {
                    let vectors = Vectors::new(&values, width, similarity, codes.filter(|_| similarity != Similarity::Manhattan));
                    prop_assert!((f64::from(vectors.similarity(vectors.row(0), 1)) - expected).abs() < most);
                    let (mut near, mut buffer) = (Vec::new(), Vec::new());
                    vectors.near(vectors.other(one, &mut buffer), &[1, 0, 1, 1], &mut near);
                    prop_assert_eq!(near.len(), 4);
                    prop_assert!(near[0] == near[2] && doc(near[1]) == 0);
                    prop_assert!((f64::from(super::similarity(near[0])) - expected).abs() < most);
                    vectors.exact(vectors.row(0), &[1], &mut near);
                    prop_assert!((f64::from(super::similarity(near[0])) - expected).abs() < 1e-3);
                }
            }
        }

        #[test]
        fn the_order_is_that_of_scores(scores in prop::collection::vec((-3..4_i32, 0..3_u32), 2..20)) {
            let mut all: Vec<(f32, u32)> = scores.iter().map(|(level, doc)| (*level as f32 / 2.0, *doc)).collect();
            let mut found: Vec<Near> = all.iter().map(|(score, doc)| near(*score, *doc)).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            found.sort_unstable();
            let found: Vec<(f32, u32)> = found.iter().map(|near| (super::similarity(*near), doc(*near))).collect();
            prop_assert_eq!(found, all);
        }
    }
}
