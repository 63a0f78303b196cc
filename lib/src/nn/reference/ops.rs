//! What encoder and heads compute, each in a few ops of candle.

use candle_core::{D, Device, Tensor};

use crate::Result;
use crate::nn::Activation;
use crate::nn::blocks::dropout::Site;

pub(super) fn norm(x: &Tensor, gamma: &Tensor, beta: Option<&Tensor>, eps: f32) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let normalised = centred.broadcast_div(&(variance + f64::from(eps))?.sqrt()?)?;
    let scaled = normalised.broadcast_mul(gamma)?;
    Ok(match beta {
        Some(beta) => scaled.broadcast_add(beta)?,
        None => scaled,
    })
}

pub(super) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    Ok(match activation {
        Activation::Gelu => x.gelu_erf()?,
        Activation::GeluTanh => x.gelu()?,
        Activation::Relu => x.relu()?,
        Activation::Tanh => x.tanh()?,
    })
}

pub(super) fn drop(x: &Tensor, site: Option<Site<'_>>) -> Result<Tensor> {
    drop_rows(x, site, 0..x.dim(0)?)
}

/// Multiplies by the mask that the engine applies in place.
pub(super) fn drop_rows(x: &Tensor, site: Option<Site<'_>>, rows: impl Iterator<Item = usize>) -> Result<Tensor> {
    let Some(site) = site else { return Ok(x.clone()) };
    let (height, width) = x.dims2()?;
    let mut mask = vec![1.0; height * width];
    for (row, values) in rows.zip(mask.chunks_exact_mut(width)) {
        site.apply(row, values);
    }
    Ok((x * Tensor::from_vec(mask, (height, width), &Device::Cpu)?)?)
}
