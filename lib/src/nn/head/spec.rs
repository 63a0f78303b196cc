//! What the heads of a family are made of, and the names of their parameters.

use crate::nn::{Activation, ClassifierPooling};

/// A map, an activation, and a norm in some heads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TransformSpec {
    pub(crate) dense: &'static str,
    pub(crate) dense_bias: bool,
    pub(crate) activation: Activation,
    /// Its name, and whether it has a bias.
    pub(crate) norm: Option<(&'static str, bool)>,
}

/// The masked-language-model head: a transform to the embeddings' width, then the word embeddings as
/// decoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MaskedLmSpec {
    pub(crate) transform: TransformSpec,
    /// The whole name of the decoder's bias.
    pub(crate) bias: Option<&'static str>,
    /// The name that the same bias may have in a checkpoint.
    pub(crate) bias_alias: &'static str,
    /// The whole name of the decoder's weight, which is the word embeddings again.
    pub(crate) decoder: &'static str,
}

/// The classification head: pooling, dropout, a transform, dropout, the map to the labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ClassifierSpec {
    pub(crate) pooling: ClassifierPooling,
    /// Of the pooled row.
    pub(crate) dropout_before: f32,
    pub(crate) transform: TransformSpec,
    /// Behind the transform.
    pub(crate) dropout: f32,
    pub(crate) out: &'static str,
}
