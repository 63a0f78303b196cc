//! The model in training: candle's gradient of the head, then the encoder's own.

use candle_core::{Device, Tensor, Var};

use super::{CustomConfig, CustomModel, HEAD};
use crate::loss::Scoring;
use crate::model::interface::{HeadInputs, check_length, with_encoder};
use crate::model::{Front, Model, Outputs, Part, Role, Tokens};
use crate::nn::{Activations, PackedBatch, Read};
use crate::{Error, Result};

/// What the backward pass needs: candle's graph from these to the outputs.
struct Kept {
    states: Var,
    parameters: Vec<(String, Var)>,
    outputs: Tensor,
}

impl Model for CustomModel {
    fn tokenize(&self, columns: &[Vec<&str>]) -> Result<Tokens> {
        Tokens::of_texts(columns, |texts, role| self.encodings(texts, role))
    }

    fn front(&self) -> Option<Front> {
        let (config, tokenizer) = (self.config.clone(), self.tokenizer.apart());
        let encode = move |texts: &[&str], role: Role| config.encodings(&tokenizer, texts, role);
        Some(Box::new(move |columns| Tokens::of_texts(columns, &encode)))
    }

    fn forward(&self, part: &Part, activations: &mut Activations) -> Result<Outputs> {
        self.encoder.forward_for(Read::All, &part.batch, activations, None)?;
        let states = Var::from_tensor(&self.states(&part.batch, activations)?)?;
        let parameters: Vec<(String, Var)> = self
            .head_parameters()?
            .into_iter()
            .map(|(name, value)| Ok((name, Var::from_tensor(&value)?)))
            .collect::<Result<_>>()?;
        let own: Vec<(String, Tensor)> =
            parameters.iter().map(|(name, value)| (name.clone(), value.as_tensor().clone())).collect();
        let outputs = self.head_outputs(&states, &part.batch.bounds, &own)?;
        let values = outputs.flatten_all()?.to_vec1()?;
        let rows = Outputs::rows(values, Kept { states, parameters, outputs });
        Ok(if self.shape.1 { Outputs { bounds: part.batch.bounds.clone(), ..rows } } else { rows })
    }

    fn backward(
        &mut self,
        part: &Part,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &[f32],
    ) -> Result<()> {
        let Kept { states, parameters, outputs: made } = outputs.kept::<Kept>()?;
        check_length("numbers of their gradient", gradient.len(), made.elem_count())?;
        if part.batch.tokens() == 0 {
            return Ok(());
        }
        let gradient = Tensor::from_slice(gradient, made.dims(), &Device::Cpu)?;
        let gradients = (made * gradient)?.sum_all()?.backward()?;
        for (name, variable) in parameters {
            let name = format!("{HEAD}.{name}");
            let Some(gradient) = gradients.get(variable) else {
                return Err(Error::MissingGradient { parameter: name });
            };
            let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
            let sums = self.encoder.parameters_mut().grad_mut(&name)?;
            sums.iter_mut().zip(gradient).for_each(|(sum, part)| *sum += part);
        }
        let d_states = gradients.get(states).ok_or(Error::DetachedHead)?;
        let mut d_hidden = std::mem::take(activations.d_hidden());
        d_hidden.clear();
        d_hidden.extend(d_states.flatten_all()?.to_vec1::<f32>()?);
        let done = self.encoder.backward(&part.batch, activations, &d_hidden);
        *activations.d_hidden() = d_hidden;
        done
    }

    fn width(&self) -> usize {
        self.dim()
    }

    fn scoring(&self) -> Scoring {
        match self.shape.1 {
            true => Scoring::Tokens(self.config.interaction),
            false => Scoring::Vectors(self.config.similarity),
        }
    }

    fn max_length(&self) -> usize {
        self.config.max_length
    }

    fn cancels(&self, parameter: &str) -> bool {
        self.encoder().cancels(parameter)
    }

    fn head_inputs(&self, part: &Part, activations: &mut Activations) -> Result<Option<HeadInputs>> {
        self.encoder.forward_for(Read::All, &part.batch, activations, None)?;
        let (states, bounds) = (self.states(&part.batch, activations)?, part.batch.bounds.clone());
        Ok(Some(HeadInputs { head: self.head.clone(), states, bounds, parameters: self.head_parameters()? }))
    }

    fn load_from(&self, dir: &std::path::Path) -> Result<Box<dyn Model>> {
        Ok(Box::new(Self::load(dir, self.head.clone())?))
    }

    with_encoder!(CustomConfig { encode_tokens: 0 }; loads itself);
}

impl CustomModel {
    /// The hidden states of a forward pass `(T, H)`.
    pub(super) fn states(&self, batch: &PackedBatch, activations: &Activations) -> Result<Tensor> {
        let shape = (batch.tokens(), self.encoder.config().hidden_size());
        Ok(Tensor::from_slice(activations.hidden(), shape, &Device::Cpu)?)
    }
}
