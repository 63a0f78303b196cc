//! Retrieval data over Polars frames: what is searched, what is asked, what is relevant, what is trained on.

mod frames;
mod qrels;
mod sampler;
mod training;

pub use frames::{Corpus, Queries};
pub use qrels::Qrels;
pub use sampler::plan_batches;
pub use training::TrainingSet;
