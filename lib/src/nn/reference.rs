//! The same encoder in plain candle ops: slow, differentiable by candle's autograd, readable.
//!
//! It is the oracle for the gradients of [`Bert`], and the place to try a change of the
//! model before its backward pass is written. It avoids the ops of candle-nn that cut gradients
//! without a word (its `LayerNorm`, `softmax_last_dim`).

use candle_core::{D, Device, Tensor, Var};

use super::blocks::dropout::Site;
use super::{Activation, Bert, BertConfig, Dropout, PackedBatch};
use crate::{Error, Result};

/// A copy of an encoder whose parameters are candle variables.
pub struct ReferenceBert {
    config: BertConfig,
    parameters: Vec<(String, Var)>,
}

impl ReferenceBert {
    /// Copies the parameters.
    pub fn new(bert: &Bert) -> Result<Self> {
        let copy = |name: &str| Ok((name.to_owned(), Var::from_tensor(&bert.parameters().tensor(name)?)?));
        let parameters = bert.parameters().entries().iter().map(|entry| copy(&entry.name)).collect::<Result<_>>()?;
        Ok(Self { config: bert.config().clone(), parameters })
    }

    /// Name and variable of every parameter, in the order of the table.
    pub fn parameters(&self) -> &[(String, Var)] {
        &self.parameters
    }

    /// The hidden states `(T, H)` of a batch, with the masks that the engine draws for `dropout`.
    pub fn forward(&self, batch: &PackedBatch, dropout: Option<Dropout>) -> Result<Tensor> {
        let look_up = |table: &str, ids: &[u32]| -> Result<Tensor> {
            let ids = Tensor::new(ids, &Device::Cpu)?;
            Ok(self.get(&format!("embeddings.{table}.weight"))?.index_select(&ids, 0)?)
        };
        let words = look_up("word_embeddings", &batch.ids)?;
        let positions = look_up("position_embeddings", &batch.positions)?;
        let segments = look_up("token_type_embeddings", &batch.token_types)?;
        let embedded = self.norm("embeddings.LayerNorm", &((words + positions)? + segments)?)?;
        let hidden_site = |site| dropout.and_then(|dropout| dropout.site(site, self.config.hidden_dropout_prob));
        let mut hidden = drop(&embedded, hidden_site(0))?;
        for layer in 0..self.config.num_hidden_layers {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            let site = 1 + 3 * layer as u32;
            let BertConfig { attention_probs_dropout_prob, num_attention_heads, .. } = self.config;
            let attention_site = dropout
                .and_then(|dropout| dropout.attention_site(site, attention_probs_dropout_prob, num_attention_heads));
            let context = self.attention(&name("attention.self"), &hidden, batch, attention_site)?;
            let out = self.linear(&name("attention.output.dense"), &context)?;
            let attended = (drop(&out, hidden_site(site + 1))? + &hidden)?;
            let attended = self.norm(&name("attention.output.LayerNorm"), &attended)?;
            let inner = self.activate(&self.linear(&name("intermediate.dense"), &attended)?)?;
            let out = self.linear(&name("output.dense"), &inner)?;
            hidden = self.norm(&name("output.LayerNorm"), &(drop(&out, hidden_site(site + 2))? + &attended)?)?;
        }
        Ok(hidden)
    }

    fn attention(&self, name: &str, hidden: &Tensor, batch: &PackedBatch, site: Option<Site>) -> Result<Tensor> {
        let [q, k, v] = ["query", "key", "value"].map(|part| self.linear(&format!("{name}.{part}"), hidden));
        let (q, k, v) = (q?, k?, v?);
        let size = self.config.head_size();
        let mut sequences = Vec::with_capacity(batch.sequences());
        for range in batch.ranges().filter(|range| !range.is_empty()) {
            let mut heads = Vec::with_capacity(self.config.num_attention_heads);
            for head in 0..self.config.num_attention_heads {
                let part =
                    |x: &Tensor| x.narrow(0, range.start, range.len())?.narrow(1, head * size, size)?.contiguous();
                let scores = (part(&q)?.matmul(&part(&k)?.t()?)? / (size as f64).sqrt())?;
                let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
                let rows = range.clone().map(|token| token * self.config.num_attention_heads + head);
                let weights = drop_rows(&weights, site, rows)?;
                heads.push(weights.matmul(&part(&v)?)?);
            }
            sequences.push(Tensor::cat(&heads, 1)?);
        }
        Ok(Tensor::cat(&sequences, 0)?)
    }

    fn linear(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let product = x.matmul(&self.get(&format!("{name}.weight"))?.t()?)?;
        Ok(product.broadcast_add(self.get(&format!("{name}.bias"))?)?)
    }

    fn norm(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normalised = centred.broadcast_div(&(variance + f64::from(self.config.layer_norm_eps))?.sqrt()?)?;
        let scaled = normalised.broadcast_mul(self.get(&format!("{name}.weight"))?)?;
        Ok(scaled.broadcast_add(self.get(&format!("{name}.bias"))?)?)
    }

    fn activate(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self.config.hidden_act {
            Activation::Gelu => x.gelu_erf()?,
            Activation::GeluTanh => x.gelu()?,
            Activation::Relu => x.relu()?,
        })
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        let found = self.parameters.iter().find(|(other, _)| other == name);
        found.map(|(_, var)| var.as_tensor()).ok_or_else(|| Error::MissingGradient { parameter: name.to_owned() })
    }
}

fn drop(x: &Tensor, site: Option<Site>) -> Result<Tensor> {
    drop_rows(x, site, 0..x.dim(0)?)
}

/// Multiplies by the mask that the engine applies in place.
fn drop_rows(x: &Tensor, site: Option<Site>, rows: impl Iterator<Item = usize>) -> Result<Tensor> {
    let Some(site) = site else { return Ok(x.clone()) };
    let (height, width) = x.dims2()?;
    let mut mask = vec![1.0; height * width];
    for (row, values) in rows.zip(mask.chunks_exact_mut(width)) {
        site.apply(row, values);
    }
    Ok((x * Tensor::from_vec(mask, (height, width), &Device::Cpu)?)?)
}
