//! What an encoder is made of, in one description for all families.

use super::layer::WEIGHTS;
use super::{Activation, Dropout};
use crate::nn::blocks::dropout::Site;

/// The normalised description that the engine computes by. A family says how its `config.json` maps to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spec {
    pub(crate) names: Names,
    pub(crate) vocab: usize,
    /// Width of the embedding tables; the hidden states' own unless a projection follows.
    pub(crate) embedding: usize,
    /// `H`
    pub(crate) width: usize,
    pub(crate) heads: usize,
    /// `I`
    pub(crate) inner: usize,
    pub(crate) activation: Activation,
    /// Whether the feed-forward block multiplies by a gate (GeGLU): its first map is then `(2I, H)`.
    pub(crate) gated: bool,
    /// Whether norms come before the blocks, inside the residual branch, instead of after the sum.
    pub(crate) norm_first: bool,
    pub(crate) eps: f32,
    pub(crate) biases: Biases,
    pub(crate) positions: Positions,
    /// Rows of the segment table; 0 for none.
    pub(crate) segments: usize,
    /// Rows of the table of relative positions that all layers share; 0 for none.
    pub(crate) buckets: usize,
    /// Relative positions that attention compares with content.
    pub(crate) span: Option<Span>,
    pub(crate) layers: Vec<LayerSpec>,
    pub(crate) rates: Rates,
    /// Standard deviation of the initial weights.
    pub(crate) deviation: f64,
}

/// Which maps have a bias.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Biases {
    pub(crate) attention: bool,
    pub(crate) feed_forward: bool,
    pub(crate) norm: bool,
}

/// How a token knows its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Positions {
    /// A table of `rows`, from row 0 on.
    Table { rows: usize, sinusoidal: bool },
    /// A table of `rows` whose row `pad` is the padding's: the others follow it, and tokens with the
    /// id `pad` are not counted.
    Counted { rows: usize, pad: u32 },
    /// Queries and keys are rotated; up to `limit` tokens.
    Rotary { limit: usize },
    /// Attention alone sees distances; up to `limit` tokens.
    Relative { limit: usize },
}

/// A table of relative positions, `2 * rows` of them, that are compared with content.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    pub(crate) rows: usize,
    /// Distances are buckets up to this one; without, each has a row.
    pub(crate) farthest: Option<usize>,
    /// The norm of the table's rows.
    pub(crate) norm: &'static str,
}

/// What one layer has of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LayerSpec {
    /// Whether there is a norm at the attention block.
    pub(crate) attention_norm: bool,
    /// A token sees those at most this far away; all without.
    pub(crate) reach: Option<usize>,
    /// The base of the rotation's frequencies.
    pub(crate) theta: Option<f32>,
}

/// Dropout rates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rates {
    pub(crate) embedding: f32,
    /// Of the attention weights.
    pub(crate) weights: f32,
    /// Of the attention block's output.
    pub(crate) attention: f32,
    /// Between the two maps of the feed-forward block.
    pub(crate) inner: f32,
    /// Of the feed-forward block's output.
    pub(crate) output: f32,
}

/// The parameters' names in checkpoints. Those that are absent tell what the family does not have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Names {
    /// The prefix of all names in a model that has a head.
    pub(crate) prefix: &'static str,
    pub(crate) words: &'static str,
    pub(crate) positions: &'static str,
    pub(crate) segments: &'static str,
    pub(crate) embedding_norm: &'static str,
    /// From the embeddings' width to the hidden states'.
    pub(crate) projection: &'static str,
    /// The table of relative positions.
    pub(crate) relative: &'static str,
    /// What precedes a layer's number; the names below follow it.
    pub(crate) layer: &'static str,
    /// Query, key and value, or the one matrix of all three.
    pub(crate) qkv: &'static [&'static str],
    pub(crate) out: &'static str,
    pub(crate) attention_norm: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    pub(crate) output_norm: &'static str,
    /// After the last layer of an encoder with norms first.
    pub(crate) final_norm: &'static str,
}

/// Dropout layers of a model by number: one after the embeddings, four per layer, then the head's.
pub(crate) fn site_of(layer: usize, place: u32) -> u32 {
    1 + layer as u32 * 4 + place
}

impl Spec {
    /// The width of one attention head.
    pub(crate) fn head_size(&self) -> usize {
        self.width / self.heads
    }

    /// Outputs of the feed-forward block's first map.
    pub(crate) fn up_width(&self) -> usize {
        if self.gated { 2 * self.inner } else { self.inner }
    }

    /// The longest input in tokens.
    pub(crate) fn longest(&self) -> usize {
        match self.positions {
            Positions::Table { rows, .. } => rows,
            Positions::Counted { rows, pad } => rows.saturating_sub(pad as usize + 1),
            Positions::Rotary { limit } | Positions::Relative { limit } => limit,
        }
    }

    /// The dropout layer at `place` of a layer; `None` if it drops nothing.
    pub(crate) fn site(&self, dropout: Option<Dropout>, layer: usize, place: u32, rate: f32) -> Option<Site<'static>> {
        dropout.and_then(|dropout| dropout.site(site_of(layer, place), rate))
    }

    /// That of a layer's attention weights, which has a row for each token and head.
    pub(crate) fn weights_site(&self, dropout: Option<Dropout>, layer: usize) -> Option<Site<'static>> {
        dropout?.attention_site(site_of(layer, WEIGHTS), self.rates.weights, self.heads)
    }

    /// The dropout layer after the embeddings.
    pub(crate) fn embedding_site(&self, dropout: Option<Dropout>) -> Option<Site<'static>> {
        dropout.and_then(|dropout| dropout.site(0, self.rates.embedding))
    }
}
