//! The parts of an encoder, made of blocks: each a forward and a backward function.
//!
//! A layer is an attention block and a feed-forward block; families differ in where the norms are.

pub(super) mod attention;
pub(super) mod embedding;
pub(super) mod feed_forward;
pub(super) mod post_norm;
pub(super) mod pre_norm;
pub(super) mod span;

use std::ops::Range;

use super::activations::{LayerCache, Scratch, SpanCache};
use super::blocks::attention::Heads;
use super::blocks::dropout::Site;
use super::blocks::rotary::Rotary;
use super::blocks::{linear, rows};
use super::int8::{Int8Rows, Int8Weights, Map};
use super::layout::{LayerLayout, ParamRange};
use super::lora::Beside;
use super::spec::Spec;
use super::trainable::Trained;
use super::{Dropout, PackedBatch};

/// What all layers of one pass share.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) spec: &'a Spec,
    pub(super) batch: &'a PackedBatch,
    pub(super) dropout: Option<Dropout>,
    /// The position of each token, as tables have it.
    pub(super) positions: &'a [u32],
    /// One per base of frequencies.
    pub(super) rotary: &'a [Rotary],
    /// The biases of relative positions `(heads, 2L - 1)`, and where their table lies.
    pub(super) offsets: &'a [f32],
    pub(super) relative: Option<&'a Range<usize>>,
    pub(super) trained: &'a Trained,
    /// The lowest layer that a gradient goes back through.
    pub(super) lowest: usize,
    /// Whether a backward pass follows.
    pub(super) keeps: bool,
    /// The tokens that are read after the last layer, rising; empty for all.
    pub(super) read: &'a [usize],
    /// The layers' maps in int8, in the place of the f32 ones.
    pub(super) int8: Option<&'a Int8Weights>,
    /// What is added to the maps, and trained in their place.
    pub(super) lora: Option<Beside<'a>>,
    /// Relative positions that are compared with content.
    pub(super) span: Option<&'a SpanCache>,
}

