//! GradCache: a batch that passes through the encoder part by part.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::TokenBatch;
use crate::model::{self, HeadInputs, Model, Outputs};
use crate::nn::{Activations, Dropout, PackedBatch};
use crate::{Result, interrupt};

/// How much of a batch passes through the encoder at a time.
///
/// Activations are most of what a training step holds, and they grow with the batch; the embeddings, which
/// are all that a loss sees, are small. So (Gao et al. 2021, "Scaling deep contrastive learning batch size
/// under memory limited setup"): encode the batch part by part and keep the embeddings alone, compute the loss
/// once on all of them, then encode each part again, now with its activations, and take its share of
/// `dLoss/dE` back through it. The gradient is that of the whole batch, in-batch negatives and dropout
/// included: the second pass draws the masks of the first. It costs a second forward pass, about a third
/// more time.
///
/// ```
/// use kensaku::train::{MicroBatch, TrainConfig};
/// let config = TrainConfig { batch_size: 4_096, micro_batch: Some(MicroBatch::Tokens(8_192)), ..Default::default() };
/// # let _ = config;
/// ```
#[doc(alias = "GradCache")]
#[doc(alias = "CachedMultipleNegativesRankingLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MicroBatch {
    /// This many texts.
    Texts(usize),
    /// As many texts as have together at most this many tokens, but at least one: this bounds memory whatever the
    /// texts are.
    #[doc(alias = "mini_batch_num_tokens")]
    Tokens(usize),
}

impl MicroBatch {
    pub(super) fn size(self) -> usize {
        match self {
            Self::Texts(size) | Self::Tokens(size) => size,
        }
    }
}

/// Sequences of a batch that pass through the encoder together.
pub(super) struct Part {
    own: model::Part,
    /// The number of its first token in the whole batch.
    first_token: usize,
    /// Which sequences of the batch it holds, columns one after the other.
    sequences: Range<usize>,
}

/// Cuts a batch, in its order, into parts of at most `size`.
pub(super) fn parts(batch: &TokenBatch, size: Option<MicroBatch>) -> Vec<Part> {
    let all = PackedBatch::concat(&batch.columns);
    let columns = batch.columns.iter().enumerate();
    let columns: Vec<usize> = columns.flat_map(|(index, column)| vec![index; column.sequences()]).collect();
    let lengths: Vec<usize> = all.lengths().collect();
    let part = |sequences: Range<usize>| Part {
        own: model::Part { batch: all.slice(sequences.clone()), columns: columns[sequences.clone()].to_vec() },
        first_token: all.bounds[sequences.start],
        sequences,
    };
    cut(&lengths, size).into_iter().map(part).collect()
}

/// The outputs of all sequences: nothing else is kept.
pub(super) fn embed(
    model: &dyn Model,
    parts: &[Part],
    dropout: Option<Dropout>,
    activations: &mut Activations,
) -> Result<Outputs> {
    let mut outputs = Outputs::default();
    for part in parts {
        interrupt::check("training")?;
        outputs.extend(part.forward(model, dropout, activations)?);
    }
    Ok(outputs)
}

impl Part {
    /// The outputs of its sequences, with the masks that the whole batch draws for them.
    pub(super) fn forward(
        &self,
        model: &dyn Model,
        dropout: Option<Dropout>,
        activations: &mut Activations,
    ) -> Result<Outputs> {
        activations.set_dropout(dropout.map(|dropout| dropout.after(self.first_token)));
        model.forward(&self.own, activations)
    }

    /// What a head that is a closure sees of it.
    pub(super) fn head_inputs(&self, model: &dyn Model, activations: &mut Activations) -> Result<Option<HeadInputs>> {
        model.head_inputs(&self.own, activations)
    }

    /// The same as [`Part::backward`] of a part that is the whole batch, whose gradient may have rows of other layers, too.
    pub(super) fn backward_whole(
        &self,
        model: &mut dyn Model,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &Gradient,
    ) -> Result<()> {
        model.backward(&self.own, activations, outputs, &gradient.values)
    }

    /// Adds the gradient of the parameters, from that of the whole batch's outputs.
    pub(super) fn backward(
        &self,
        model: &mut dyn Model,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &Gradient,
    ) -> Result<()> {
        let width = model.width();
        let [start, end] = [self.sequences.start, self.sequences.end].map(|sequence| gradient.row(sequence) * width);
        model.backward(&self.own, activations, outputs, &gradient.values[start..end])
    }
}

/// The gradient of the outputs of a whole batch.
pub(super) struct Gradient {
    /// As [`Outputs::values`] and [`Outputs::bounds`].
    pub(super) values: Vec<f32>,
    pub(super) bounds: Vec<usize>,
}

impl Gradient {
    fn row(&self, sequence: usize) -> usize {
        self.bounds.get(sequence).copied().unwrap_or(sequence)
    }
}

/// Ranges of neighbours of at most `size`, at least one text each.
fn cut(lengths: &[usize], size: Option<MicroBatch>) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (text, length) in lengths.iter().enumerate() {
        let full = match size {
            None => false,
            Some(MicroBatch::Texts(most)) => text - start >= most,
            Some(MicroBatch::Tokens(most)) => tokens + length > most,
        };
        if full && text > start {
            ranges.push(start..text);
            (start, tokens) = (text, 0);
        }
        tokens += length;
    }
    if start < lengths.len() {
        ranges.push(start..lengths.len());
    }
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_are_the_batch_in_order_and_within_the_budget(lengths in prop::collection::vec(0..9_usize, 0..40), most in 1..20_usize) {
            for size in [None, Some(MicroBatch::Texts(most)), Some(MicroBatch::Tokens(most))] {
                let ranges = cut(&lengths, size);
                let texts: Vec<usize> = ranges.iter().cloned().flatten().collect();
                prop_assert_eq!(texts, (0..lengths.len()).collect::<Vec<_>>());
                for range in ranges {
                    let tokens: usize = lengths[range.clone()].iter().sum();
                    let within = match size {
                        None => range.len() == lengths.len(),
                        Some(MicroBatch::Texts(most)) => range.len() <= most,
                        Some(MicroBatch::Tokens(most)) => tokens <= most || range.len() == 1,
                    };
                    prop_assert!(within);
                }
            }
        }
    }
}
