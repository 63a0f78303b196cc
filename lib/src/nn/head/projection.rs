//! The projection of hidden states: of late-interaction models.

use std::path::Path;

use crate::nn::blocks::linear;
use crate::nn::checkpoint::{self, Tensors};
use crate::nn::layout::ParamRange;
use crate::nn::{Activations, Encoder, Parameters};
use crate::{Error, Result};

/// A linear map without bias, `y = W x`, from hidden states `(.., H)` to vectors `(.., dim)`. Its weight follows the
/// encoder's parameters in the table.
#[derive(Debug, Clone)]
pub(crate) struct Projection {
    weight: ParamRange,
    dim: usize,
}

/// The name of its weight is `linear.weight`, as in the directory of a Dense module.
const NAME: &str = "linear";

impl Projection {
    /// Puts a new one on an encoder, drawn as the encoder's matrices.
    pub(crate) fn new(encoder: &mut Encoder, dim: usize, seed: u64) -> Result<Self> {
        let own = encoder.parameters().entries().len();
        let projection = Self::on(encoder, dim)?;
        encoder.draw(own, seed, |_| true);
        Ok(projection)
    }

    /// Puts that of a Dense module's directory on an encoder.
    pub(crate) fn load(encoder: &mut Encoder, dir: &Path) -> Result<Self> {
        let (tensors, weight) = (Tensors::open(dir)?, format!("{NAME}.weight"));
        let width = encoder.spec().width;
        let Some(&[dim, _]) = tensors.shape(&weight) else { return Err(tensors.missing(&weight, &[128, width])) };
        if let Some((_, other)) = tensors.names().find(|(name, _)| *name != weight) {
            return Err(Error::Model {
                path: dir.to_owned(),
                problem: format!("there is a tensor `{other}`"),
                expected: format!("`{weight}` alone"),
            });
        }
        tensors.holds(&weight, &[dim, width])?;
        let projection = Self::on(encoder, dim)?;
        tensors.read(&weight, encoder.parameters_mut().values_mut(&weight)?)?;
        Ok(projection)
    }

    /// Writes the weights of a Dense module's directory.
    pub(crate) fn save(&self, parameters: &Parameters, dir: &Path) -> Result<()> {
        let range = self.place(parameters).range();
        let entries = parameters.entries();
        let own =
            entries.iter().position(|entry| entry.range == range).map_or(&[][..], |index| &entries[index..=index]);
        checkpoint::write(dir, parameters, own, str::to_owned)
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// Of the hidden states of these tokens: vectors `(rows, dim)`.
    pub(crate) fn forward(&self, parameters: &Parameters, tokens: &[usize], activations: &mut Activations) -> Vec<f32> {
        let (width, rows) = (activations.width, tokens.len());
        let mut vectors = vec![0.0; rows * self.dim];
        let Activations { hidden, head, .. } = activations;
        head.input.resize(rows * width, 0.0);
        for (token, row) in tokens.iter().zip(head.input.chunks_exact_mut(width)) {
            row.copy_from_slice(&hidden[token * width..][..width]);
        }
        if rows > 0 {
            linear::forward(&mut vectors, &head.input, self.place(parameters).weight(&parameters.values), rows);
        }
        vectors
    }

    /// From the gradient of these vectors, after a forward pass with the same `activations`: adds that of the weight, and
    /// makes that of all hidden states in `d_hidden (T, H)`.
    pub(crate) fn backward(
        &self,
        parameters: &mut Parameters,
        tokens: &[usize],
        d_vectors: &[f32],
        activations: &mut Activations,
        d_hidden: &mut Vec<f32>,
    ) {
        let (width, rows) = (activations.width, tokens.len());
        d_hidden.clear();
        d_hidden.resize(activations.hidden().len(), 0.0);
        if rows == 0 {
            return;
        }
        let head = &mut activations.head;
        head.d_input.resize(rows * width, 0.0);
        let place = self.place(parameters);
        let (values, grads) = parameters.values_and_grads();
        linear::backward(d_vectors, &head.input, place.weight(values), rows, &mut head.d_input, place.grads(grads));
        for (token, row) in tokens.iter().zip(head.d_input.chunks_exact(width)) {
            d_hidden[token * width..][..width].copy_from_slice(row);
        }
    }

    /// Where the weight lies: beside adapters the encoder's parameters are not in the table.
    fn place(&self, parameters: &Parameters) -> ParamRange {
        self.weight.without(parameters.frozen())
    }

    fn on(encoder: &mut Encoder, dim: usize) -> Result<Self> {
        if dim == 0 {
            return Err(Error::Setting { field: "dim", value: "0".to_owned(), expected: "at least 1".to_owned() });
        }
        encoder.remove_head();
        let width = encoder.spec().width;
        let weight = ParamRange::linear(encoder.parameters_mut(), NAME, [dim, width], false);
        encoder.parameters_mut().allocate()?;
        Ok(Self { weight, dim })
    }
}
