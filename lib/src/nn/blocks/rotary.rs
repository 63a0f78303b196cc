//! Rotary positions (Su et al. 2021): pairs of elements of queries and keys turn with the position.

use std::sync::{Arc, PoisonError, RwLock};

use rayon::prelude::*;

use super::ROWS_PER_TASK;
use crate::nn::math::vectorised;
use crate::nn::spec::Spec;

/// The rotations of a model, one for each base of frequencies. They are made for as many positions as batches have, not
/// for all that a `config.json` allows, and clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Rotations {
    thetas: Vec<f32>,
    size: usize,
    limit: usize,
    made: Arc<RwLock<Arc<[Rotary]>>>,
}

/// Positions that are made at once.
const FEWEST: usize = 512;

impl Rotations {
    pub(crate) fn new(spec: &Spec) -> Self {
        let mut thetas: Vec<f32> = spec.layers.iter().filter_map(|layer| layer.theta).collect();
        thetas.sort_by(f32::total_cmp);
        thetas.dedup();
        Self { thetas, size: spec.head_size(), limit: spec.longest(), made: Arc::default() }
    }

    /// The rotations of all positions below `count`, which is at most the longest input.
    pub(crate) fn up_to(&self, count: usize) -> Arc<[Rotary]> {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner).clone();
        if self.thetas.is_empty() || made.first().is_some_and(|rotary| rotary.positions >= count) {
            return made;
        }
        let count = count.max(FEWEST).next_power_of_two().min(self.limit);
        let made: Arc<[Rotary]> = self.thetas.iter().map(|theta| Rotary::new(*theta, self.size, count)).collect();
        *self.made.write().unwrap_or_else(PoisonError::into_inner) = made.clone();
        made
    }
}

/// Cosine and sine of every position's angles `(positions, d/2)`.
#[derive(Debug)]
pub(crate) struct Rotary {
    theta: f32,
    cosines: Vec<f32>,
    sines: Vec<f32>,
    half: usize,
    positions: usize,
}

impl Rotary {
    /// For heads of width `size`: element `i` of position `p` turns by `p / theta^(2i / size)`.
    pub(crate) fn new(theta: f32, size: usize, positions: usize) -> Self {
        let half = size / 2;
        // In f32, as the models were trained.
        let frequency = |i: usize| 1.0 / theta.powf((2 * i) as f32 / size as f32);
        let angles = |position: usize| (0..half).map(move |i| f64::from(frequency(i) * position as f32));
        let (sines, cosines) =
            (0..positions).flat_map(angles).map(|angle| (angle.sin() as f32, angle.cos() as f32)).unzip();
        Self { theta, cosines, sines, half, positions }
    }

    pub(crate) fn theta(&self) -> f32 {
        self.theta
    }

    /// Cosines and sines of a position.
    pub(crate) fn at(&self, position: u32) -> (&[f32], &[f32]) {
        let start = position as usize * self.half;
        (&self.cosines[start..start + self.half], &self.sines[start..start + self.half])
    }
}

/// Turns queries and keys of `qkv (T, 3H)` in place: `(x, y) -> (x cos - y sin, y cos + x sin)`, where
/// `y` is the element half a head after `x`.
pub(crate) fn forward(qkv: &mut [f32], positions: &[u32], rotary: &Rotary) {
    turn_rows(qkv, positions, rotary, 1.0);
}

/// Turns the gradients of queries and keys back, in place.
pub(crate) fn backward(d_qkv: &mut [f32], positions: &[u32], rotary: &Rotary) {
    turn_rows(d_qkv, positions, rotary, -1.0);
}

fn turn_rows(qkv: &mut [f32], positions: &[u32], rotary: &Rotary, direction: f32) {
    let width = qkv.len() / positions.len().max(1);
    let rows = qkv.par_chunks_mut((width * ROWS_PER_TASK).max(1)).zip(positions.par_chunks(ROWS_PER_TASK));
    rows.for_each(|(rows, positions)| {
        for (row, position) in rows.chunks_exact_mut(width).zip(positions) {
            let (cosines, sines) = rotary.at(*position);
            turn(&mut row[..width / 3 * 2], cosines, sines, direction);
        }
    });
}

vectorised! {
    fn turn(heads: &mut [f32], cosines: &[f32], sines: &[f32], direction: f32) {
        for head in heads.chunks_exact_mut(2 * cosines.len()) {
            let (left, right) = head.split_at_mut(cosines.len());
            for ((x, y), (cosine, sine)) in left.iter_mut().zip(right).zip(cosines.iter().zip(sines)) {
                let sine = sine * direction;
                (*x, *y) = (*x * cosine - *y * sine, *y * cosine + *x * sine);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_depend_on_the_distance_alone() {
        let rotary = Rotary::new(100.0, 6, 20);
        let dot = |query: u32, key: u32| {
            // Query, key and value of one head per token.
            let mut qkv: Vec<f32> = (0..36).map(|i| (i as f32).sin()).collect();
            forward(&mut qkv, &[query, key], &rotary);
            (0..6).map(|i| qkv[i] * qkv[18 + 6 + i]).sum::<f32>()
        };
        assert!((dot(3, 5) - dot(15, 17)).abs() < 1e-5);
        assert!((dot(3, 5) - dot(5, 3)).abs() > 1e-3);
    }

    #[test]
    fn backward_undoes_forward() {
        let rotary = Rotary::new(100.0, 4, 9);
        let qkv: Vec<f32> = (0..48).map(|i| (i as f32).cos()).collect();
        let mut turned = qkv.clone();
        forward(&mut turned, &[8, 1], &rotary);
        assert_ne!(turned, qkv);
        backward(&mut turned, &[8, 1], &rotary);
        assert!(turned.iter().zip(&qkv).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
