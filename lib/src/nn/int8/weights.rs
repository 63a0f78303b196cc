//! The maps of an encoder's layers in int8.

use rayon::prelude::*;

use super::Int8Matrix;
use crate::nn::layout::{LayerLayout, Layout};

/// The maps of all layers in int8: a quarter of their memory, and several times as fast where the processor
/// multiplies bytes. For inference; made by [`Encoder::quantize`](crate::nn::Encoder::quantize).
#[derive(Debug, Clone)]
pub struct Int8Weights(Vec<[Int8Matrix; 4]>);

/// A map of a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Map {
    Qkv,
    Out,
    Up,
    Down,
}

impl Int8Weights {
    pub(crate) fn new(layout: &Layout, values: &[f32], width: usize, up_width: usize) -> Self {
        let quantised = |layer: &LayerLayout| {
            let maps = [(&layer.qkv, 3 * width), (&layer.out, width), (&layer.up, up_width), (&layer.down, width)];
            maps.map(|(place, outputs)| Int8Matrix::new(place.weight(values), outputs))
        };
        Self(layout.layers.par_iter().map(quantised).collect())
    }

    pub(crate) fn map(&self, layer: usize, map: Map) -> &Int8Matrix {
        &self.0[layer][map as usize]
    }
}
