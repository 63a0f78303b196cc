//! From text to token ids.

mod tokenizer;
mod wordpiece;

pub use tokenizer::{Encodings, Tokenizer};
pub use wordpiece::WordPieceConfig;
