//! Search models: an encoder, a tokenizer and a head. All have the same methods in the same order:
//! `new`, `load`, `encode_queries`, `encode_docs`, `save`.

mod bi_encoder;
mod config;
mod directory;
mod embeddings;
mod encode;
mod pooling;

pub use bi_encoder::BiEncoder;
pub use config::{BiEncoderConfig, Precision, Role};
pub use embeddings::Embeddings;
pub use pooling::{Pooled, Pooling};
