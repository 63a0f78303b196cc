//! Their forward and backward pass.

use super::{Map, Residual, Step, VectorModules};
use crate::nn::blocks::linear;
use crate::nn::blocks::norm::{self, Before, NormCache};
use crate::nn::head::unit::{normalize_rows, normalize_rows_backward};
use crate::nn::saved_tensor::Storage;

/// What the backward pass needs of each module.
pub(crate) type KeptModules = Vec<Kept>;

/// The same of one module.
pub(crate) enum Kept {
    /// `(n, in)` what it has read, and `(n, out)` before the activation.
    Dense {
        input: Vec<f32>,
        before: Vec<f32>,
    },
    LayerNorm(NormCache),
    /// `(n, dim)` of length 1, and the lengths before.
    Normalize {
        rows: Vec<f32>,
        lengths: Vec<f32>,
    },
}

/// That of PyTorch's `LayerNorm`.
const EPS: f32 = 1e-5;

impl VectorModules {
    /// Of pooled vectors `(n, input)`: those after all modules, and what the backward pass needs. `values` are those of the
    /// table, less the `frozen` ones of an encoder with adapters.
    pub(crate) fn forward(&self, values: &[f32], frozen: usize, mut vectors: Vec<f32>) -> (Vec<f32>, KeptModules) {
        let mut kept = Vec::with_capacity(self.0.len());
        for Step { map, input, output, .. } in &self.0 {
            let rows = vectors.len() / input;
            match map {
                Map::Dense(place, activation, residual) => {
                    let mut before = vec![0.0; rows * output];
                    if rows > 0 {
                        let place = place.without(frozen);
                        linear::forward(&mut before, &vectors, place.weight(values), rows);
                        place.bias(values).into_iter().for_each(|bias| linear::add_bias(&mut before, bias));
                    }
                    let mut after: Vec<f32> = before.iter().map(|x| activation.of(*x)).collect();
                    residual.add(values, frozen, &vectors, &mut after, rows);
                    kept.push(Kept::Dense { input: std::mem::replace(&mut vectors, after), before });
                }
                Map::LayerNorm(place) => {
                    let mut after = vec![0.0; vectors.len()];
                    let mut cache = NormCache::default();
                    cache.fit(rows, *output, Storage::F32);
                    let place = place.without(frozen);
                    let weights = place.as_norm(values, EPS);
                    norm::forward(&mut after, &mut vectors, Before::default(), weights, &mut cache, &mut []);
                    vectors = after;
                    kept.push(Kept::LayerNorm(cache));
                }
                Map::Normalize => {
                    let lengths = normalize_rows(&mut vectors, *output);
                    kept.push(Kept::Normalize { rows: vectors.clone(), lengths });
                }
            }
        }
        (vectors, kept)
    }

    /// From the gradient of the last vectors: adds that of every parameter, and returns that of the pooled vectors.
    pub(crate) fn backward(
        &self,
        values: &[f32],
        grads: &mut [f32],
        frozen: usize,
        kept: &KeptModules,
        gradient: &[f32],
    ) -> Vec<f32> {
        let mut d = gradient.to_vec();
        for (step, kept) in self.0.iter().zip(kept).rev() {
            match (&step.map, kept) {
                (Map::Dense(place, activation, residual), Kept::Dense { input, before }) => {
                    let d_after = d.clone();
                    d.iter_mut().zip(before).for_each(|(d, before)| *d *= activation.slope(*before));
                    let (mut d_input, rows) = (vec![0.0; input.len()], input.len() / step.input);
                    if rows > 0 {
                        let place = place.without(frozen);
                        linear::backward(&d, input, place.weight(values), rows, &mut d_input, place.grads(grads));
                    }
                    residual.backward(values, grads, frozen, input, &d_after, &mut d_input, rows);
                    d = d_input;
                }
                (Map::LayerNorm(place), Kept::LayerNorm(cache)) => {
                    let place = place.without(frozen);
                    let (d_gamma, d_beta) = place.grads(grads);
                    norm::backward(&mut d, place.weight(values), cache, &mut [], (Some(d_gamma), d_beta));
                }
                (_, Kept::Normalize { rows, lengths }) => {
                    d = normalize_rows_backward(rows, lengths, &d, step.output);
                }
                // What is kept is of the same modules.
                _ => {}
            }
        }
        d
    }
}

impl Residual {
    /// Adds it to `after`, from the input `x`.
    fn add(&self, values: &[f32], frozen: usize, x: &[f32], after: &mut [f32], rows: usize) {
        let add = |to: &mut [f32], from: &[f32]| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        match self {
            Self::Nothing => {}
            Self::Input => add(after, x),
            Self::Mapped(_) if rows == 0 => {}
            Self::Mapped(place) => {
                let mut mapped = vec![0.0; after.len()];
                linear::forward(&mut mapped, x, place.without(frozen).weight(values), rows);
                add(after, &mapped);
            }
        }
    }

    /// From the gradient of the output: adds that of the map, and its own share in that of the input.
    #[allow(clippy::too_many_arguments)]
    fn backward(
        &self,
        values: &[f32],
        grads: &mut [f32],
        frozen: usize,
        x: &[f32],
        d_after: &[f32],
        dx: &mut [f32],
        rows: usize,
    ) {
        match self {
            Self::Nothing => {}
            Self::Input => dx.iter_mut().zip(d_after).for_each(|(dx, d)| *dx += d),
            Self::Mapped(_) if rows == 0 => {}
            Self::Mapped(place) => {
                let place = place.without(frozen);
                linear::backward_input(dx, true, d_after, place.weight(values), rows);
                linear::backward_weight((Some(place.grads(grads).0), None), d_after, x, rows);
            }
        }
    }
}
