//! The parameters of an encoder in the order of the table.

use std::ops::Range;

use super::Parameters;
use super::blocks::norm::Norm;
use super::spec::{Positions, Spec};
use super::trainable::Trained;

/// Where the parameters lie in the table.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) words: Range<usize>,
    pub(crate) positions: Option<Range<usize>>,
    pub(crate) segments: Option<Range<usize>>,
    pub(crate) norm: ParamRange,
    pub(crate) projection: Option<ParamRange>,
    pub(crate) relative: Option<Range<usize>>,
    pub(crate) span: Option<SpanLayout>,
    pub(crate) layers: Vec<LayerLayout>,
    pub(crate) final_norm: Option<ParamRange>,
}

/// Relative positions that are compared with content.
#[derive(Debug, Clone)]
pub(crate) struct SpanLayout {
    pub(crate) table: Range<usize>,
    pub(crate) norm: ParamRange,
}

/// Query, key and value follow each other in the table, so that they are one matrix `(3H, H)`.
#[derive(Debug, Clone)]
pub(crate) struct LayerLayout {
    pub(crate) qkv: ParamRange,
    pub(crate) out: ParamRange,
    pub(crate) attention_norm: Option<ParamRange>,
    pub(crate) up: ParamRange,
    pub(crate) down: ParamRange,
    pub(crate) output_norm: ParamRange,
}

/// Weight and bias of a linear map, or gamma and beta of a norm: the second follows the first.
#[derive(Debug, Clone)]
pub(crate) struct ParamRange {
    weight: Range<usize>,
    bias: Option<Range<usize>>,
}

impl Layout {
    /// The lowest layer that a gradient has to go back through; their number if it is none.
    pub(crate) fn lowest(&self, trained: &Trained) -> usize {
        let through = |layer: &LayerLayout| trained.any(0..layer.output_norm.range().end);
        let shared = self.relative.iter().chain(self.span.iter().map(|span| &span.table)).cloned();
        let mut shared = shared.chain(self.span.iter().map(|span| span.norm.range()));
        match shared.any(|part| trained.any(part)) {
            // Every layer has a part in its gradient.
            true => 0,
            false => self.layers.iter().position(through).unwrap_or(self.layers.len()),
        }
    }

    /// Whether anything below the layers is trained.
    pub(crate) fn trains_embeddings(&self, trained: &Trained) -> bool {
        trained.any(0..self.layers.first().map_or(usize::MAX, |layer| layer.qkv.range().start))
    }
}

/// The table, without memory yet, and where each parameter lies in it.
pub(crate) fn lay_out(spec: &Spec) -> (Parameters, Layout) {
    let Spec { names, width, embedding, .. } = spec;
    let mut table = Parameters::default();
    let words = push_table(&mut table, names.words, spec.vocab, *embedding);
    let positions = match spec.positions {
        Positions::Table { rows, .. } | Positions::Counted { rows, .. } => {
            Some(push_table(&mut table, names.positions, rows, *embedding))
        }
        Positions::Rotary { .. } | Positions::Relative { .. } => None,
    };
    let segments = (spec.segments > 0).then(|| push_table(&mut table, names.segments, spec.segments, *embedding));
    let norm = ParamRange::norm(&mut table, names.embedding_norm, *embedding, spec.biases.norm);
    let projection =
        (embedding != width).then(|| ParamRange::linear(&mut table, names.projection, [*width, *embedding], true));
    let layers = (0..spec.layers.len()).map(|layer| push_layer(&mut table, spec, layer)).collect();
    // A bias by name and nature, so no weight decay.
    let relative = (spec.buckets > 0)
        .then(|| table.outline(format!("{}.weight", names.relative), &[spec.buckets, spec.heads], false));
    let span = spec.span.map(|span| SpanLayout {
        table: push_table(&mut table, names.relative, span.rows.saturating_mul(2), *width),
        norm: ParamRange::norm(&mut table, span.norm, *width, true),
    });
    let final_norm = spec.norm_first.then(|| ParamRange::norm(&mut table, names.final_norm, *width, spec.biases.norm));
    (table, Layout { words, positions, segments, norm, projection, relative, span, layers, final_norm })
}

