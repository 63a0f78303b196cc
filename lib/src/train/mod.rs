//! Training, step by visible step.

mod adamw;
mod autograd;
mod checkpoint;
mod clip;
mod config;
mod fit;
mod grad_cache;
mod grad_check;
mod groups;
mod guide;
mod optimizer;
mod plan;
mod preflight;
mod round;
mod schedule;
mod sgd;
mod step;
mod steps;
mod token_batch;
mod trainer;
mod validation;

pub use adamw::AdamWConfig;
pub use checkpoint::{CheckpointConfig, Resumed};
pub use clip::GradNorm;
pub use config::TrainConfig;
pub use grad_cache::MicroBatch;
pub use grad_check::{ColumnCheck, GradCheck, grad_check};
pub use optimizer::{Optimizer, OptimizerConfig};
pub use preflight::{Check, CheckState, Preflight, batch_sizes};
pub use schedule::{Schedule, Slope, WarmupStableDecay};
pub use sgd::SgdConfig;
pub use step::Step;
pub use steps::Steps;
pub use token_batch::TokenBatch;
pub use trainer::Trainer;
pub use validation::{Evaluation, Every, KeepBest, ValidationConfig};
