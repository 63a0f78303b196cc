//! The parameters of a BERT encoder in the order of the table.

use std::ops::Range;

use super::{BertConfig, Parameters};

/// Where the parameters lie in the table.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) words: Range<usize>,
    pub(super) positions: Range<usize>,
    pub(super) segments: Range<usize>,
    pub(super) norm: [Range<usize>; 2],
    pub(super) layers: Vec<LayerLayout>,
}

/// Weight and bias of each linear map, gamma and beta of each norm. Query, key and value follow each
/// other in the table, so that they are one matrix `(3H, H)`.
#[derive(Debug, Clone)]
pub(super) struct LayerLayout {
    pub(super) qkv: [Range<usize>; 2],
    pub(super) out: [Range<usize>; 2],
    pub(super) attention_norm: [Range<usize>; 2],
    pub(super) up: [Range<usize>; 2],
    pub(super) down: [Range<usize>; 2],
    pub(super) output_norm: [Range<usize>; 2],
}

/// The table, zero, and where each parameter lies in it.
pub(super) fn lay_out(config: &BertConfig) -> (Parameters, Layout) {
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let mut table = Parameters::default();
    let mut embeddings = |part: &str, rows| table.push(format!("embeddings.{part}.weight"), &[rows, width], true);
    let words = embeddings("word_embeddings", config.vocab_size);
    let positions = embeddings("position_embeddings", config.max_position_embeddings);
    let segments = embeddings("token_type_embeddings", config.type_vocab_size);
    let norm = push_norm(&mut table, "embeddings.LayerNorm", width);
    let layers = (0..config.num_hidden_layers).map(|layer| push_layer(&mut table, layer, width, inner)).collect();
    (table, Layout { words, positions, segments, norm, layers })
}

fn push_layer(table: &mut Parameters, layer: usize, width: usize, inner: usize) -> LayerLayout {
    let name = |part: &str| format!("encoder.layer.{layer}.{part}");
    let projections = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
    let weights = projections.each_ref().map(|name| table.push(format!("{name}.weight"), &[width, width], true));
    let biases = projections.each_ref().map(|name| table.push(format!("{name}.bias"), &[width], false));
    LayerLayout {
        qkv: [weights[0].start..weights[2].end, biases[0].start..biases[2].end],
        out: push_linear(table, &name("attention.output.dense"), width, width),
        attention_norm: push_norm(table, &name("attention.output.LayerNorm"), width),
        up: push_linear(table, &name("intermediate.dense"), inner, width),
        down: push_linear(table, &name("output.dense"), width, inner),
        output_norm: push_norm(table, &name("output.LayerNorm"), width),
    }
}

fn push_linear(table: &mut Parameters, name: &str, outputs: usize, inputs: usize) -> [Range<usize>; 2] {
    let weight = table.push(format!("{name}.weight"), &[outputs, inputs], true);
    [weight, table.push(format!("{name}.bias"), &[outputs], false)]
}

fn push_norm(table: &mut Parameters, name: &str, width: usize) -> [Range<usize>; 2] {
    let gamma = table.push(format!("{name}.weight"), &[width], false);
    [gamma, table.push(format!("{name}.bias"), &[width], false)]
}
