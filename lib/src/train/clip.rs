//! The norm of the gradient over all parameters.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Which norm is limited by `max_grad_norm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GradNorm {
    /// The sum of absolute values.
    L1,
    /// The root of the sum of squares.
    #[default]
    L2,
    /// The largest absolute value.
    Inf,
}

/// The norm of all pieces together. It does not depend on the number of threads: each piece is summed
/// for itself, and the sums are added in order.
pub(super) fn norm(kind: GradNorm, pieces: &[&[f32]]) -> f64 {
    let parts: Vec<f64> = pieces.par_iter().map(|grads| partial(grads, kind)).collect();
    match kind {
        GradNorm::L1 => parts.iter().sum(),
        GradNorm::L2 => parts.iter().sum::<f64>().sqrt(),
        GradNorm::Inf => parts.into_iter().fold(0.0, larger),
    }
}

/// What the gradient is multiplied by, as PyTorch's `clip_grad_norm_` has it.
pub(super) fn scale(norm: f64, limit: Option<f64>) -> f64 {
    limit.map_or(1.0, |limit| (limit / (norm + 1e-6)).min(1.0))
}

crate::nn::vectorised! {
    fn partial(grads: &[f32], kind: GradNorm) -> f64 {
        match kind {
            GradNorm::L1 => lanes(grads, f64::abs, |sum, part| sum + part),
            GradNorm::L2 => lanes(grads, |grad| grad * grad, |sum, part| sum + part),
            GradNorm::Inf => lanes(grads, f64::abs, larger),
        }
    }
}

/// Numbers that are joined side by side.
const LANES: usize = 16;

#[inline(always)]
fn lanes(grads: &[f32], each: impl Fn(f64) -> f64, join: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    for chunk in grads.chunks(LANES) {
        for (lane, grad) in lanes.iter_mut().zip(chunk) {
            *lane = join(*lane, each(f64::from(*grad)));
        }
    }
    lanes.into_iter().fold(0.0, join)
}

/// The maximum, NaN if one of the two is: `f64::max` would lose it.
#[inline(always)]
fn larger(most: f64, next: f64) -> f64 {
    if most.is_nan() || next <= most { most } else { next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_norms() {
        let (one, two) = ([3.0, 0.0, -4.0], [0.0; 40]);
        let pieces: [&[f32]; 2] = [&one, &two];
        assert_eq!([GradNorm::L1, GradNorm::L2, GradNorm::Inf].map(|kind| norm(kind, &pieces)), [7.0, 5.0, 4.0]);
    }

    #[test]
    fn what_is_not_finite_is_never_lost() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for place in [0, 17, 39] {
                let mut grads = [1.0; 40];
                grads[place] = bad;
                for kind in [GradNorm::L1, GradNorm::L2, GradNorm::Inf] {
                    assert!(!norm(kind, &[&[2.0; 20], &grads, &[2.0; 20]]).is_finite(), "{kind:?} {bad} at {place}");
                }
            }
        }
    }
}
