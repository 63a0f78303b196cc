//! The learning rate over the steps.

/// Linear warm-up from 0, then linear decay to 0: the rate that step `step` (from 0) uses.
///
/// `warmup` steps rise, `total - warmup` fall. Equal to transformers' `linear` schedule.
///
/// ```
/// use kensaku::train::linear_schedule;
/// let rates: Vec<f64> = (0..5).map(|step| linear_schedule(step, 2, 5, 1.0)).collect();
/// assert_eq!(rates, [0.0, 0.5, 1.0, 2.0 / 3.0, 1.0 / 3.0]);
/// ```
pub fn linear_schedule(step: usize, warmup: usize, total: usize, peak: f64) -> f64 {
    let share = if step < warmup {
        step as f64 / warmup as f64
    } else {
        total.saturating_sub(step) as f64 / total.saturating_sub(warmup).max(1) as f64
    };
    peak * share
}
