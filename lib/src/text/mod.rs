//! Text before it reaches a model or an index.

mod analyzer;
mod porter;

pub use analyzer::Analyzer;
pub use porter::porter_stem;
