//! Search models: an encoder, a tokenizer and a head, or a table of vectors. All have the same methods in the same order:
//! `new`, `load`, `encode_queries`, `encode_docs`, `save`.

mod bi_encoder;
mod card;
mod colbert;
mod cross_encoder;
mod custom;
mod directory;
mod embeddings;
mod interface;
mod lora;
mod pooling;
mod quantized;
mod ranked;
mod sides;
mod sparse_autoencoder;
mod splade;
mod static_embedding;
mod texts;
mod token_embeddings;
mod two_towers;

pub use bi_encoder::{BiEncoder, BiEncoderConfig, Precision, Role};
pub(crate) use card::is_generated;
pub use card::{ColumnRecord, LogRow, ModelCard, TrainingRecord};
pub use colbert::{ColBert, ColBertConfig, TokenPooling};
pub use cross_encoder::{Activation, CrossEncoder, CrossEncoderConfig};
pub use custom::{CustomConfig, CustomHead, CustomModel, Hidden};
pub use embeddings::Embeddings;
pub use interface::{Front, HeadInputs, Model, Outputs, Part, Tokens};
pub(crate) use interface::{as_type, downcast};
pub use pooling::Pooling;
pub use quantized::{Codes, Quantization, QuantizedEmbeddings, Ranges};
pub use ranked::Ranked;
pub use sparse_autoencoder::{SparseAutoEncoder, SparseAutoEncoderConfig};
pub use splade::{QueryWeights, SparseEmbeddings, SparseVectors, Splade, SpladeConfig};
pub use static_embedding::{DistilConfig, StaticEmbedding, StaticEmbeddingConfig, TokenWeights};
pub use token_embeddings::TokenEmbeddings;
pub use two_towers::TwoTowers;