/// A layer's forward pass: `hidden (T, H)` goes through it, in place.
pub(super) type Forward = fn(Pass<'_>, usize, &LayerLayout, &[f32], &mut [f32], &mut LayerCache, &mut Scratch);

/// Dropout layers of a layer.
pub(super) const WEIGHTS: u32 = 0;
pub(super) const ATTENTION: u32 = 1;
pub(super) const INNER: u32 = 2;
pub(super) const FEED_FORWARD: u32 = 3;

impl<'a> Pass<'a> {
    pub(super) fn tokens(&self) -> usize {
        self.batch.tokens()
    }

    /// Whether weights of a layer are trained.
    pub(super) fn trains(&self, place: &ParamRange) -> bool {
        self.trained.any(place.range())
    }

    /// Whether the gradient of a layer's input is wanted.
    pub(super) fn needs_input_grad(&self, index: usize, layer: &LayerLayout) -> bool {
        index > self.lowest || self.trained.any(0..layer.qkv.range().start)
    }

    /// The tokens whose rows continue after the attention of a layer, where not all do.
    fn read_of(&self, layer: usize) -> Option<&'a [usize]> {
        (layer + 1 == self.spec.layers.len() && !self.read.is_empty()).then_some(self.read)
    }

    /// `R`, how many rows continue after the attention of a layer.
    pub(super) fn rows(&self, layer: usize) -> usize {
        self.read_of(layer).map_or(self.tokens(), <[usize]>::len)
    }

    /// What of `hidden (T, H)` continues there `(R, H)`, at its front.
    pub(super) fn narrow<'h>(&self, layer: usize, hidden: &'h mut [f32]) -> &'h mut [f32] {
        let width = self.spec.width;
        if let Some(tokens) = self.read_of(layer) {
            rows::gather(hidden, tokens, width);
        }
        &mut hidden[..self.rows(layer) * width]
    }

    /// The reverse for a gradient: rows that did not continue have none.
    pub(super) fn widen(&self, layer: usize, d: &mut [f32]) {
        if let Some(tokens) = self.read_of(layer) {
            rows::scatter(d, tokens, self.spec.width);
        }
    }

    /// The dropout layer at `place` of a layer; `None` if it drops nothing.
    pub(super) fn site(&self, layer: usize, place: u32, rate: f32) -> Option<Site<'a>> {
        Some(self.spec.site(self.dropout, layer, place, rate)?.of_tokens(self.read_of(layer)))
    }

    /// The dropout layer of a layer's attention weights.
    pub(super) fn weights_site(&self, layer: usize) -> Option<Site<'static>> {
        self.spec.weights_site(self.dropout, layer)
    }

    /// The batch as the attention of a layer sees it.
    pub(super) fn heads(&self, layer: usize) -> Heads<'a> {
        Heads {
            batch: self.batch,
            count: self.spec.heads,
            size: self.spec.head_size(),
            rounded: self.int8.is_some(),
            first: self.read_of(layer).is_some(),
            reach: self.spec.layers[layer].reach,
            offsets: self.offsets,
            positional: None,
        }
    }

    /// `y = x Wᵀ` for some rows, a map of a layer, in int8 where the pass has it so; `bytes` is scratch.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn product(
        &self,
        layer: usize,
        map: Map,
        rows: usize,
        y: &mut [f32],
        x: &[f32],
        weight: &[f32],
        bytes: &mut Int8Rows,
    ) {
        match self.int8 {
            None => {
                linear::forward(y, x, weight, rows);
                if let Some(lora) = self.lora {
                    lora.forward(layer, map, y, x, rows, self.tokens_of(layer, map));
                }
            }
            // They are in these.
            Some(int8) => {
                bytes.fill(x, x.len() / rows.max(1));
                int8.map(layer, map).forward(y, bytes);
            }
        }
    }

    /// From the gradient of what a map of a layer makes of `x`, `dy`, after that of the map itself: the gradients of its
    /// adapters, and their share in that of `x` where it is wanted.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn product_backward(
        &self,
        layer: usize,
        map: Map,
        rows: usize,
        grads: &mut [f32],
        dy: &[f32],
        x: &[f32],
        dx: Option<&mut [f32]>,
    ) {
        if let Some(lora) = self.lora {
            lora.backward(layer, map, grads, dy, x, dx, rows, self.tokens_of(layer, map));
        }
    }

    /// What adapters of queries and keys add to those of relative positions.
    pub(super) fn span_product(&self, layer: usize, rows: usize, y: &mut [f32], x: &[f32]) {
        if let Some(lora) = self.lora {
            lora.forward(layer, Map::Qkv, y, x, rows, None);
        }
    }

    /// The same backward.
    pub(super) fn span_product_backward(
        &self,
        layer: usize,
        rows: usize,
        grads: &mut [f32],
        dy: &[f32],
        x: &[f32],
        dx: &mut [f32],
    ) {
        if let Some(lora) = self.lora {
            lora.backward(layer, Map::Qkv, grads, dy, x, Some(dx), rows, None);
        }
    }

    /// Whether a map of a layer has an adapter.
    pub(super) fn is_adapted(&self, layer: usize, map: Map) -> bool {
        self.lora.is_some_and(|lora| lora.adapts(layer, map))
    }

    /// The tokens of the rows that go through a map of a layer, where not all have one.
    fn tokens_of(&self, layer: usize, map: Map) -> Option<&'a [usize]> {
        match map {
            Map::Qkv => None,
            Map::Out | Map::Up | Map::Down => self.read_of(layer),
        }
    }

    /// How the queries and keys of a layer turn.
    pub(super) fn rotary(&self, layer: usize) -> Option<&'a Rotary> {
        let theta = self.spec.layers[layer].theta?;
        self.rotary.iter().find(|rotary| rotary.theta() == theta)
    }

    /// `L`, the length of the longest sequence.
    pub(super) fn longest(&self) -> usize {
        longest(self.batch)
    }
}

/// The length of the longest sequence of a batch.
pub(super) fn longest(batch: &PackedBatch) -> usize {
    batch.ranges().map(|range| range.len()).max().unwrap_or(0)
}
