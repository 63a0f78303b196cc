//! The bi-encoder in training.

use std::borrow::Cow;

use super::{BiEncoder, BiEncoderConfig, Precision, Role};
use crate::Result;
use crate::loss::Scoring;
use crate::model::interface::{check_length, with_encoder};
use crate::model::pooling::Pooled;
use crate::model::{Model, Outputs, Part, Tokens};
use crate::nn::{Activations, KeptModules, PackedBatch, normalize_rows, normalize_rows_backward};

/// What the backward pass needs.
pub(super) struct Kept {
    pooled: Pooled,
    modules: KeptModules,
    /// The lengths of the vectors before they were scaled to 1, if they were.
    lengths: Vec<f32>,
}

impl Model for BiEncoder {
    fn tokenize(&self, columns: &[Vec<&str>]) -> Result<Tokens> {
        let mut tokens = Tokens::default();
        for (column, texts) in columns.iter().enumerate() {
            let encodings = self.encodings(texts, Role::of_column(column))?;
            tokens.truncated += encodings.truncated;
            tokens.columns.push(PackedBatch::new(encodings.ids));
        }
        Ok(tokens)
    }

    fn forward(&self, part: &Part, activations: &mut Activations) -> Result<Outputs> {
        let skip = self.skipped(part)?;
        self.encoder.forward_for(self.config.pooling.read(), &part.batch, activations, None)?;
        let (vectors, kept) = self.pool(&part.batch, &skip, activations);
        Ok(Outputs::rows(vectors, kept))
    }

    fn backward(
        &mut self,
        part: &Part,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &[f32],
    ) -> Result<()> {
        let (skip, dim) = (self.skipped(part)?, self.whole_dim());
        let size = part.batch.sequences() * dim;
        check_length("numbers of the vectors", outputs.values.len(), size)?;
        check_length("numbers of their gradient", gradient.len(), size)?;
        let Kept { pooled, modules, lengths } = outputs.kept::<Kept>()?;
        let mut gradient = Cow::Borrowed(gradient);
        if self.config.normalize {
            gradient = Cow::Owned(normalize_rows_backward(&outputs.values, lengths, &gradient, dim));
        }
        if !modules.is_empty() {
            gradient = Cow::Owned(self.modules.backward(self.encoder.parameters_mut(), modules, &gradient));
        }
        if part.batch.tokens() == 0 {
            return Ok(());
        }
        let mut d_hidden = std::mem::take(activations.d_hidden());
        self.config.pooling.backward(pooled, &gradient, &part.batch, &skip, &mut d_hidden);
        let done = self.encoder.backward(&part.batch, activations, &d_hidden);
        *activations.d_hidden() = d_hidden;
        done
    }

    fn width(&self) -> usize {
        self.whole_dim()
    }

    fn scoring(&self) -> Scoring {
        Scoring::Vectors(self.config.similarity)
    }

    fn unit(&self) -> bool {
        self.config.normalize
    }

    fn max_length(&self) -> usize {
        self.config.max_length
    }

    fn cancels(&self, parameter: &str) -> bool {
        self.encoder().cancels(parameter)
    }

    with_encoder!(BiEncoderConfig { encode_tokens: 0, precision: Precision::default(), truncate_dim: None });
}

impl BiEncoder {
    /// How many tokens at the start of each sequence a mean leaves out.
    fn skipped(&self, part: &Part) -> Result<Vec<usize>> {
        check_length("columns of the sequences", part.columns.len(), part.batch.sequences())?;
        Ok(part.columns.iter().map(|column| self.prompt_tokens(Role::of_column(*column))).collect())
    }

    /// The vectors of a batch, from the hidden states of its forward pass.
    pub(super) fn pool(&self, batch: &PackedBatch, skip: &[usize], activations: &Activations) -> (Vec<f32>, Kept) {
        let width = self.encoder.config().hidden_size();
        let (vectors, pooled) = self.config.pooling.forward(activations.hidden(), width, batch, skip);
        let (mut vectors, modules) = self.modules.forward(self.encoder.parameters(), vectors);
        let lengths = if self.config.normalize { normalize_rows(&mut vectors, self.whole_dim()) } else { Vec::new() };
        (vectors, Kept { pooled, modules, lengths })
    }
}
