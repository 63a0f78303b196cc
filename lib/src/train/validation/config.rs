//! When a model is validated during its training, and when the training stops for it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::expect;

/// When a model is validated, when the training stops for it, and where the best model is kept. It takes
/// effect once there is something to look at: [`Trainer::validate_on`](crate::train::Trainer::validate_on),
/// [`Trainer::validate_with`](crate::train::Trainer::validate_with).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ValidationConfig {
    pub every: Every,
    /// Stop after this many validations in a row that are not better than the best before them by more than
    /// `min_delta`; the training says so, and which step was the best. `None`: never.
    pub patience: Option<usize>,
    /// In units of the monitored value.
    pub min_delta: f64,
    /// The name of the value that selects the best model. `None`: that of the first evaluator, or else the held-out loss.
    pub monitor: Option<String>,
    pub keep_best: KeepBest,
}

/// How often a model is validated; after the last step it always is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    Steps(usize),
    #[default]
    Epoch,
}

/// Where the best model is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepBest {
    /// A copy of its weights.
    #[default]
    Memory,
    /// A model directory, replaced by each better model.
    Directory(PathBuf),
    Nowhere,
}

impl ValidationConfig {
    pub(in crate::train) fn check(&self) -> Result<()> {
        let often = self.every != Every::Steps(0);
        expect("every", "Steps(0)", "at least 1 step", often)?;
        expect("patience", 0, "at least 1 validation", self.patience != Some(0))?;
        expect("min_delta", self.min_delta, "0 or more", self.min_delta >= 0.0)
    }
}

/// Whether the model is validated after a step.
pub(in crate::train) fn due(every: Every, step: usize, ends_epoch: bool, last: bool) -> bool {
    last || match every {
        Every::Steps(steps) => step.is_multiple_of(steps),
        Every::Epoch => ends_epoch,
    }
}

/// How many validations in a row, up to the last, have not gained more than `min_delta` on the best one
/// before them.
pub(super) fn stale_validations(gains: &[f64], min_delta: f64) -> usize {
    let mut best = f64::NEG_INFINITY;
    let mut without = 0;
    for gain in gains {
        if *gain > best + min_delta {
            (best, without) = (*gain, 0);
        } else {
            without += 1;
        }
    }
    without
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_from_the_last_gain_that_is_large_enough() {
        for (gains, min_delta, without) in [
            (&[][..], 0.0, 0),
            (&[0.1, 0.2, 0.3], 0.0, 0),
            (&[0.3, 0.2, 0.3], 0.0, 2),
            // Small gains add up to one that counts.
            (&[0.10, 0.14, 0.18], 0.05, 0),
            (&[0.10, 0.14, 0.14], 0.05, 2),
        ] {
            assert_eq!(stale_validations(gains, min_delta), without, "{gains:?}");
        }
    }

    #[test]
    fn due_every_few_steps_or_epochs_and_at_the_end() {
        let steps: Vec<usize> = (1..=7).filter(|step| due(Every::Steps(3), *step, false, *step == 7)).collect();
        assert_eq!(steps, [3, 6, 7]);
        assert!(due(Every::Epoch, 5, true, false) && !due(Every::Epoch, 5, false, false));
    }
}
