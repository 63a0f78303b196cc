//! The cross entropy of scores as one operation: a training on large batches would read and write its matrix of scores a
//! dozen times.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor, WithDType};
use rayon::prelude::*;

use crate::nn::{exp, lane_max, lane_sum, vectorised};

/// `mean_i (log sum_j exp a s_ij - a s_{i, own_i})` with the scale `a`, and its gradient `a (softmax (a s_i) - own_i) / n`.
pub(super) struct OwnEntropy {
    /// One entry per row, each of them a column.
    pub(super) own: Vec<u32>,
    /// Above 0.
    pub(super) scale: f64,
}

/// Rows of a type.
trait Number: WithDType {
    const LOWEST: Self;

    fn ln(self) -> Self;

    /// The largest number times `scale`, at least the lowest finite one, and the sum of all powers less it. NaN makes the sum
    /// NaN.
    fn sum_exp(row: &[Self], scale: Self) -> (Self, Self);

    /// Replaces each number by `factor` times its power less `max`.
    fn powers(row: &mut [Self], scale: Self, max: Self, factor: Self);
}

impl Number for f32 {
    const LOWEST: Self = Self::MIN;

    fn ln(self) -> Self {
        Self::ln(self)
    }

    fn sum_exp(row: &[Self], scale: Self) -> (Self, Self) {
        let max = largest(row, scale);
        (max, sum_of_powers(row, scale, max))
    }

    fn powers(row: &mut [Self], scale: Self, max: Self, factor: Self) {
        to_powers(row, scale, max, factor);
    }
}

impl Number for f64 {
    const LOWEST: Self = f32::MIN as Self;

    fn ln(self) -> Self {
        Self::ln(self)
    }

    fn sum_exp(row: &[Self], scale: Self) -> (Self, Self) {
        let max = row.iter().fold(Self::LOWEST, |max, value| max.max(value * scale));
        (max, row.iter().map(|value| (value * scale - max).exp()).sum())
    }

    fn powers(row: &mut [Self], scale: Self, max: Self, factor: Self) {
        row.iter_mut().for_each(|value| *value = (*value * scale - max).exp() * factor);
    }
}

vectorised! {
    fn largest(row: &[f32], scale: f32) -> f32 {
        (lane_max(row, f32::MIN) * scale).max(f32::MIN)
    }
}

vectorised! {
    fn sum_of_powers(row: &[f32], scale: f32, max: f32) -> f32 {
        lane_sum([row], |[value]| power(value * scale, max))
    }
}

vectorised! {
    fn to_powers(row: &mut [f32], scale: f32, max: f32, factor: f32) {
        row.iter_mut().for_each(|value| *value = power(*value * scale, max) * factor);
    }
}

/// `exp(x - max)`, and 0 for an absent entry; NaN stays NaN.
#[inline(always)]
fn power(x: f32, max: f32) -> f32 {
    let power = exp(x - max);
    if x <= f32::MIN { 0.0 } else { power }
}

impl CustomOp1 for OwnEntropy {
    fn name(&self) -> &'static str {
        "own-entropy"
    }

    fn cpu_fwd(&self, scores: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("own-entropy of contiguous rows only")
        };
        let found = match scores {
            CpuStorage::F32(scores) => CpuStorage::F32(vec![self.mean(&scores[start..end])]),
            CpuStorage::F64(scores) => CpuStorage::F64(vec![self.mean(&scores[start..end])]),
            _ => candle_core::bail!("own-entropy of f32 or f64 only"),
        };
        Ok((found, Shape::from(())))
    }

    fn bwd(&self, scores: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        match scores.dtype() {
            DType::F64 => self.backward::<f64>(scores, gradient),
            _ => self.backward::<f32>(scores, gradient),
        }
        .map(Some)
    }
}

impl OwnEntropy {
    fn mean<T: Number>(&self, scores: &[T]) -> T {
        let (rows, scale) = (self.own.len(), T::from_f64(self.scale));
        let row = |(row, own): (&[T], &u32)| {
            let (max, sum) = T::sum_exp(row, scale);
            // A row of nothing but absent entries.
            let log = if sum < T::from_f64(0.5) { T::from_f64(f64::NEG_INFINITY) } else { sum.ln() + max };
            log - row[*own as usize] * scale
        };
        let losses: Vec<T> = scores.par_chunks_exact(scores.len() / rows).zip(&self.own).map(row).collect();
        losses.into_iter().fold(T::zero(), |sum, loss| sum + loss) / T::from_f64(rows as f64)
    }

    fn backward<T: Number>(&self, scores: &Tensor, gradient: &Tensor) -> candle_core::Result<Tensor> {
        let (rows, columns) = scores.dims2()?;
        let scale = T::from_f64(self.scale);
        let share = gradient.to_scalar::<T>()? * scale / T::from_f64(rows as f64);
        let mut d = scores.contiguous()?.flatten_all()?.to_vec1::<T>()?;
        d.par_chunks_exact_mut(columns).zip(&self.own).for_each(|(row, own)| {
            let (max, sum) = T::sum_exp(row, scale);
            let factor = if sum < T::from_f64(0.5) { T::zero() } else { share / sum };
            T::powers(row, scale, max, factor);
            row[*own as usize] -= share;
        });
        Tensor::from_vec(d, scores.shape(), scores.device())
    }
}
