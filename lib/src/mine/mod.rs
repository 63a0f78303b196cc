//! Negatives: documents that a model learns to distinguish from the positives.
//!
//! Every function here returns a [`TrainingSet`](crate::data::TrainingSet) with one row per query and positive (grade
//! above 0), queries in the order of their frame, positives by id. Besides the texts (`query`, `positive`, `negative`,
//! `negative_2`, ..) it has their ids: `query_id`, `positive_id`, `negative_id`, `negative_2_id`, ..
//!
//! A negative is never a known positive of its query, nor a document with the text of one or with the text of the query,
//! and no two negatives of a row have the same text. A document that was judged not relevant may be a negative. A query
//! with too few candidates is left out; the number of these queries is displayed.

mod bm25;
mod candidates;
mod config;
mod hard;
mod mined;
mod random;

pub use bm25::bm25_negatives;
pub use config::{MineConfig, Sampling};
pub use hard::{hard_negatives, mine_negatives, mine_union};
pub use mined::{Format, Mined};
pub use random::{RandomConfig, random_negatives};

#[cfg(test)]
mod tests;
