//! The settings that families have in common, and how they are checked.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The activation of a feed-forward block or a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// `x/2 (1 + erf(x / sqrt 2))`
    #[serde(rename = "gelu")]
    Gelu,
    /// The tanh approximation of GELU.
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh")]
    GeluTanh,
    #[serde(rename = "relu")]
    Relu,
    #[serde(rename = "tanh")]
    Tanh,
}

/// Every size is at least 1.
pub(super) fn check_sizes(sizes: &[(&'static str, usize)]) -> Result<()> {
    match sizes.iter().find(|(_, value)| *value == 0) {
        Some((field, value)) => Err(setting(field, value, "at least 1")),
        None => Ok(()),
    }
}

/// Layers are laid out before weights are read: a number that no model has is a mistake.
pub(super) fn check_layers((field, value): (&'static str, usize)) -> Result<()> {
    if (1..=1_000).contains(&value) { Ok(()) } else { Err(setting(field, value, "1 to 1000")) }
}

/// The width is cut into heads of equal size.
pub(super) fn check_heads(width: (&'static str, usize), heads: (&'static str, usize)) -> Result<()> {
    if width.1.is_multiple_of(heads.1) {
        return Ok(());
    }
    Err(setting(width.0, width.1, format!("a multiple of {} = {}", heads.0, heads.1)))
}

/// What a norm adds to a variance: below 0 its root is NaN.
pub(super) fn check_eps((field, value): (&'static str, f32)) -> Result<()> {
    if value.is_finite() && value > 0.0 { Ok(()) } else { Err(setting(field, value, "above 0")) }
}

/// The standard deviation of new weights.
pub(super) fn check_deviation(value: f64) -> Result<()> {
    if value.is_finite() && value >= 0.0 { Ok(()) } else { Err(setting("initializer_range", value, "0 or more")) }
}

/// Every dropout rate is a share.
pub(super) fn check_rates(rates: &[(&'static str, f32)]) -> Result<()> {
    match rates.iter().find(|(_, rate)| !(0.0..1.0).contains(rate)) {
        Some((field, rate)) => Err(setting(field, rate, "0 or more and below 1")),
        None => Ok(()),
    }
}

pub(super) fn setting(field: &'static str, value: impl ToString, expected: impl Into<String>) -> Error {
    Error::Setting { field, value: value.to_string(), expected: expected.into() }
}
