//! What a notebook cell needs: `use kensaku::prelude::*;`.

pub use crate::data::{Corpus, Dataset, Qrels, Queries, Split, TrainingSet, read, rustdoc};
pub use crate::eval::{Hit, Measure, Report, Run, evaluate};
pub use crate::index::{Bm25, Bm25Params, FlatIndex};
pub use crate::loss::{
    self, CosineSimilarity, Loss, MultipleNegativesRanking, Similarity, Triplet, cosine, dot, pairwise_cosine,
};
pub use crate::mine::{self, MineConfig, RandomConfig, bm25_negatives, hard_negatives, random_negatives};
pub use crate::model::{BiEncoder, BiEncoderConfig, Embeddings, Pooling, Precision, Role};
pub use crate::nn::{BertConfig, DistilBertConfig, EncoderConfig, ModernBertConfig, MpnetConfig, RobertaConfig};
pub use crate::show::{self, LossCurve, bars};
pub use crate::text::{Analyzer, Tokenizer, WordPieceConfig};
pub use crate::train::{
    AdamWConfig, CheckpointConfig, Every, MicroBatch, Schedule, SgdConfig, Step, TrainConfig, Trainer, ValidationConfig,
};
pub use crate::{Error, Result, interrupt};

pub use candle_core::{DType, Device, IndexOp, Tensor};
pub use polars::prelude::*;
pub use {candle_core, candle_nn, plotters, polars};
