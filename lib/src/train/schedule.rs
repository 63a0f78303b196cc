//! The learning rate over the steps.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::expect;
use crate::{Error, Result};

/// How the learning rate rises and falls. Names, settings, defaults and values are those of transformers'
/// schedulers; every one of them but `Constant` starts with the warm-up.
///
/// In the formulas `p` is the share of the steps after the warm-up that are done; the rate is the peak times what
/// the formula gives.
///
/// ```
/// use kensaku::train::Schedule;
///
/// let rates = |schedule: Schedule| (0..5).map(|step| schedule.rate(step, 2, 5, 1.0)).collect::<Vec<f64>>();
/// assert_eq!(rates(Schedule::Linear), [0.0, 0.5, 1.0, 2.0 / 3.0, 1.0 / 3.0]);
/// assert_eq!(rates(Schedule::named("constant_with_warmup")?), [0.0, 0.5, 1.0, 1.0, 1.0]);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// `1 - p`
    #[default]
    Linear,
    /// `(1 + cos(2π num_cycles p)) / 2`; with `num_cycles` 0.5 one fall from the peak to 0.
    Cosine {
        num_cycles: f64,
    },
    /// `num_cycles` falls from the peak to 0, each a half cosine, with hard restarts.
    CosineWithRestarts {
        num_cycles: usize,
    },
    /// From the peak to the rate `lr_end`, as `(1 - p)^power`.
    Polynomial {
        lr_end: f64,
        power: f64,
    },
    /// The peak throughout, without warm-up.
    Constant,
    ConstantWithWarmup,
    /// `1 / sqrt((step - warmup + timescale) / timescale)`; the `timescale` is the warm-up, or 10,000 without one.
    InverseSqrt {
        timescale: Option<usize>,
    },
    WarmupStableDecay(WarmupStableDecay),
    /// As `Cosine`, but down to `min_lr_rate` times the peak.
    CosineWithMinLr {
        num_cycles: f64,
        min_lr_rate: f64,
    },
    /// The same one step ahead, so that no step has the rate 0: the warm-up starts at `warmup_lr_rate`
    /// times the peak, or where its second step would.
    CosineWarmupWithMinLr {
        num_cycles: f64,
        min_lr_rate: f64,
        warmup_lr_rate: Option<f64>,
    },
}

/// A plateau between warm-up and decay (Hu et al. 2024, "MiniCPM").
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WarmupStableDecay {
    /// Steps at the peak; `None` for all that warm-up and decay leave.
    pub num_stable_steps: Option<usize>,
    /// Steps of the decay; `None` for a tenth of all steps.
    pub num_decay_steps: Option<usize>,
    pub warmup_type: Slope,
    pub decay_type: Slope,
    /// Where the warm-up starts and the decay ends, as a share of the peak.
    pub min_lr_ratio: f64,
    /// Of a decay by [`Slope::Cosine`].
    pub num_cycles: f64,
}

/// The way between the lowest rate and the peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Slope {
    #[serde(rename = "linear")]
    Linear,
    #[serde(rename = "cosine")]
    Cosine,
    /// `1 - sqrt(share)` on the way down; on the way up the same turned round.
    #[serde(rename = "1-sqrt")]
    OneMinusSqrt,
}

impl Default for WarmupStableDecay {
    fn default() -> Self {
        Self {
            num_stable_steps: None,
            num_decay_steps: None,
            warmup_type: Slope::Linear,
            decay_type: Slope::Cosine,
            min_lr_ratio: 0.0,
            num_cycles: 0.5,
        }
    }
}

/// The names that transformers has for them.
const NAMES: &str = "linear, cosine, cosine_with_restarts, polynomial, constant, constant_with_warmup, inverse_sqrt, \
                     warmup_stable_decay, cosine_with_min_lr, cosine_warmup_with_min_lr";

