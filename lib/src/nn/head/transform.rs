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

    /// Where the weight of its norm lies, if it has one.
    pub(super) fn norm_weight(&self) -> Option<std::ops::Range<usize>> {
        self.norm.as_ref().map(ParamRange::weight_range)
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

    /// The same in a table without the first `count` numbers.
    pub(super) fn without(&self, count: usize) -> Self {
        let norm = self.norm.as_ref().map(|norm| norm.without(count));
        Self { dense: self.dense.without(count), norm, ..*self }
    }

    /// From `cache.d_output (n, E)`, which is overwritten: `cache.d_input (n, H)`, and the gradients of its parameters
    /// where they are wanted.
    pub(super) fn backward(&self, values: &[f32], mut grads: Option<&mut [f32]>, rows: usize, cache: &mut HeadCache) {
        let HeadCache { input, pre, activated, norm, d_output, d_input, .. } = cache;
        if let Some(place) = &self.norm {
            let d_place = grads.as_deref_mut().map(|grads| place.grads(grads));
            let d_place = d_place.map_or((None, None), |(d_gamma, d_beta)| (Some(d_gamma), d_beta));
            norm::backward(d_output, place.weight(values), norm, &mut [], d_place);
        }
        activation::backward(d_output, pre, activated, self.activation);
        d_input.resize(input.len(), 0.0);
        linear::backward_input(d_input, false, d_output, self.dense.weight(values), rows);
        if let Some((d_weight, d_bias)) = grads.map(|grads| self.dense.grads(grads)) {
            linear::backward_weight((Some(d_weight), d_bias), d_output, input, rows);
        }
    }
}
