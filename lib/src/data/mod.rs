//! Retrieval data over Polars frames: what is searched, what is asked, what is relevant, what is trained on.

mod dataset;
mod frames;
mod qrels;
pub mod rustdoc;
mod training;

pub use dataset::{Dataset, Split};
pub use frames::{Corpus, Queries};
pub use qrels::Qrels;
pub use rustdoc::rustdoc;
pub use training::TrainingSet;
