//! Search models: an encoder, a tokenizer and a head. All have the same methods in the same order:
//! `new`, `load`, `encode_queries`, `encode_docs`, `save`.

mod bi_encoder;
mod card;
mod colbert;
mod cross_encoder;
mod directory;
mod embeddings;
mod interface;
mod pooling;
mod ranked;
mod splade;
mod texts;
mod token_embeddings;

pub use bi_encoder::{BiEncoder, BiEncoderConfig, Precision, Role};
pub(crate) use card::is_generated;
pub use card::{ColumnRecord, LogRow, ModelCard, TrainingRecord};
pub use colbert::{ColBert, ColBertConfig};
pub use cross_encoder::{Activation, CrossEncoder, CrossEncoderConfig};
pub use embeddings::Embeddings;
pub use interface::{Model, Outputs, Part, Tokens};
pub(crate) use interface::{as_type, downcast};
pub use pooling::Pooling;
pub use ranked::Ranked;
pub use splade::{SparseEmbeddings, SparseVectors, Splade, SpladeConfig};
pub use token_embeddings::TokenEmbeddings;
