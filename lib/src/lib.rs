//! kensaku (検索, "search"): train, evaluate and use search models.

pub mod data;
pub mod eval;
pub mod interrupt;
pub mod loss;
pub mod model;
pub mod nn;
pub mod random;
pub mod show;
pub mod text;
pub mod train;

mod error;
mod files;

pub use error::{Error, Result};

pub use {candle_core, candle_nn, plotters, polars, rayon, serde, serde_json, tokenizers};
