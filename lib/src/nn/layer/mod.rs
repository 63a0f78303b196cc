//! The parts of an encoder, made of blocks: each a forward and a backward function.
//!
//! A layer is an attention block and a feed-forward block; families differ in where the norms stand.

pub(super) mod attention;
pub(super) mod embedding;
pub(super) mod feed_forward;
pub(super) mod post_norm;

use super::blocks::attention::Heads;
use super::blocks::dropout::Site;
use super::spec::Spec;
use super::{Dropout, PackedBatch};

/// What all layers of one pass share.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) spec: &'a Spec,
    pub(super) batch: &'a PackedBatch,
    pub(super) dropout: Option<Dropout>,
}

/// Dropout layers of a layer.
pub(super) const WEIGHTS: u32 = 0;
pub(super) const ATTENTION: u32 = 1;
pub(super) const FEED_FORWARD: u32 = 2;

impl<'a> Pass<'a> {
    pub(super) fn tokens(&self) -> usize {
        self.batch.tokens()
    }

    /// The dropout layer at `place` of a layer; `None` if it drops nothing.
    pub(super) fn site(&self, layer: usize, place: u32, rate: f32) -> Option<Site> {
        self.spec.site(self.dropout, layer, place, rate)
    }

    /// The batch as the attention of a layer sees it.
    pub(super) fn heads(&self) -> Heads<'a> {
        Heads { bounds: &self.batch.bounds, count: self.spec.heads, size: self.spec.head_size() }
    }
}
