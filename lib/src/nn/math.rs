//! Scalar functions without branches, and the dispatch that lets the compiler vectorise loops of them.

/// Compiles a function three times, for AVX-512, AVX2 and whatever the target has, and picks at run
/// time. The order of all additions stays as written, so every version gives the same bits.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $out)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $ty),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) $(-> $out)? { body($($arg),*) }
                #[target_feature(enable = "avx2")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) $(-> $out)? { body($($arg),*) }

                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl") {
                    // SAFETY: the features were just found.
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the feature was just found.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}
pub(crate) use vectorised;

/// Partial sums that a vector register holds.
pub(crate) const LANES: usize = 16;

/// A mask of the first `count` of them.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn first_lanes(count: usize) -> u16 {
    if count < LANES { (1 << count) - 1 } else { u16::MAX }
}

/// `e^x` for f32, relative error below 2e-7, by Cephes' polynomial after reduction by multiples of ln 2. Clamped: beyond
/// -87.3 and 88.3 it stays at 1.2e-38 and 2.2e38.
#[inline(always)]
#[allow(clippy::excessive_precision)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to an integer, whose bits are then the low mantissa bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.3);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * 0.693_359_375 + n * 2.121_944_40e-4;
    // Pairs of terms, not one behind the other: their steps need not wait for each other.
    let square = r * r;
    let low = 5.000_000_120_1e-1 + r * 1.666_666_545_9e-1;
    let middle = 4.166_579_589_4e-2 + r * 8.333_451_907_3e-3;
    let high = 1.398_199_950_7e-3 + r * 1.987_569_15e-4;
    let p = low + square * (middle + square * high);
    let power = f32::from_bits((shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23);
    (p * square + r + 1.0) * power
}

/// The error function for f32, absolute error below 3e-7: the rational approximation of Eigen.
#[inline(always)]
#[allow(clippy::excessive_precision)]
pub(crate) fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let mut numerator = -2.726_142_258_013_06e-10_f32;
    for coefficient in [
        2.770_681_424_959_02e-8,
        -2.101_024_020_825_08e-6,
        -5.692_506_394_623_46e-5,
        -7.349_906_303_268_55e-4,
        -2.954_599_808_540_25e-3,
        -1.609_603_332_624_15e-2,
    ] {
        numerator = numerator * square + coefficient;
    }
    let mut denominator = -1.456_607_184_649_96e-5_f32;
    for coefficient in
        [-2.133_740_552_789_05e-4, -1.682_826_974_382_03e-3, -7.373_329_167_204_68e-3, -1.426_473_905_141_89e-2]
    {
        denominator = denominator * square + coefficient;
    }
    (x * numerator / denominator).clamp(-1.0, 1.0)
}

/// The sum of `term` over the numbers of rows of one length, in 16 lanes that are added up at the end: an order of
/// additions that does not depend on the machine.
#[inline(always)]
pub(crate) fn lane_sum<const N: usize>(rows: [&[f32]; N], term: impl Fn([f32; N]) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let blocks = rows.map(|row| row.as_chunks::<LANES>().0);
    for index in 0..blocks[0].len() {
        // Blocks of a known length: with indices into rows the compiler would add one number at a time.
        let block = blocks.map(|blocks| &blocks[index]);
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(block.map(|block| block[lane]));
        }
    }
    let rest = rows.map(|row| row.as_chunks::<LANES>().1);
    for index in 0..rest[0].len() {
        lanes[index] += term(rest.map(|rest| rest[index]));
    }
    across(lanes, |sum, other| sum + other)
}

/// Folds lanes by halves: four steps that wait for each other, not fifteen.
#[inline(always)]
pub(crate) fn across(mut lanes: [f32; LANES], pick: impl Fn(f32, f32) -> f32) -> f32 {
    for lane in 0..8 {
        lanes[lane] = pick(lanes[lane], lanes[lane + 8]);
    }
    for lane in 0..4 {
        lanes[lane] = pick(lanes[lane], lanes[lane + 4]);
    }
    pick(pick(lanes[0], lanes[2]), pick(lanes[1], lanes[3]))
}

/// The largest of `least` and the numbers; a NaN is passed over.
#[inline(always)]
pub(crate) fn lane_max(values: &[f32], least: f32) -> f32 {
    lane_fold(values, least, |largest, value| if value > largest { value } else { largest })
}

/// The smallest of `most` and the numbers; a NaN is passed over.
#[inline(always)]
pub(crate) fn lane_min(values: &[f32], most: f32) -> f32 {
    lane_fold(values, most, |smallest, value| if value < smallest { value } else { smallest })
}

#[inline(always)]
fn lane_fold(values: &[f32], start: f32, pick: impl Fn(f32, f32) -> f32) -> f32 {
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for values in whole {
        for (lane, value) in lanes.iter_mut().zip(values) {
            *lane = pick(*lane, *value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = pick(*lane, *value);
    }
    across(lanes, pick)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_f32() {
        for step in -8_730..=8_830 {
            let x = step as f32 / 100.0;
            let exact = f64::from(x).exp();
            let relative = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(relative < 2e-7, "exp({x}) is off by {relative} of {exact}");
        }
        assert_eq!([-87.4, -1e9, f32::NEG_INFINITY].map(exp), [exp(-87.3); 3]);
        assert_eq!([88.4, 1e9, f32::INFINITY].map(exp), [exp(88.3); 3]);
    }

    #[test]
    fn erf_is_exact_to_f32() {
        for step in -600..=600 {
            let x = f64::from(step) / 100.0;
            assert!((f64::from(erf(x as f32)) - erf_series(x)).abs() < 3e-7, "erf({x})");
        }
    }

    /// `2/sqrt(pi) e^{-x²} sum_n 2^n x^{2n+1} / (2n+1)!!`, which has no cancellation.
    fn erf_series(x: f64) -> f64 {
        let mut term = x;
        let mut sum = x;
        for n in 1..400 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
    }
}
