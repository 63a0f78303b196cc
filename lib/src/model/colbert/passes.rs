//! The late-interaction model in training.

use super::{ColBert, ColBertConfig, Rows, TokenPooling};
use crate::Result;
use crate::loss::Scoring;
use crate::model::interface::{check_length, with_encoder};
use crate::model::{Front, Model, Outputs, Part, Role, Tokens};
use crate::nn::{Activations, normalize_rows_backward};

/// What the backward pass needs.
struct Kept {
    /// The tokens that have a row.
    tokens: Vec<usize>,
    /// The lengths of the rows before they were scaled to 1.
    lengths: Vec<f32>,
}

impl Model for ColBert {
    fn tokenize(&self, columns: &[Vec<&str>]) -> Result<Tokens> {
        self.ids.columns(columns, &self.config, &self.tokenizer)
    }

    fn front(&self) -> Option<Front> {
        let (ids, config, tokenizer) = (self.ids.clone(), self.config.clone(), self.tokenizer.apart());
        Some(Box::new(move |columns| ids.columns(columns, &config, &tokenizer)))
    }

    fn forward(&self, part: &Part, activations: &mut Activations) -> Result<Outputs> {
        check_length("columns of the sequences", part.columns.len(), part.batch.sequences())?;
        let queries = |sequence: usize| is_query(part.columns[sequence]);
        let Rows { values, bounds, tokens, lengths } = self.rows(&part.batch, queries, activations)?;
        Ok(Outputs { bounds, ..Outputs::rows(values, Kept { tokens, lengths }) })
    }

    fn backward(
        &mut self,
        part: &Part,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &[f32],
    ) -> Result<()> {
        let (Kept { tokens, lengths }, dim) = (outputs.kept::<Kept>()?, self.dim());
        check_length("numbers of the vectors", outputs.values.len(), tokens.len() * dim)?;
        check_length("numbers of their gradient", gradient.len(), tokens.len() * dim)?;
        if part.batch.tokens() == 0 {
            return Ok(());
        }
        let gradient = normalize_rows_backward(&outputs.values, lengths, gradient, dim);
        let mut d_hidden = std::mem::take(activations.d_hidden());
        let parameters = self.encoder.parameters_mut();
        self.projection.backward(parameters, tokens, &gradient, activations, &mut d_hidden);
        let done = self.encoder.backward(&part.batch, activations, &d_hidden);
        *activations.d_hidden() = d_hidden;
        done
    }

    fn width(&self) -> usize {
        self.dim()
    }

    fn scoring(&self) -> Scoring {
        Scoring::Tokens(self.config.interaction)
    }

    fn unit(&self) -> bool {
        true
    }

    fn max_length(&self) -> usize {
        self.config.query_length.max(self.config.doc_length)
    }

    fn limits(&self) -> String {
        let ColBertConfig { query_length, doc_length, .. } = &self.config;
        format!("query_length = {query_length} or doc_length = {doc_length} tokens")
    }

    fn cancels(&self, parameter: &str) -> bool {
        self.encoder().cancels(parameter)
    }

    with_encoder!(ColBertConfig { encode_tokens: 0, token_pooling: TokenPooling::default() });
}

pub(super) fn is_query(column: usize) -> bool {
    Role::of_column(column) == Role::Query
}