fn push_layer(table: &mut Parameters, spec: &Spec, layer: usize) -> LayerLayout {
    let Spec { names, width, inner, biases, .. } = spec;
    let name = |part: &str| format!("{}.{layer}.{part}", names.layer);
    let rows = 3 * width / names.qkv.len();
    let weights: Vec<_> =
        names.qkv.iter().map(|part| table.outline(format!("{}.weight", name(part)), &[rows, *width], true)).collect();
    let qkv_biases: Vec<_> = (names.qkv.iter().filter(|_| biases.attention))
        .map(|part| table.outline(format!("{}.bias", name(part)), &[rows], false))
        .collect();
    LayerLayout {
        qkv: ParamRange { weight: joined(&weights).unwrap_or_default(), bias: joined(&qkv_biases) },
        out: ParamRange::linear(table, &name(names.out), [*width, *width], biases.attention),
        attention_norm: spec.layers[layer]
            .attention_norm
            .then(|| ParamRange::norm(table, &name(names.attention_norm), *width, biases.norm)),
        up: ParamRange::linear(table, &name(names.up), [spec.up_width(), *width], biases.feed_forward),
        down: ParamRange::linear(table, &name(names.down), [*width, *inner], biases.feed_forward),
        output_norm: ParamRange::norm(table, &name(names.output_norm), *width, biases.norm),
    }
}

fn push_table(table: &mut Parameters, name: &str, rows: usize, width: usize) -> Range<usize> {
    table.outline(format!("{name}.weight"), &[rows, width], true)
}

/// One range of several that follow each other.
fn joined(ranges: &[Range<usize>]) -> Option<Range<usize>> {
    Some(ranges.first()?.start..ranges.last()?.end)
}

impl ParamRange {
    /// Appends a linear map `(outputs, inputs)`.
    pub(crate) fn linear(table: &mut Parameters, name: &str, shape: [usize; 2], bias: bool) -> Self {
        let weight = table.outline(format!("{name}.weight"), &shape, true);
        Self { weight, bias: bias.then(|| table.outline(format!("{name}.bias"), &shape[..1], false)) }
    }

    /// Appends a norm.
    pub(crate) fn norm(table: &mut Parameters, name: &str, width: usize, bias: bool) -> Self {
        let weight = table.outline(format!("{name}.weight"), &[width], false);
        Self { weight, bias: bias.then(|| table.outline(format!("{name}.bias"), &[width], false)) }
    }

    pub(crate) fn range_of_weight(&self) -> Range<usize> {
        self.weight.clone()
    }

    /// The same in a table without the first `count` numbers.
    pub(crate) fn without(&self, count: usize) -> Self {
        let moved = |range: &Range<usize>| range.start - count..range.end - count;
        Self { weight: moved(&self.weight), bias: self.bias.as_ref().map(moved) }
    }

    /// Both of them.
    pub(crate) fn range(&self) -> Range<usize> {
        self.weight.start..self.bias.as_ref().unwrap_or(&self.weight).end
    }

    pub(crate) fn weight_range(&self) -> Range<usize> {
        self.weight.clone()
    }

    pub(crate) fn weight<'a>(&self, values: &'a [f32]) -> &'a [f32] {
        &values[self.weight.clone()]
    }

    pub(crate) fn bias<'a>(&self, values: &'a [f32]) -> Option<&'a [f32]> {
        Some(&values[self.bias.clone()?])
    }

    /// As the weights of a norm.
    pub(crate) fn as_norm<'a>(&self, values: &'a [f32], eps: f32) -> Norm<'a> {
        Norm { gamma: self.weight(values), beta: self.bias(values), eps }
    }

    /// The gradients of weight and bias, of each if it is trained.
    pub(crate) fn trained_grads<'a>(
        &self,
        grads: &'a mut [f32],
        trained: &Trained,
    ) -> (Option<&'a mut [f32]>, Option<&'a mut [f32]>) {
        let is_trained = |part: &Range<usize>| trained.any(part.clone());
        let [weight, bias] = [is_trained(&self.weight), self.bias.as_ref().is_some_and(is_trained)];
        if !weight && !bias {
            // There may be no gradients at all.
            return (None, None);
        }
        let (d_weight, d_bias) = self.grads(grads);
        (weight.then_some(d_weight), d_bias.filter(|_| bias))
    }

    /// The gradients of weight and bias.
    pub(crate) fn grads<'a>(&self, grads: &'a mut [f32]) -> (&'a mut [f32], Option<&'a mut [f32]>) {
        match &self.bias {
            None => (&mut grads[self.weight.clone()], None),
            Some(bias) => {
                let (weight, bias) = grads[self.weight.start..bias.end].split_at_mut(self.weight.len());
                (weight, Some(bias))
            }
        }
    }
}
