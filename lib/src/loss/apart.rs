//! Distances of every row from every other's rows, as an operation of candle: its memory is that of the result.

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Shape, Tensor, WithDType};
use rayon::prelude::*;

use crate::nn::vectorised;
use crate::{Error, Result};

/// How a difference becomes a distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Norm {
    /// The root of the sum of squares.
    Euclidean,
    /// The sum of absolute values.
    Manhattan,
}

/// The distance of row `i` from row `j` of another matrix: `(n, dim)`, `(m, dim)` -> `(n, m)`. Where it is 0 it has no
/// gradient.
pub(super) fn distances(left: &Tensor, right: &Tensor, norm: Norm) -> Result<Tensor> {
    if left.dtype() != right.dtype() || !matches!(left.dtype(), DType::F32 | DType::F64) {
        return Err(Error::Setting {
            field: "dtype",
            value: format!("{} and {}", left.dtype().as_str(), right.dtype().as_str()),
            expected: "f32 or f64 of both, such as `.to_dtype(DType::F32)?` makes".to_owned(),
        });
    }
    Ok(left.contiguous()?.apply_op2(&right.contiguous()?, norm)?)
}

impl CustomOp2 for Norm {
    fn name(&self) -> &'static str {
        "distances"
    }

    fn cpu_fwd(
        &self,
        left: &CpuStorage,
        left_layout: &Layout,
        right: &CpuStorage,
        right_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (&[n, dim], &[m, _]) = (left_layout.dims(), right_layout.dims()) else {
            candle_core::bail!("distances of matrices only")
        };
        let found = match (left, right) {
            (CpuStorage::F32(left), CpuStorage::F32(right)) => {
                let (left, right) = (rows(left, left_layout)?, rows(right, right_layout)?);
                CpuStorage::F32(self.forward(left, right, (n, m, dim), row_of_f32))
            }
            (CpuStorage::F64(left), CpuStorage::F64(right)) => {
                let (left, right) = (rows(left, left_layout)?, rows(right, right_layout)?);
                CpuStorage::F64(self.forward(left, right, (n, m, dim), |own, right, norm, out| {
                    let sqrt = f64::sqrt;
                    row(own, right, norm, out, sqrt);
                }))
            }
            _ => candle_core::bail!("distances of f32 or f64 only"),
        };
        Ok((found, (n, m).into()))
    }

    fn bwd(
        &self,
        left: &Tensor,
        right: &Tensor,
        distances: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (d_left, d_right) = match left.dtype() {
            DType::F64 => self.backward::<f64>(left, right, distances, gradient)?,
            _ => self.backward::<f32>(left, right, distances, gradient)?,
        };
        Ok((Some(d_left), Some(d_right)))
    }
}

impl Norm {
    fn forward<T: WithDType>(
        self,
        left: &[T],
        right: &[T],
        (n, m, dim): (usize, usize, usize),
        row: impl Fn(&[T], &[T], Self, &mut [T]) + Sync,
    ) -> Vec<T> {
        let mut found = vec![T::zero(); n * m];
        if m > 0 && dim > 0 {
            found.par_chunks_exact_mut(m).zip(left.par_chunks_exact(dim)).for_each(|(out, own)| {
                row(own, right, self, out);
            });
        }
        found
    }

    /// `dl_i = sum_j g_ij w(l_i - r_j)` and `dr_j` its opposite; `w` is the sign, or the difference over the distance.
    fn backward<T: WithDType>(
        self,
        left: &Tensor,
        right: &Tensor,
        distances: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Tensor, Tensor)> {
        let ((n, dim), m) = (left.dims2()?, right.dim(0)?);
        let numbers = |tensor: &Tensor| tensor.contiguous()?.flatten_all()?.to_vec1::<T>();
        let (l, r, apart, g) = (numbers(left)?, numbers(right)?, numbers(distances)?, numbers(gradient)?);
        let pull = |own: &[T], other: &[T], place: usize, sums: &mut [T]| {
            if apart[place] == T::zero() {
                return;
            }
            match self {
                Self::Euclidean => {
                    let factor = g[place] / apart[place];
                    let pairs = own.iter().zip(other);
                    sums.iter_mut().zip(pairs).for_each(|(sum, (own, other))| *sum += factor * (*own - *other));
                }
                Self::Manhattan => {
                    let pairs = own.iter().zip(other);
                    sums.iter_mut().zip(pairs).for_each(|(sum, (own, other))| {
                        if own > other {
                            *sum += g[place];
                        } else if own < other {
                            *sum -= g[place];
                        }
                    });
                }
            }
        };
        let (mut d_left, mut d_right) = (vec![T::zero(); n * dim], vec![T::zero(); m * dim]);
        if dim > 0 {
            d_left.par_chunks_exact_mut(dim).enumerate().for_each(|(i, sums)| {
                r.chunks_exact(dim)
                    .enumerate()
                    .for_each(|(j, other)| pull(&l[i * dim..][..dim], other, i * m + j, sums));
            });
            d_right.par_chunks_exact_mut(dim).enumerate().for_each(|(j, sums)| {
                l.chunks_exact(dim)
                    .enumerate()
                    .for_each(|(i, other)| pull(&r[j * dim..][..dim], other, i * m + j, sums));
            });
        }
        let shaped = |values: Vec<T>, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((shaped(d_left, left)?, shaped(d_right, right)?))
    }
}

