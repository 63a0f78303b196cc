//! Text to tokens: a model's tokenizer, and analyzers for lexical search.

mod analyzer;
mod pairs;
mod porter;
mod spaced;
mod tokenizer;
mod tokenizer_file;
mod wordpiece;

pub use analyzer::{Analyzer, Language};
pub use pairs::PairEncodings;
pub use porter::porter_stem;
pub use tokenizer::{Encodings, Tokenizer};
pub use wordpiece::WordPieceConfig;
