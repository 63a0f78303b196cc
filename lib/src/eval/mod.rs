//! Evaluation as trec_eval does it.

mod evaluate;
mod fuse;
mod hits;
mod measure;
mod report;
mod run;

pub use evaluate::{EvalConfig, evaluate, evaluate_with};
pub use fuse::{Fusion, FusionConfig, Normalization, fuse};
pub use hits::{Hit, Hits, HitsIter};
pub use measure::Measure;
pub use report::Report;
pub use run::Run;

pub(crate) use hits::DocIds;
