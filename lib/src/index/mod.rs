//! Search structures: built once from a corpus, then `search(queries, k)` gives a [`Run`](crate::eval::Run).

mod array;
mod bm25;
mod flat;
mod strings;
mod top;

pub use bm25::{Bm25, Bm25Params, Bm25Variant, Explanation, TermScore};
pub use flat::FlatIndex;
