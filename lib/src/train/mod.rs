//! Training, one visible step after the other.

mod adamw;
mod config;
mod grad_cache;
mod grad_check;
mod memory;
mod preflight;
mod schedule;
mod seam;
mod step;
mod steps;
mod token_batch;
mod trainer;
mod validation;

pub use adamw::{AdamW, AdamWConfig};
pub use config::TrainConfig;
pub use grad_cache::MicroBatch;
pub use grad_check::{ColumnCheck, GradCheck, grad_check};
pub use memory::batch_sizes;
pub use preflight::{Check, Preflight, State};
pub use schedule::linear_schedule;
pub use step::Step;
pub use steps::Steps;
pub use token_batch::TokenBatch;
pub use trainer::Trainer;
pub use validation::{Evaluation, Every, KeepBest, ValidationConfig};
