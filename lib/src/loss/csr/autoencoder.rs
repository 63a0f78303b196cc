//! The sparse autoencoder of one matrix.

use candle_core::{D, DType, Tensor};

use crate::Result;

/// The least that counts as active.
const ACTIVE: f64 = 1e-5;

/// What keeps a vector of equal numbers from a division by 0.
const EPSILON: f64 = 1e-5;

pub(crate) struct Autoencoder<'a> {
    /// `(hidden_dim, dim)`
    pub(crate) weight: &'a Tensor,
    /// `(dim,)`
    pub(crate) pre_bias: &'a Tensor,
    /// `(hidden_dim,)`
    pub(crate) latent_bias: &'a Tensor,
    pub(crate) normalize: bool,
}

/// Vectors as they are encoded.
pub(crate) struct Prepared {
    pub(crate) x: Tensor,
    /// The mean and the standard deviation of each, if it was normalised.
    moments: Option<(Tensor, Tensor)>,
}

impl Prepared {
    /// In the scale of the vectors before.
    pub(crate) fn scaled(&self, x: Tensor) -> Result<Tensor> {
        match &self.moments {
            Some((_, deviation)) => Ok(x.broadcast_mul(deviation)?),
            None => Ok(x),
        }
    }
}

impl Autoencoder<'_> {
    pub(crate) fn prepare(&self, x: &Tensor) -> Result<Prepared> {
        if !self.normalize {
            return Ok(Prepared { x: x.clone(), moments: None });
        }
        let mean = x.mean_keepdim(D::Minus1)?;
        let centred = x.broadcast_sub(&mean)?;
        let degrees = (x.dim(D::Minus1)? - 1).max(1) as f64;
        let deviation = (centred.sqr()?.sum_keepdim(D::Minus1)? / degrees)?.sqrt()?;
        Ok(Prepared { x: centred.broadcast_div(&(&deviation + EPSILON)?)?, moments: Some((mean, deviation)) })
    }

    /// `(n, hidden_dim)`, before the activation.
    pub(crate) fn latents(&self, prepared: &Tensor) -> Result<Tensor> {
        Ok(prepared.broadcast_sub(self.pre_bias)?.matmul(&self.weight.t()?)?.broadcast_add(self.latent_bias)?)
    }

    /// What a code tells of what was encoded.
    pub(crate) fn told(&self, code: &Tensor) -> Result<Tensor> {
        Ok(code.matmul(self.weight)?.broadcast_add(self.pre_bias)?)
    }

    /// What a code tells of the vectors before they were prepared.
    pub(crate) fn decode(&self, code: &Tensor, prepared: &Prepared) -> Result<Tensor> {
        let told = prepared.scaled(self.told(code)?)?;
        match &prepared.moments {
            Some((mean, _)) => Ok(told.broadcast_add(mean)?),
            None => Ok(told),
        }
    }

    /// The bias of the decoder in the scale of the vectors before.
    pub(crate) fn bias(&self, prepared: &Prepared) -> Result<Tensor> {
        prepared.scaled(self.pre_bias.unsqueeze(0)?)
    }
}

/// The largest latents of each row that are above 0, all others 0.
pub(crate) struct Largest {
    pub(crate) values: Tensor,
    /// Which latents some row holds.
    pub(crate) active: Vec<bool>,
}

/// Of those for which `counts` holds. Of equal latents the first are taken.
pub(crate) fn largest(latents: &Tensor, most: usize, counts: impl Fn(usize) -> bool) -> Result<Largest> {
    let (_, width) = latents.dims2()?;
    let mut active = vec![false; width];
    let mut mask = Vec::with_capacity(latents.elem_count());
    for row in latents.detach().to_dtype(DType::F64)?.to_vec2::<f64>()? {
        let mut taken: Vec<usize> = (0..width).filter(|latent| counts(*latent)).collect();
        if most < taken.len() {
            taken.select_nth_unstable_by(most, |a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
            taken.truncate(most);
        }
        let start = mask.len();
        mask.resize(start + width, 0f32);
        for latent in taken {
            // What is not above 0 is shut: it has no gradient.
            mask[start + latent] = f32::from(row[latent] > 0.0);
            active[latent] |= row[latent] > ACTIVE;
        }
    }
    let mask = Tensor::from_vec(mask, latents.shape(), latents.device())?.to_dtype(latents.dtype())?;
    Ok(Largest { values: (latents * mask)?, active })
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a sort of each row; gradients go to what is taken.
        #[test]
        fn the_largest_are_taken(
            (rows, most) in (1..4_usize, 1..9_usize),
            numbers in prop::collection::vec(-3..4_i8, 3 * 7),
            counted in prop::collection::vec(any::<bool>(), 7),
        ) {
            let numbers: Vec<f64> = numbers[..rows * 7].iter().map(|number| f64::from(*number)).collect();
            let latents = candle_core::Var::from_slice(&numbers, (rows, 7), &Device::Cpu).unwrap();
            let found = largest(&latents, most, |latent| counted[latent]).unwrap();
            let grads = found.values.sum_all().unwrap().backward().unwrap();
            let slopes = grads.get(&latents).unwrap().to_vec2::<f64>().unwrap();
            let mut active = vec![false; 7];
            for ((row, values), slopes) in numbers.chunks(7).zip(found.values.to_vec2::<f64>().unwrap()).zip(slopes) {
                let mut order: Vec<usize> = (0..7).filter(|latent| counted[*latent]).collect();
                order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
                order.truncate(most);
                for latent in 0..7 {
                    let taken = order.contains(&latent) && row[latent] > 0.0;
                    prop_assert_eq!(values[latent], if taken { row[latent] } else { 0.0 });
                    prop_assert_eq!(slopes[latent], f64::from(u8::from(taken)));
                    active[latent] |= taken;
                }
            }
            prop_assert_eq!(found.active, active);
        }
    }
}
