//! The cross entropy of scores as one operation: a training on large batches would read and write its matrix of scores a
//! dozen times.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor, WithDType};
use rayon::prelude::*;

/// `mean_i (log sum_j exp s_ij - s_{i, own_i})`, and its gradient `(softmax s_i - own_i) / n`.
pub(super) struct OwnEntropy {
    /// One entry per row, each of them a column.
    pub(super) own: Vec<u32>,
}

/// What is done with numbers of a type.
trait Number: WithDType {
    const LOWEST: Self;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
}

macro_rules! number {
    ($($type:ident),*) => {$(
        impl Number for $type {
            const LOWEST: Self = f32::MIN as Self;

            fn exp(self) -> Self {
                $type::exp(self)
            }

            fn ln(self) -> Self {
                $type::ln(self)
            }
        }
    )*};
}

number!(f32, f64);

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
        let rows = self.own.len();
        let row = |(row, own): (&[T], &u32)| {
            let (max, sum) = sum_exp(row);
            // A row of nothing but absent entries.
            let log = if sum < T::from_f64(0.5) { T::from_f64(f64::NEG_INFINITY) } else { sum.ln() + max };
            log - row[*own as usize]
        };
        let losses: Vec<T> = scores.par_chunks_exact(scores.len() / rows).zip(&self.own).map(row).collect();
        losses.into_iter().fold(T::zero(), |sum, loss| sum + loss) / T::from_f64(rows as f64)
    }

    fn backward<T: Number>(&self, scores: &Tensor, gradient: &Tensor) -> candle_core::Result<Tensor> {
        let (rows, columns) = scores.dims2()?;
        let share = gradient.to_scalar::<T>()? / T::from_f64(rows as f64);
        let mut d = scores.contiguous()?.flatten_all()?.to_vec1::<T>()?;
        d.par_chunks_exact_mut(columns).zip(&self.own).for_each(|(row, own)| {
            let (max, sum) = sum_exp(row);
            let factor = if sum < T::from_f64(0.5) { T::zero() } else { share / sum };
            row.iter_mut().for_each(|value| *value = (*value - max).exp() * factor);
            row[*own as usize] -= share;
        });
        Tensor::from_vec(d, scores.shape(), scores.device())
    }
}

/// The largest number, at least the lowest finite one, and the sum of all powers less it. NaN makes the sum NaN.
fn sum_exp<T: Number>(row: &[T]) -> (T, T) {
    let max = row.iter().fold(T::LOWEST, |max, value| if *value > max { *value } else { max });
    (max, row.iter().fold(T::zero(), |sum, value| sum + (*value - max).exp()))
}
