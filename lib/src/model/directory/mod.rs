//! sentence-transformers directories: both schemas are read, the older one is written, which every
//! version since 2 and the servers (text-embeddings-inference, vLLM, llama.cpp) load.
//!
//! What changes vectors is honoured and written back, or refused by name.

mod colbert;
mod custom;
mod foreign;
mod place;
mod read;
mod replace;
mod router;
mod sparse_autoencoder;
mod splade;
mod static_embedding;
mod text;
mod two_towers;
mod write;

pub(super) use colbert::{read as read_colbert, read_encoder, write as write_colbert};
pub(super) use custom::{read as read_custom, write as write_custom};
pub(super) use place::place;
pub(super) use read::{read, unusable};
pub(super) use replace::replace_model;
pub(super) use sparse_autoencoder::{read as read_sparse_autoencoder, write as write_sparse_autoencoder};
pub(super) use splade::{read as read_splade, write as write_splade};
pub(super) use static_embedding::{read as read_static, write as write_static};
pub(super) use text::{Task, TextSettings};
pub(super) use two_towers::{read as read_two_towers, write as write_two_towers};
pub(super) use write::{write, write_tokenizer};
