//! Functions of scores, of which most losses are one.

use candle_core::{D, DType, Tensor};

use super::own_entropy::OwnEntropy;
use crate::{Error, Result};

/// `log sum exp` of each row: `(n, m)` -> `(n,)`. Entries of minus infinity count as absent; of a row that has no other,
/// it is minus infinity, without a gradient.
pub fn log_sum_exp(x: &Tensor) -> Result<Tensor> {
    if x.dim(D::Minus1)? == 0 {
        return Err(Error::Shape {
            what: "log_sum_exp".to_owned(),
            found: format!("{:?}", x.dims()),
            expected: "rows of at least one number".to_owned(),
        });
    }
    // Of nothing but minus infinity, the largest finite number: infinity less itself is no number.
    let max = x.detach().max_keepdim(D::Minus1)?.maximum(f64::from(f32::MIN))?;
    let sum = x.broadcast_sub(&max)?.exp()?.sum_keepdim(D::Minus1)?;
    // The logarithm has no slope at 0. Elsewhere the sum is at least 1, from the maximum itself.
    let nothing = sum.detach().lt(0.5)?;
    let log = (sum + nothing.to_dtype(x.dtype())?)?.log()?;
    let absent = Tensor::full(f32::NEG_INFINITY, log.shape(), x.device())?.to_dtype(x.dtype())?;
    Ok(nothing.where_cond(&absent, &(log + max)?)?.squeeze(D::Minus1)?)
}

/// `x - log sum exp x` of each row: `(n, m)` -> `(n, m)`.
pub fn log_softmax(x: &Tensor) -> Result<Tensor> {
    Ok(x.broadcast_sub(&log_sum_exp(x)?.unsqueeze(D::Minus1)?)?)
}

/// `mean_i (log sum_j exp s_ij - s_{i, own_i})`: each row must find its own entry. `(n, m)` -> a scalar.
///
/// ```
/// # use kensaku::candle_core::{Device, Tensor};
/// let scores = Tensor::new(&[[1.0f32, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// let loss = kensaku::loss::cross_entropy(&scores, &[0, 1])?.to_scalar::<f32>()?;
/// assert!((loss - (1.0 + (-1.0f32).exp()).ln()).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn cross_entropy(scores: &Tensor, own: &[u32]) -> Result<Tensor> {
    scaled_cross_entropy(scores, 1.0, own)
}

/// The same of scores times a scale above 0, without a copy of them.
pub(super) fn scaled_cross_entropy(scores: &Tensor, scale: f64, own: &[u32]) -> Result<Tensor> {
    let rows = scores.dim(0)?;
    if own.len() != rows {
        return Err(Error::Shape {
            what: "entries of a cross entropy".to_owned(),
            found: own.len().to_string(),
            expected: format!("{rows}, one per row"),
        });
    }
    let columns = scores.dim(D::Minus1)?;
    let known = own.iter().all(|own| (*own as usize) < columns);
    if known
        && rows > 0
        && scores.rank() == 2
        && scores.device().is_cpu()
        && matches!(scores.dtype(), DType::F32 | DType::F64)
    {
        return Ok(scores.contiguous()?.apply_op1(OwnEntropy { own: own.to_vec(), scale })?);
    }
    let (own, scores) = (Tensor::from_slice(own, (rows, 1), scores.device())?, (scores * scale)?);
    let found = scores.contiguous()?.gather(&own, 1)?.squeeze(1)?;
    Ok((log_sum_exp(&scores)? - found)?.mean(0)?)
}

/// `log (1 + sum exp(s_i - s_j))` over all pairs whose labels say that `j` should score higher: `label_i < label_j`.
/// `(n,)`, `(n,)` -> a scalar; 0 without such a pair.
pub fn pairwise_ranking(scores: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let count = scores.dim(0)?;
    let (rows, columns) = (scores.unsqueeze(1)?, scores.unsqueeze(0)?);
    let differences = rows.broadcast_sub(&columns)?;
    let ordered = labels.unsqueeze(1)?.broadcast_lt(&labels.unsqueeze(0)?)?;
    let differences = without(&differences, &ordered.eq(0.0)?)?.reshape((1, count * count))?;
    let zero = Tensor::zeros((1, 1), scores.dtype(), scores.device())?;
    Ok(log_sum_exp(&Tensor::cat(&[&zero, &differences], 1)?)?.squeeze(0)?)
}