impl Schedule {
    /// The schedule that transformers calls so, with its defaults; where it has none (`min_lr_rate`), a
    /// tenth of the peak.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "linear" => Self::Linear,
            "cosine" => Self::Cosine { num_cycles: 0.5 },
            "cosine_with_restarts" => Self::CosineWithRestarts { num_cycles: 1 },
            "polynomial" => Self::Polynomial { lr_end: 1e-7, power: 1.0 },
            "constant" => Self::Constant,
            "constant_with_warmup" => Self::ConstantWithWarmup,
            "inverse_sqrt" => Self::InverseSqrt { timescale: None },
            "warmup_stable_decay" => Self::WarmupStableDecay(WarmupStableDecay::default()),
            "cosine_with_min_lr" => Self::CosineWithMinLr { num_cycles: 0.5, min_lr_rate: 0.1 },
            "cosine_warmup_with_min_lr" => {
                Self::CosineWarmupWithMinLr { num_cycles: 0.5, min_lr_rate: 0.1, warmup_lr_rate: None }
            }
            _ => {
                let expected = format!("one of {NAMES}");
                return Err(Error::Setting { field: "schedule", value: name.to_owned(), expected });
            }
        })
    }

    /// The rate that step `step` (from 0) of `total` uses, `warmup` of which rise to `peak`.
    pub fn rate(&self, step: usize, warmup: usize, total: usize, peak: f64) -> f64 {
        let risen = step as f64 / warmup.max(1) as f64;
        let left = total.saturating_sub(warmup).max(1) as f64;
        let done = step.saturating_sub(warmup) as f64 / left;
        let rising = step < warmup;
        let share = match *self {
            Self::Constant => 1.0,
            Self::WarmupStableDecay(settings) => settings.share(step, warmup, total),
            Self::CosineWarmupWithMinLr { num_cycles, min_lr_rate, warmup_lr_rate } => match warmup_lr_rate {
                None if rising => (step + 1) as f64 / warmup as f64,
                Some(lowest) if rising => above(step as f64 / (warmup - 1).max(1) as f64, lowest),
                _ => above(cosine((step - warmup + 1) as f64 / left, num_cycles), min_lr_rate),
            },
            _ if rising => risen,
            Self::Linear => total.saturating_sub(step) as f64 / left,
            Self::Cosine { num_cycles } => cosine(done, num_cycles),
            Self::CosineWithRestarts { .. } if done >= 1.0 => 0.0,
            Self::CosineWithRestarts { num_cycles } => cosine((num_cycles as f64 * done) % 1.0, 0.5),
            Self::Polynomial { lr_end, power } => above((1.0 - done).max(0.0).powf(power), lr_end / peak),
            Self::ConstantWithWarmup => 1.0,
            Self::InverseSqrt { timescale } => {
                let timescale = timescale.unwrap_or(if warmup == 0 { 10_000 } else { warmup }) as f64;
                (timescale / ((step - warmup) as f64 + timescale)).sqrt()
            }
            Self::CosineWithMinLr { num_cycles, min_lr_rate } => above(cosine(done, num_cycles), min_lr_rate),
        };
        peak * share.max(0.0)
    }

    /// Whether the rate of a step depends on how many there are in all.
    pub(super) fn needs_total(&self) -> bool {
        !matches!(self, Self::Constant | Self::ConstantWithWarmup | Self::InverseSqrt { .. })
    }

    /// An error that names the first setting that makes no sense.
    pub(super) fn check(&self, peak: f64) -> Result<()> {
        let share = |field, value: f64| expect(field, value, "a share from 0 to 1", (0.0..=1.0).contains(&value));
        let positive = |field, value: f64| expect(field, value, "a number above 0", value > 0.0 && value.is_finite());
        match *self {
            Self::Linear | Self::Constant | Self::ConstantWithWarmup => Ok(()),
            Self::Cosine { num_cycles } => positive("num_cycles", num_cycles),
            Self::CosineWithRestarts { num_cycles } => expect("num_cycles", num_cycles, "at least 1", num_cycles > 0),
            Self::Polynomial { lr_end, power } => {
                let expected = "0 or more and below the learning rate";
                expect("lr_end", lr_end, expected, (0.0..peak).contains(&lr_end))?;
                positive("power", power)
            }
            Self::InverseSqrt { timescale } => {
                expect("timescale", timescale.unwrap_or(1), "at least 1", timescale != Some(0))
            }
            Self::WarmupStableDecay(settings) => {
                share("min_lr_ratio", settings.min_lr_ratio)?;
                positive("num_cycles", settings.num_cycles)
            }
            Self::CosineWithMinLr { num_cycles, min_lr_rate } => {
                share("min_lr_rate", min_lr_rate)?;
                positive("num_cycles", num_cycles)
            }
            Self::CosineWarmupWithMinLr { num_cycles, min_lr_rate, warmup_lr_rate } => {
                share("min_lr_rate", min_lr_rate)?;
                share("warmup_lr_rate", warmup_lr_rate.unwrap_or_default())?;
                positive("num_cycles", num_cycles)
            }
        }
    }
}

