//! Text before it reaches a model or an index: a model's tokenizer, and analyzers for lexical search.

mod analyzer;
mod porter;
mod tokenizer;

pub use analyzer::Analyzer;
pub use porter::porter_stem;
pub use tokenizer::{Tokenizer, WordPieceConfig};
