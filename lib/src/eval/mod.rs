//! Evaluation as trec_eval does it.

mod evaluate;
mod measure;
mod report;
mod run;

pub use evaluate::{EvalConfig, evaluate, evaluate_with};
pub use measure::Measure;
pub use report::Report;
pub use run::{Hit, Run};
