//! Search structures: built once from a corpus, then `search(queries, k)` gives a [`Run`](crate::eval::Run).

mod bm25;
mod flat;
mod terms;
mod top;

pub use bm25::{Bm25, Bm25Params};
pub use flat::FlatIndex;
