//! The part that heads have in common: a map, an activation, and a norm in some.

use super::HeadCache;
use super::spec::TransformSpec;
use crate::nn::blocks::norm::{self, Before};
use crate::nn::blocks::{activation, linear};
use crate::nn::layout::ParamRange;
use crate::nn::{Activation, Parameters};

#[derive(Debug, Clone)]
pub(super) struct Transform {
    dense: ParamRange,
    activation: Activation,
    norm: Option<ParamRange>,
    eps: f32,
}

impl Transform {
    /// Appends its parameters, from `width` to `inner`.
    pub(super) fn push(table: &mut Parameters, spec: &TransformSpec, width: usize, inner: usize, eps: f32) -> Self {
        let dense = ParamRange::linear(table, spec.dense, [inner, width], spec.dense_bias);
        let norm = spec.norm.map(|(name, bias)| ParamRange::norm(table, name, inner, bias));
        Self { dense, activation: spec.activation, norm, eps }
    }

    /// Where the weight of its map lies.
    pub(super) fn map(&self) -> std::ops::Range<usize> {
        self.dense.weight_range()
    }

    /// From `cache.input (n, H)`: `cache.output (n, E)`.
    pub(super) fn forward(&self, values: &[f32], rows: usize, cache: &mut HeadCache) {
        let HeadCache { input, pre, activated, norm, output, .. } = cache;
        linear::forward(pre, input, self.dense.weight(values), rows);
        let bias = self.dense.bias(values);
        match &self.norm {
            None => activation::forward(pre, output, bias, self.activation),
            Some(place) => {
                activation::forward(pre, activated, bias, self.activation);
                let place = place.as_norm(values, self.eps);
                norm::forward(output, activated, Before::default(), place, norm, &mut []);
            }
        }
    }

    /// From `cache.d_output (n, E)`, which is overwritten: `cache.d_input (n, H)`.
    pub(super) fn backward(&self, values: &[f32], grads: &mut [f32], rows: usize, cache: &mut HeadCache) {
        let HeadCache { input, pre, activated, norm, d_output, d_input, .. } = cache;
        if let Some(place) = &self.norm {
            norm::backward(d_output, place.weight(values), norm, &mut [], place.grads(grads));
        }
        activation::backward(d_output, pre, activated, self.activation);
        d_input.resize(input.len(), 0.0);
        let weight = self.dense.weight(values);
        linear::backward(d_output, input, weight, rows, d_input, self.dense.grads(grads));
    }
}
