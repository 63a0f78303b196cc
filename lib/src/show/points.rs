//! Smoothing and thinning of series of points.

/// Step and value.
pub(super) type Point = (usize, f64);

/// The loss is smoothed from this many points on.
const SMOOTH_FROM: usize = 12;

/// The exponential moving average m_t = w m_{t-1} + (1 - w) x_t, divided by 1 - w^t as Adam does, so that it
/// starts at the first value. Empty where there is too little to smooth.
pub(super) fn smoothed(points: &[Point], weight: f64) -> Vec<Point> {
    if points.len() < SMOOTH_FROM || weight == 0.0 {
        return Vec::new();
    }
    let (mut mean, mut past) = (0.0, 1.0);
    let next = |&(step, value): &Point| {
        mean = weight * mean + (1.0 - weight) * value;
        past *= weight;
        (step, mean / (1.0 - past))
    };
    points.iter().map(next).collect()
}

/// At most `most` points that look the same: the lowest and the highest of each run of neighbours, so
/// that no spike is lost.
pub(super) fn thin(points: &[Point], most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points.to_vec();
    }
    let run = points.len().div_ceil((most / 2).max(1));
    let ends = |run: &[Point]| {
        let by_value = |&a: &usize, &b: &usize| run[a].1.total_cmp(&run[b].1);
        let low = (0..run.len()).min_by(by_value).unwrap_or(0);
        let high = (0..run.len()).max_by(by_value).unwrap_or(0);
        let (first, second) = (low.min(high), low.max(high));
        if first == second { vec![run[first]] } else { vec![run[first], run[second]] }
    };
    points.chunks(run).flat_map(ends).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn smoothing_starts_at_the_first_value_and_follows() {
        let points: Vec<Point> = (0..100).map(|step| (step, if step < 50 { 2.0 } else { 1.0 })).collect();
        let smooth = smoothed(&points, 0.9);
        assert!((smooth[0].1 - 2.0).abs() < 1e-12 && (smooth[49].1 - 2.0).abs() < 1e-12);
        let expected = 1.0 + 0.9f64.powi(50) * (1.0 - 0.9f64.powi(50)) / (1.0 - 0.9f64.powi(100));
        assert!((smooth[99].1 - expected).abs() < 1e-12);
        assert!(smoothed(&points[..11], 0.9).is_empty() && smoothed(&points, 0.0).is_empty());
    }

    proptest! {
        #[test]
        fn thinning_keeps_order_ends_and_extremes(
            values in prop::collection::vec(-1e3f64..1e3, 1..2000),
            most in 2usize..300,
        ) {
            let points: Vec<Point> = values.iter().copied().enumerate().collect();
            let thinned = thin(&points, most);
            prop_assert!(thinned.len() <= most.max(2));
            prop_assert!(thinned.is_sorted_by(|a, b| a.0 < b.0));
            prop_assert!(thinned.iter().all(|point| points[point.0] == *point));
            let extremes = |points: &[Point]| {
                points.iter().fold((f64::MAX, f64::MIN), |(low, high), point| (low.min(point.1), high.max(point.1)))
            };
            prop_assert_eq!(extremes(&thinned), extremes(&points));
        }
    }
}
