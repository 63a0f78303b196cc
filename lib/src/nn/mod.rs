//! The encoder engine: hand-written forward and backward over packed batches.
//!
//! ```text
//! PackedBatch --Encoder::forward--> hidden (T, H) --pool--> embeddings --loss (candle)--> dLoss/dE
//! Parameters <--Encoder::backward-- d_hidden (T, H) <--pool--------------------------------'
//! ```
//!
//! Sequences lie one after the other, `T` tokens in all: padding is never computed. Activations live
//! in an arena that grows to the largest batch and is reused. The same model in plain candle ops is in
//! [`mod@reference`]: slow, differentiable, the oracle for the gradients and the place to try a change.

mod activations;
mod batch;
mod batch_check;
mod blocks;
pub(crate) mod checkpoint;
mod config;
mod encoder;
mod family;
mod gemm;
mod head;
mod huge_pages;
mod init;
mod int8;
mod layer;
mod layout;
mod lora;
mod math;
mod parameters;
mod passes;
pub mod reference;
mod saved_tensor;
mod spec;
mod trainable;

pub(crate) use activations::Read;
pub use activations::{Activations, Memory};
pub use batch::PackedBatch;
pub(crate) use blocks::bag;
pub use blocks::dropout::Dropout;
pub use checkpoint::LoadReport;
pub(crate) use checkpoint::{Tensors, check_config};
pub use config::Activation;
pub use encoder::Encoder;
pub use family::{
    BertConfig, ClassifierPooling, DebertaConfig, DistilBertConfig, EncoderConfig, LayerType, ModernBertConfig,
    MpnetConfig, RobertaConfig, Rope, RopeParameters, UnusableConfig,
};
pub use gemm::{Threads, View, gemm};
pub(crate) use gemm::{gemm_into, gemm_rounded};
pub use head::{Classifier, DenseActivation, MaskedLm, VectorModule, WordPooling};
pub(crate) use head::{
    KeptModules, Projection, Saturation, VectorModules, Winners, WordTable, normalize_rows, normalize_rows_backward,
    words_once,
};
pub(crate) use huge_pages::prefer_large as prefer_large_pages;
pub use int8::Int8Weights;
pub use lora::Lora;
pub(crate) use lora::Prefixed;
pub(crate) use math::{exp, lane_max, lane_sum, vectorised};
pub use parameters::{Parameter, Parameters};
pub use saved_tensor::Storage;
