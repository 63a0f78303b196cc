//! sentence-transformers directories: both schemas are read, the older one is written, which every
//! version since 2 and the servers (text-embeddings-inference, vLLM, llama.cpp) load.
//!
//! What changes vectors is honoured and written back, or refused by name.

mod foreign;
mod read;
mod replace;
mod text;
mod write;

pub(super) use read::{read, unusable};
pub(super) use replace::replace;
pub(super) use text::TextSettings;
pub(super) use write::{check_finite, write, write_tokenizer};
