//! The same encoder in plain candle ops: slow, differentiable by candle's autograd, readable.
//!
//! It is the oracle for the gradients of [`Encoder`], and the place to try a change of the
//! model before its backward pass is written. It avoids the ops of candle-nn that cut gradients
//! without a word (its `LayerNorm`, `softmax_last_dim`).

mod attention;
mod head;
mod ops;

use candle_core::{Device, Tensor, Var};

use super::layer::{ATTENTION, FEED_FORWARD, INNER};
use super::spec::{Positions, Spec};
use super::{Dropout, Encoder, EncoderConfig, PackedBatch};
use crate::{Error, Result};
use ops::{activate, drop};

/// A copy of an encoder, and of the head it may have, whose parameters are candle variables.
pub struct Reference {
    config: EncoderConfig,
    spec: Spec,
    parameters: Vec<(String, Var)>,
}

impl Reference {
    /// Copies the parameters.
    pub fn new(encoder: &Encoder) -> Result<Self> {
        let encoder = &*encoder.merged();
        let copy = |name: &str| Ok((name.to_owned(), Var::from_tensor(&encoder.parameters().tensor(name)?)?));
        let parameters = encoder.parameters().entries().iter().map(|entry| copy(&entry.name)).collect::<Result<_>>()?;
        Ok(Self { config: encoder.config().clone(), spec: encoder.spec().clone(), parameters })
    }

    /// Name and variable of every parameter, in the order of the table.
    pub fn parameters(&self) -> &[(String, Var)] {
        &self.parameters
    }

    /// The hidden states `(T, H)` of a batch, with the masks that the engine draws for `dropout`.
    pub fn forward(&self, batch: &PackedBatch, dropout: Option<Dropout>) -> Result<Tensor> {
        batch.check()?;
        let Spec { names, layers, rates, .. } = &self.spec;
        let positions = self.positions(batch);
        let mut hidden = self.embed(batch, &positions, dropout)?;
        for (layer, own) in layers.iter().enumerate() {
            let name = |part: &str| format!("{}.{layer}.{part}", names.layer);
            let site = |place, rate| self.spec.site(dropout, layer, place, rate);
            let residual = hidden.clone();
            if self.spec.norm_first && own.attention_norm {
                hidden = self.norm(&name(names.attention_norm), &hidden)?;
            }
            let context = self.attention(layer, &hidden, batch, &positions, dropout)?;
            let out = self.linear(&name(names.out), &context)?;
            hidden = (drop(&out, site(ATTENTION, rates.attention))? + residual)?;
            if !self.spec.norm_first {
                hidden = self.norm(&name(names.attention_norm), &hidden)?;
            }

            let residual = hidden.clone();
            if self.spec.norm_first {
                hidden = self.norm(&name(names.output_norm), &hidden)?;
            }
            let inner = self.activate(&self.linear(&name(names.up), &hidden)?)?;
            let out = self.linear(&name(names.down), &drop(&inner, site(INNER, rates.inner))?)?;
            hidden = (drop(&out, site(FEED_FORWARD, rates.output))? + residual)?;
            if !self.spec.norm_first {
                hidden = self.norm(&name(names.output_norm), &hidden)?;
            }
        }
        if self.spec.norm_first { self.norm(names.final_norm, &hidden) } else { Ok(hidden) }
    }

    fn embed(&self, batch: &PackedBatch, positions: &[u32], dropout: Option<Dropout>) -> Result<Tensor> {
        let names = &self.spec.names;
        let look_up = |table: &str, ids: &[u32]| -> Result<Tensor> {
            let ids = Tensor::new(ids, &Device::Cpu)?;
            Ok(self.get(&format!("{table}.weight"))?.index_select(&ids, 0)?)
        };
        let mut sum = look_up(names.words, &batch.ids)?;
        if !matches!(self.spec.positions, Positions::Rotary { .. } | Positions::Relative { .. }) {
            sum = (sum + look_up(names.positions, positions)?)?;
        }
        if self.spec.segments > 0 {
            sum = (sum + look_up(names.segments, &batch.token_types)?)?;
        }
        let embedded = drop(&self.norm(names.embedding_norm, &sum)?, self.spec.embedding_site(dropout))?;
        if self.spec.embedding == self.spec.width { Ok(embedded) } else { self.linear(names.projection, &embedded) }
    }

    fn activate(&self, x: &Tensor) -> Result<Tensor> {
        if !self.spec.gated {
            return activate(x, self.spec.activation);
        }
        let inner = self.spec.inner;
        let (x, gate) = (x.narrow(1, 0, inner)?, x.narrow(1, inner, inner)?);
        Ok((activate(&x.contiguous()?, self.spec.activation)? * gate)?)
    }

    /// The row of the position table that each token takes; where padding has a row, by RoBERTa's formula:
    /// `cumsum(id != pad) * (id != pad) + pad`.
    fn positions(&self, batch: &PackedBatch) -> Vec<u32> {
        let Positions::Counted { pad, .. } = self.spec.positions else { return batch.positions.clone() };
        let counted = |range: std::ops::Range<usize>| {
            let mask: Vec<u32> = batch.ids[range].iter().map(|id| u32::from(*id != pad)).collect();
            (0..mask.len()).map(move |token| mask[..=token].iter().sum::<u32>() * mask[token] + pad)
        };
        batch.ranges().flat_map(counted).collect()
    }

    /// `x Wᵀ + b`, where there is a bias.
    fn linear(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let product = x.matmul(&self.get(&format!("{name}.weight"))?.t()?)?;
        match self.find(&format!("{name}.bias")) {
            Some(bias) => Ok(product.broadcast_add(bias)?),
            None => Ok(product),
        }
    }

    fn norm(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let (gamma, beta) = (self.get(&format!("{name}.weight"))?, self.find(&format!("{name}.bias")));
        ops::norm(x, gamma, beta, self.spec.eps)
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        self.find(name).ok_or_else(|| Error::MissingGradient { parameter: name.to_owned() })
    }

    fn find(&self, name: &str) -> Option<&Tensor> {
        self.parameters.iter().find(|(other, _)| other == name).map(|(_, var)| var.as_tensor())
    }
}
