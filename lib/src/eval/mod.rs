//! Evaluation as trec_eval does it.

mod run;

pub use run::{Hit, Run};