vectorised! {
    fn row_of_f32(own: &[f32], right: &[f32], norm: Norm, out: &mut [f32]) {
        let sqrt = f32::sqrt;
        row(own, right, norm, out, sqrt);
    }
}

/// Numbers that are summed side by side.
const LANES: usize = 16;

/// The distances of one row.
#[inline(always)]
fn row<T: WithDType>(own: &[T], right: &[T], norm: Norm, out: &mut [T], sqrt: impl Fn(T) -> T) {
    for (out, other) in out.iter_mut().zip(right.chunks_exact(own.len())) {
        *out = match norm {
            Norm::Euclidean => sqrt(sum(own, other, |difference| difference * difference)),
            Norm::Manhattan => {
                sum(own, other, |difference| if difference < T::zero() { T::zero() - difference } else { difference })
            }
        };
    }
}

#[inline(always)]
fn sum<T: WithDType>(own: &[T], other: &[T], each: impl Fn(T) -> T) -> T {
    let mut lanes = [T::zero(); LANES];
    for (own, other) in own.chunks(LANES).zip(other.chunks(LANES)) {
        for (lane, (own, other)) in lanes.iter_mut().zip(own.iter().zip(other)) {
            *lane += each(*own - *other);
        }
    }
    lanes.into_iter().fold(T::zero(), |sum, lane| sum + lane)
}

fn rows<'a, T>(values: &'a [T], layout: &Layout) -> candle_core::Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => candle_core::bail!("distances of contiguous rows only"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Device, Var};
    use proptest::prelude::*;

    use super::*;

    /// The same in candle's own operations.
    fn plain(left: &Tensor, right: &Tensor, norm: Norm) -> candle_core::Result<Tensor> {
        let differences = left.unsqueeze(1)?.broadcast_sub(&right.unsqueeze(0)?)?;
        match norm {
            Norm::Euclidean => differences.sqr()?.sum(D::Minus1)?.sqrt(),
            Norm::Manhattan => differences.abs()?.sum(D::Minus1),
        }
    }

    proptest! {
        #[test]
        fn values_and_gradients_are_those_of_plain_operations(
            (n, m, dim) in (1..4_usize, 1..5_usize, 1..40_usize), seed in 0..1000_u64,
        ) {
            let mut rng = crate::random::Philox::new(seed);
            let mut matrix = |rows: usize| {
                let values: Vec<f64> = (0..rows * dim).map(|_| rng.normal()).collect();
                Var::from_vec(values, (rows, dim), &Device::Cpu).unwrap()
            };
            let (left, right, weights) = (matrix(n), matrix(m), matrix(n * m));
            let weights = weights.narrow(1, 0, 1).unwrap().reshape((n, m)).unwrap();
            let close = |a: &Tensor, b: &Tensor, most: f64| {
                let b = b.to_dtype(DType::F64).unwrap();
                (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap() < most
            };
            for norm in [Norm::Euclidean, Norm::Manhattan] {
                let (found, expected) = (distances(&left, &right, norm).unwrap(), plain(&left, &right, norm).unwrap());
                prop_assert!(close(&expected, &found, 1e-12));
                let single = |x: &Var| x.to_dtype(DType::F32).unwrap();
                prop_assert!(close(&expected, &distances(&single(&left), &single(&right), norm).unwrap(), 1e-4));
                let grads = |x: &Tensor| (x * &weights).unwrap().sum_all().unwrap().backward().unwrap();
                let (found, expected) = (grads(&found), grads(&expected));
                for variable in [&left, &right] {
                    prop_assert!(close(expected.get(variable).unwrap(), found.get(variable).unwrap(), 1e-10));
                }
            }
        }
    }

    #[test]
    fn equal_rows_have_no_gradient() {
        let rows = Var::new(&[[1.0_f32, 2.0], [1.0, 2.0]], &Device::Cpu).unwrap();
        for norm in [Norm::Euclidean, Norm::Manhattan] {
            let found = distances(&rows, &rows, norm).unwrap();
            assert_eq!(found.to_vec2::<f32>().unwrap(), [[0.0; 2]; 2]);
            let grads = found.sum_all().unwrap().backward().unwrap();
            assert_eq!(grads.get(&rows).unwrap().to_vec2::<f32>().unwrap(), [[0.0; 2]; 2]);
        }
    }
}
