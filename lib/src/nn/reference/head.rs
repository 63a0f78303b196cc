//! The heads of the slow reference.

use candle_core::{Device, Tensor};

use super::Reference;
use super::ops::{activate, drop};
use crate::Result;
use crate::nn::head::head_site;
use crate::nn::head::spec::TransformSpec;
use crate::nn::{ClassifierPooling, Dropout, PackedBatch};

impl Reference {
    /// The scores `(n, vocab_size)` of a [`MaskedLm`](crate::nn::MaskedLm) at some tokens.
    pub fn masked_lm(&self, batch: &PackedBatch, tokens: &[usize], dropout: Option<Dropout>) -> Result<Tensor> {
        let spec = self.config.masked_lm();
        let tokens: Vec<u32> = tokens.iter().map(|token| *token as u32).collect();
        let rows = self.forward(batch, dropout)?.index_select(&Tensor::new(tokens, &Device::Cpu)?, 0)?;
        let output = self.transform(&rows, &spec.transform)?;
        let words = self.get(&format!("{}.weight", self.spec.names.words))?;
        let logits = output.matmul(&words.t()?)?;
        Ok(match spec.bias {
            Some(bias) => logits.broadcast_add(self.get(bias)?)?,
            None => logits,
        })
    }

    /// The scores `(B, labels)` of a [`Classifier`](crate::nn::Classifier).
    pub fn classifier(&self, batch: &PackedBatch, dropout: Option<Dropout>) -> Result<Tensor> {
        let spec = self.config.classifier();
        let hidden = self.forward(batch, dropout)?;
        let pool = |range: std::ops::Range<usize>| -> Result<Tensor> {
            Ok(match spec.pooling {
                ClassifierPooling::Cls => hidden.narrow(0, range.start, 1)?,
                ClassifierPooling::Mean => hidden.narrow(0, range.start, range.len())?.mean_keepdim(0)?,
            })
        };
        let pooled = Tensor::cat(&batch.ranges().map(pool).collect::<Result<Vec<_>>>()?, 0)?;
        // A text is dropped as its first token.
        let site = |place, rate| {
            let site = dropout?.site(head_site(self.spec.layers.len(), place), rate)?;
            Some(site.of_tokens(Some(&batch.bounds)))
        };
        let output = self.transform(&drop(&pooled, site(0, spec.dropout_before))?, &spec.transform)?;
        self.linear(spec.out, &drop(&output, site(1, spec.dropout))?)
    }

    fn transform(&self, rows: &Tensor, spec: &TransformSpec) -> Result<Tensor> {
        let activated = activate(&self.linear(spec.dense, rows)?, spec.activation)?;
        match spec.norm {
            Some((name, _)) => self.norm(name, &activated),
            None => Ok(activated),
        }
    }
}