impl WarmupStableDecay {
    fn share(&self, step: usize, warmup: usize, total: usize) -> f64 {
        let decay = self.num_decay_steps.unwrap_or(total.div_ceil(10));
        let stable = self.num_stable_steps.unwrap_or(total.saturating_sub(warmup.saturating_add(decay)));
        let share = if step < warmup {
            let done = step as f64 / warmup as f64;
            match self.warmup_type {
                Slope::Linear => done,
                Slope::Cosine => 0.5 * (1.0 - (PI * done).cos()),
                Slope::OneMinusSqrt => 1.0 - (1.0 - done).sqrt(),
            }
        } else if step < warmup.saturating_add(stable) {
            return 1.0;
        } else if step < warmup.saturating_add(stable).saturating_add(decay) {
            let done = (step - warmup - stable) as f64 / decay as f64;
            match self.decay_type {
                Slope::Linear => 1.0 - done,
                Slope::Cosine => cosine(done, self.num_cycles),
                Slope::OneMinusSqrt => 1.0 - done.sqrt(),
            }
        } else {
            0.0
        };
        above(share, self.min_lr_ratio)
    }
}

fn cosine(done: f64, cycles: f64) -> f64 {
    0.5 * (1.0 + (2.0 * PI * cycles * done).cos())
}

/// A share of the way from `lowest` to 1.
fn above(share: f64, lowest: f64) -> f64 {
    share * (1.0 - lowest) + lowest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn between_nothing_and_the_peak(step in 0..5_000_usize, warmup in 0..2_000_usize, total in 0..4_000_usize) {
            for name in NAMES.split(", ") {
                let schedule = Schedule::named(name).unwrap();
                schedule.check(0.25).unwrap();
                let rate = schedule.rate(step, warmup, total, 0.25);
                prop_assert!((0.0..=0.25).contains(&rate), "{name}: {rate}");
            }
        }
    }

    #[test]
    fn unknown_names_and_settings_are_errors() {
        let message = Schedule::named("greedy").unwrap_err().to_string();
        assert!(message.starts_with("schedule = greedy: expected one of linear, cosine, "), "{message}");
        let message = |schedule: Schedule| schedule.check(1.0).unwrap_err().to_string();
        let cosine = message(Schedule::Cosine { num_cycles: f64::NAN });
        assert_eq!(cosine, "num_cycles = NaN: expected a number above 0");
        let lowest = Schedule::CosineWithMinLr { num_cycles: 0.5, min_lr_rate: 1.5 };
        assert_eq!(message(lowest), "min_lr_rate = 1.5: expected a share from 0 to 1");
    }

    #[test]
    fn steps_beyond_all_numbers_are_the_last_part() {
        let stable = WarmupStableDecay { num_stable_steps: Some(usize::MAX), ..Default::default() };
        assert_eq!(stable.share(7, 2, 10), 1.0);
        let decay =
            WarmupStableDecay { num_stable_steps: Some(3), num_decay_steps: Some(usize::MAX), ..Default::default() };
        assert!(decay.share(9, 2, 10) > 0.99);
    }
}
