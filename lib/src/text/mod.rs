//! Text to tokens: a model's tokenizer.

mod tokenizer;

pub use tokenizer::{Tokenizer, WordPieceConfig};