/// `KL(softmax teacher || softmax student)`, the mean over the rows: `(n, m)`, `(n, m)` -> a scalar.
pub fn kl_divergence(student: &Tensor, teacher: &Tensor) -> Result<Tensor> {
    let (student, teacher) = (log_softmax(student)?, log_softmax(teacher)?);
    Ok((teacher.exp()? * (&teacher - student)?)?.sum(D::Minus1)?.mean(0)?)
}

/// Minus infinity where the mask is 1: these scores count as absent.
pub(super) fn without(scores: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let nothing = Tensor::full(f32::NEG_INFINITY, scores.shape(), scores.device())?.to_dtype(scores.dtype())?;
    Ok(mask.to_dtype(DType::U8)?.where_cond(&nothing, scores)?)
}

/// `(rows, columns)` in the type of `like`: 1 where `holds(row, column)`.
pub(super) fn mask(rows: usize, columns: usize, like: &Tensor, holds: impl Fn(usize, usize) -> bool) -> Result<Tensor> {
    let holds = &holds;
    let values =
        (0..rows).flat_map(|row| (0..columns).map(move |column| if holds(row, column) { 1.0_f32 } else { 0.0 }));
    Ok(Tensor::from_vec(values.collect(), (rows, columns), like.device())?.to_dtype(like.dtype())?)
}

/// `log (1 + exp x)`, also where `exp x` overflows.
pub(super) fn softplus(x: &Tensor) -> Result<Tensor> {
    Ok((x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?)?)
}

/// The value of a scalar.
pub(super) fn number(value: &Tensor) -> Result<f64> {
    Ok(value.to_dtype(DType::F64)?.to_scalar()?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn the_operation_equals_plain_ones() {
        let infinity = f64::NEG_INFINITY;
        let rows = [[0.3, -1.2, infinity, 4.0], [90.0, -90.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]];
        let own = [3, 2, 0];
        for dtype in [DType::F32, DType::F64] {
            let x = Tensor::new(&rows, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            let x = Var::from_tensor(&x).unwrap();
            let picked = Tensor::new(&own, &Device::Cpu).unwrap().unsqueeze(1).unwrap();
            for scale in [1.0, 0.05, 20.0] {
                let scaled = (&*x * scale).unwrap();
                let found = scaled.gather(&picked, 1).unwrap().squeeze(1).unwrap();
                let plain = (log_sum_exp(&scaled).unwrap() - found).unwrap().mean(0).unwrap();
                let fused = scaled_cross_entropy(&x, scale, &own).unwrap();
                let (expected, found) = (number(&plain).unwrap(), number(&fused).unwrap());
                assert!((expected - found).abs() < 1e-6 * expected.abs().max(1.0), "{found} instead of {expected}");
                let grads = |loss: &Tensor| {
                    let loss = (loss * 3.0).unwrap();
                    let grad = loss.backward().unwrap().get(&x).unwrap().to_dtype(DType::F64).unwrap();
                    grad.flatten_all().unwrap().to_vec1::<f64>().unwrap()
                };
                assert!(grads(&plain).iter().zip(grads(&fused)).all(|(a, b)| (a - b).abs() < 1e-6 * scale.max(1.0)));
            }
        }
        let x = Tensor::new(&[[0.0_f32, f32::NAN]], &Device::Cpu).unwrap();
        assert!(number(&cross_entropy(&x, &[0]).unwrap()).unwrap().is_nan());
        assert!(cross_entropy(&x, &[2]).is_err());
    }

    #[test]
    fn absent_numbers_have_no_part_and_no_gradient() {
        let infinity = f32::NEG_INFINITY;
        let x = Var::new(&[[0.0, infinity], [infinity, infinity], [1e4, 1e4]], &Device::Cpu).unwrap();
        let sums = log_sum_exp(&x).unwrap();
        assert_eq!(sums.to_vec1::<f32>().unwrap(), [0.0, infinity, 1e4 + 2f32.ln()]);
        let kept = sums.narrow(0, 0, 1).unwrap().add(&sums.narrow(0, 2, 1).unwrap()).unwrap().sum_all().unwrap();
        let grads = kept.backward().unwrap().get(&x).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(grads, [[1.0, 0.0], [0.0, 0.0], [0.5, 0.5]]);
        assert!(log_sum_exp(&Tensor::zeros((2, 0), candle_core::DType::F32, &Device::Cpu).unwrap()).is_err());
    }
}
