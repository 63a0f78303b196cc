//! The SPLADE model in training.

use super::{Splade, SpladeConfig};
use crate::Result;
use crate::loss::{Scoring, Similarity};
use crate::model::interface::with_encoder;
use crate::model::{Model, Outputs, Part, Role, Tokens};
use crate::nn::{Activations, PackedBatch, Winners};

impl Model for Splade {
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
        let (weights, winners) =
            self.head.forward_words(self.config.pooling, self.saturation(), &part.batch, activations)?;
        Ok(Outputs::rows(weights, winners))
    }

    fn backward(
        &mut self,
        part: &Part,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &[f32],
    ) -> Result<()> {
        let kept = (outputs.values.as_slice(), outputs.kept::<Winners>()?);
        let way = (self.config.pooling, self.saturation());
        self.head.backward_words(way, &part.batch, activations, kept, gradient)
    }

    fn width(&self) -> usize {
        self.dim()
    }

    fn scoring(&self) -> Scoring {
        Scoring::Vectors(Similarity::Dot)
    }

    fn max_length(&self) -> usize {
        self.config.max_length
    }

    fn cancels(&self, parameter: &str) -> bool {
        self.encoder().cancels(parameter)
    }

    with_encoder!(SpladeConfig { encode_tokens: 0, max_active_dims: None });
}
