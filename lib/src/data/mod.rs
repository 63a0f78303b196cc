//! Retrieval data over Polars frames: what is searched, what is asked, what is relevant, what is trained on.

mod dataset;
mod frames;
mod hashes;
mod judgements;
mod labels;
mod lookup;
mod origin;
mod qrels;
pub mod read;
mod roles;
pub mod rustdoc;
mod sampler;
mod source;
mod teacher;
mod texts;
mod training;
mod trec;

pub use dataset::{Dataset, Split};
pub use frames::{Corpus, Queries};
pub use judgements::Judgements;
pub use labels::{LabelKind, Labels};
pub use qrels::Qrels;
pub use rustdoc::rustdoc;
pub use sampler::{BatchPlan, plan_batches};
pub use texts::Texts;
pub use training::TrainingSet;

pub(crate) use hashes::TextHashes;
pub(crate) use sampler::{Epoch, Sampler};
pub(crate) use training::{negative_column, text_column};
pub(crate) use trec::{RUN, changed, is_separator, read_trec};

#[cfg(test)]
pub(crate) use frames::strings;
