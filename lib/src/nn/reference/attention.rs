//! Attention by the definition: one sequence and one head after the other.

use candle_core::{D, Device, Tensor};

use super::Reference;
use super::ops::drop_rows;
use crate::Result;
use crate::nn::blocks::disentangled;
use crate::nn::spec::Spec;
use crate::nn::{Dropout, PackedBatch};

impl Reference {
    /// The weighted values `(T, H)` of all heads, side by side.
    pub(super) fn attention(
        &self,
        layer: usize,
        hidden: &Tensor,
        batch: &PackedBatch,
        positions: &[u32],
        dropout: Option<Dropout>,
    ) -> Result<Tensor> {
        let Spec { heads, width, .. } = self.spec;
        let (size, site) = (self.spec.head_size(), self.spec.weights_site(dropout, layer));
        let qkv = self.project(layer, hidden)?;
        let span = self.span(layer, dropout)?;
        let mut sequences = Vec::with_capacity(batch.sequences());
        for (sequence, range) in batch.ranges().enumerate().filter(|(_, range)| !range.is_empty()) {
            let attended = batch.attended_of(sequence);
            let mut contexts = Vec::with_capacity(heads);
            for head in 0..heads {
                let part = |part: usize| -> Result<Tensor> {
                    let columns = qkv.narrow(1, part * width + head * size, size)?;
                    Ok(columns.narrow(0, range.start, range.len())?.contiguous()?)
                };
                let turned = |x: Tensor| self.turn(layer, x, &positions[range.clone()]);
                let (q, k, v) = (turned(part(0)?)?, turned(part(1)?)?, part(2)?);
                let mut scores = q.matmul(&k.t()?)?;
                if let Some(span) = &span {
                    scores = (scores + self.by_position(span, &q, &k, head)?)?;
                }
                let terms = if span.is_some() { 3.0 } else { 1.0 };
                let scores = (scores / (terms * size as f64).sqrt())?;
                let scores = self.bias(layer, &scores, head)?.narrow(1, 0, attended)?;
                let v = v.narrow(0, 0, attended)?;
                let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
                let rows = range.clone().map(|token| token * heads + head);
                contexts.push(drop_rows(&weights, site, rows)?.matmul(&v)?);
            }
            sequences.push(Tensor::cat(&contexts, 1)?);
        }
        Ok(Tensor::cat(&sequences, 0)?)
    }

    /// Queries, keys and values `(T, 3H)`.
    fn project(&self, layer: usize, hidden: &Tensor) -> Result<Tensor> {
        let names = &self.spec.names;
        let parts = names.qkv.iter().map(|part| self.linear(&format!("{}.{layer}.{part}", names.layer), hidden));
        Ok(Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 1)?)
    }

    /// Queries, keys (and values) of a layer's relative positions, `(rows, 3H)`.
    fn span(&self, layer: usize, dropout: Option<Dropout>) -> Result<Option<Tensor>> {
        let Some(span) = self.spec.span else { return Ok(None) };
        let rows = self.norm(span.norm, self.get(&format!("{}.weight", self.spec.names.relative))?)?;
        let rows = super::ops::drop(&rows, crate::nn::layer::span::site(&self.spec, dropout, layer))?;
        Ok(Some(self.project(layer, &rows)?))
    }

    /// `q_i · K_r + k_j · Q_r` with the row `r` of the offset `i - j`, `(S, S)`.
    fn by_position(&self, span: &Tensor, q: &Tensor, k: &Tensor, head: usize) -> Result<Tensor> {
        let Spec { width, span: own, .. } = &self.spec;
        let (length, size) = q.dims2()?;
        let part = |part: usize| span.narrow(1, part * width + head * size, size)?.contiguous();
        let (by_query, by_key) = (q.matmul(&part(1)?.t()?)?, k.matmul(&part(0)?.t()?)?);
        let (rows, farthest) = own.map_or((0, None), |own| (own.rows, own.farthest));
        let row = |i: usize, j: usize| disentangled::row(i as isize - j as isize, rows, farthest) as u32;
        let pairs = |first: bool| -> Result<Tensor> {
            let row = |(i, j)| if first { row(i, j) } else { row(j, i) };
            let pairs = (0..length).flat_map(|i| (0..length).map(move |j| (i, j)));
            Ok(Tensor::from_iter(pairs.map(row), &Device::Cpu)?.reshape((length, length))?)
        };
        Ok((by_query.gather(&pairs(true)?, 1)? + by_key.gather(&pairs(false)?, 1)?.t()?)?)
    }

    /// Rotates the rows of one head `(S, d)` by their positions.
    fn turn(&self, layer: usize, x: Tensor, positions: &[u32]) -> Result<Tensor> {
        let Some(theta) = self.spec.layers[layer].theta else { return Ok(x) };
        let (length, size) = x.dims2()?;
        let half = size / 2;
        let frequency = |i: usize| 1.0 / theta.powf((2 * i) as f32 / size as f32);
        let angles: Vec<f32> =
            (positions.iter()).flat_map(|position| (0..half).map(move |i| frequency(i) * *position as f32)).collect();
        let angles = Tensor::from_vec(angles, (length, half), &Device::Cpu)?;
        let (cosine, sine) = (angles.cos()?, angles.sin()?);
        let (left, right) = (x.narrow(1, 0, half)?, x.narrow(1, half, half)?);
        let first = ((&left * &cosine)? - (&right * &sine)?)?;
        let second = ((right * cosine)? + (left * sine)?)?;
        Ok(Tensor::cat(&[first, second], 1)?)
    }

    /// Adds the bias by relative position to scores `(S, S)`, and minus infinity out of reach.
    fn bias(&self, layer: usize, scores: &Tensor, head: usize) -> Result<Tensor> {
        let length = scores.dim(0)?;
        let pairs = || (0..length).flat_map(|query| (0..length).map(move |key| (query, key)));
        let mut scores = scores.clone();
        if self.spec.buckets > 0 {
            let rows: Vec<u32> = pairs().map(|(i, j)| bucket(i, j, self.spec.buckets as u32)).collect();
            let table = self.get(&format!("{}.weight", self.spec.names.relative))?;
            let biases = table.narrow(1, head, 1)?.contiguous()?.index_select(&Tensor::new(rows, &Device::Cpu)?, 0)?;
            scores = (scores + biases.reshape((length, length))?)?;
        }
        if let Some(reach) = self.spec.layers[layer].reach {
            let mask: Vec<f32> =
                pairs().map(|(i, j)| if i.abs_diff(j) > reach { f32::NEG_INFINITY } else { 0.0 }).collect();
            scores = (scores + Tensor::from_vec(mask, (length, length), &Device::Cpu)?)?;
        }
        Ok(scores)
    }
}

/// `MPNetEncoder.relative_position_bucket` of transformers for the query `i` and the key `j`, with 128 as the largest
/// distance.
fn bucket(i: usize, j: usize, buckets: u32) -> u32 {
    let (n, half) = (i as i64 - j as i64, buckets / 2);
    let side = if n < 0 { half } else { 0 };
    let (n, exact) = (n.unsigned_abs() as u32, half / 2);
    if n < exact {
        return side + n;
    }
    let logarithm = (n as f32 / exact as f32).ln() / (128.0 / exact as f32).ln();
    side + (exact + (logarithm * (half - exact) as f32) as u32).min(half - 1)
}
